/* SPDX-License-Identifier: ISC */
/*
 * Two columns for each service and each check: what is true and what Consul's agent is
 * believed to show. This file holds them and takes the news; picture.c reads the second
 * column again, ledger_plan.c finds what differs, ledger_send.c says it and takes the
 * answers. Its neighbours are desired (what a thing looks like in Consul), differ (what is
 * to be done), outbox (sends, most urgent first) and orders.
 *
 * A check is not shown before its first result, so that nothing begins critical that is
 * not; who gives none is waited for no longer than a run may take.
 */
#include "agent/consul/ledger.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"
#include "agent/consul/ledger_state.h"
#include "agent/consul/orders.h"
#include "agent/consul/outbox.h"

#define WAIT_MS 2000 /* for the first result, beside what a run may take */

size_t
ledger_entries(const struct ledger *ledger)
{
	return ledger->conf->n_services + 1;
}

struct entry *
ledger_lictor(const struct ledger *ledger)
{
	return ledger->entries[ledger->conf->n_services];
}

struct state *
ledger_state_of(const struct ledger *ledger, const struct conf_check *check)
{
	return ledger->states[check->index];
}

void
ledger_set_status(
    struct ledger *ledger, const struct state *state, enum check_status status)
{
	enum check_status *now = &ledger->statuses[state->conf->index];

	ledger->waited_for += (status == CHECK_UNKNOWN) - (*now == CHECK_UNKNOWN);
	*now = status;
}

void
ledger_set_output(struct state *state, const char *output)
{
	free(state->output);
	state->output = xstrdup(output);
}

void
ledger_node(struct ledger *ledger, const char *node)
{
	free(ledger->node);
	ledger->node = xstrdup(node);
}

void
ledger_doubt(struct ledger *ledger)
{
	ledger->reading = true;
	outbox_open(ledger->outbox, false);
	outbox_clear(ledger->outbox);
	orders_clear(ledger->orders);
}

void
ledger_state(struct ledger *ledger, const struct conf_check *check,
    enum check_status status, const char *output)
{
	struct state *state = ledger_state_of(ledger, check);

	if (status != CHECK_UNKNOWN) {
		ledger_set_status(ledger, state, status);
		state->known = true;
	}
	ledger_set_output(state, output);
	ledger_plan_state(ledger, state);
}

void
ledger_role(struct ledger *ledger, const struct conf_service *service,
    enum report_role role, uint64_t term)
{
	struct entry *entry = ledger->entries[service->index];

	entry->role_known = true;
	if (entry->role == role && entry->term == term)
		return;
	entry->role = role;
	entry->term = term;
	entry->shown.same_form = false;
	entry->changed = true;
	ledger_plan_entry(ledger, entry, OUTBOX_FIRST);
}

void
ledger_upkeep(struct ledger *ledger, const struct conf_service *service, bool on,
    const char *reason)
{
	struct entry *entry = ledger->entries[service->index];

	free(entry->want_reason);
	entry->want_reason = xstrdup(reason);
	entry->want_maintained = on;
	entry->upkept = true;
	entry->changed = true;
	ledger_plan_entry(ledger, entry, OUTBOX_FIRST);
}

void
ledger_vouch(struct ledger *ledger)
{
	ledger->vouch = true;
	ledger_plan_entry(ledger, ledger_lictor(ledger), OUTBOX_FIRST);
}

void
ledger_flush(struct ledger *ledger)
{
	outbox_flush(ledger->outbox);
}

void
ledger_stop(struct ledger *ledger)
{
	ledger_doubt(ledger);
	ledger->stopping = true;
	outbox_open(ledger->outbox, true);
	orders_stop(ledger->orders, ledger->conf);
}

bool
ledger_vouches(const struct ledger *ledger)
{
	return ledger_stands(ledger_lictor(ledger)) &&
	    !outbox_flying(&ledger_lictor(ledger)->item);
}

bool
ledger_still(const struct ledger *ledger)
{
	return outbox_still(ledger->outbox);
}

bool
ledger_idle(const struct ledger *ledger)
{
	return outbox_idle(ledger->outbox);
}

bool
ledger_settled(const struct ledger *ledger)
{
	return outbox_settled(ledger->outbox) && ledger->waited_for == 0 &&
	    !ledger->vouch;
}

static struct entry *
entry_new(struct ledger *ledger, const struct conf_service *service)
{
	struct entry *entry = xcalloc(1, sizeof(*entry));

	outbox_init(ledger->outbox, &entry->item, KIND_SERVICE, &entry->complaint);
	entry->conf = service;
	entry->id = service ? service->id : DESIRED_LICTOR;
	entry->alias = service ? desired_alias_id(service) : xstrdup(DESIRED_HEARTBEAT);
	entry->role = service && service->role ? REPORT_BACKUP : REPORT_NO_ROLE;
	entry->within = service ? desired_checks_within(service) : 0;
	entry->critical_since = -1;
	return entry;
}

static void
entry_free(struct entry *entry)
{
	outbox_drop(&entry->item);
	free(entry->alias);
	free(entry->reason);
	free(entry->read_reason);
	free(entry->want_reason);
	free(entry);
}

/* How long until there should be a result of it, those that it depends on first. Nobody
 * knows of a passive one. */
static int64_t
first_result_ms(const struct conf_check *check)
{
	int64_t ms = WAIT_MS;

	if (check->class->passive)
		return 0;
	for (; check; check = check->depends_on)
		ms += check->class->passive ? 0 : check->timeout_ms;
	return ms;
}

static struct state *
state_new(struct ledger *ledger, const struct conf_check *check)
{
	struct state *state = xcalloc(1, sizeof(*state));

	if (check->service)
		state->entry = ledger->entries[check->service->index];
	outbox_init(ledger->outbox, &state->item, KIND_CHECK,
	    state->entry ? &state->entry->complaint : &ledger->node_complaint);
	state->conf = check;
	state->id = desired_check_id(check);
	state->output = xstrdup("");
	state->told = state->carried = CHECK_UNKNOWN;
	state->wait_until = loop_now(ledger->loop) + first_result_ms(check);
	ledger->statuses[check->index] = CHECK_UNKNOWN;
	ledger->waited_for++;
	return state;
}

static void
state_free(struct state *state)
{
	outbox_drop(&state->item);
	free(state->id);
	free(state->output);
	free(state);
}

static void
mark_apart(struct ledger *ledger, const struct entry *entry)
{
	for (size_t i = entry->within; i < entry->conf->n_checks; i++)
		ledger_state_of(ledger, entry->conf->checks[i])->apart = true;
}

void
ledger_make_tables(struct ledger *ledger)
{
	size_t entries = ledger_entries(ledger), states = ledger->conf->n_checks;

	ledger->entries = xcalloc(entries, sizeof(struct entry *));
	ledger->entries_by_id = xcalloc(entries, sizeof(struct entry *));
	ledger->states = xcalloc(states + 1, sizeof(struct state *));
	ledger->states_by_id = xcalloc(states + 1, sizeof(struct state *));
	ledger->statuses = xcalloc(states + 1, sizeof(*ledger->statuses));
	for (size_t i = 0; i < entries; i++)
		ledger->entries[i] = entry_new(
		    ledger, i + 1 < entries ? ledger->conf->services[i] : NULL);
	for (size_t i = 0; i < states; i++)
		ledger->states[i] = state_new(ledger, ledger->conf->checks[i]);
	for (size_t i = 0; i + 1 < entries; i++)
		mark_apart(ledger, ledger->entries[i]);
	memcpy(
	    ledger->entries_by_id, ledger->entries, entries * sizeof(struct entry *));
	memcpy(ledger->states_by_id, ledger->states, states * sizeof(struct state *));
	ledger_order(ledger);
}

struct ledger *
ledger_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const struct ledger_out *out)
{
	struct ledger *ledger = xcalloc(1, sizeof(*ledger));
	struct outbox_out outbox = {
		.build = ledger_build,
		.done = ledger_done,
		.describe = ledger_describe,
		.arg = ledger,
	};

	ledger->loop = loop;
	ledger->conf = conf;
	ledger->out = *out;
	ledger->reading = true;
	ledger->read_at = INT64_MIN / 2;
	ledger->outbox = outbox_new(loop, consul, &outbox);
	ledger->orders = orders_new(ledger->outbox, KIND_ORDER);
	ledger->due = loop_timer_new(loop, ledger_on_due, ledger);
	ledger->due_at = INT64_MAX;
	ledger_make_tables(ledger);
	ledger_wake(ledger, 0);
	return ledger;
}

void
ledger_free_tables(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		state_free(ledger->states[i]);
	for (size_t i = 0; i < ledger_entries(ledger); i++)
		entry_free(ledger->entries[i]);
	free(ledger->entries);
	free(ledger->entries_by_id);
	free(ledger->states);
	free(ledger->states_by_id);
	free(ledger->statuses);
}

void
ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	orders_free(ledger->orders);
	loop_timer_free(ledger->due);
	ledger_free_tables(ledger);
	outbox_free(ledger->outbox);
	free(ledger->reason);
	free(ledger->read_reason);
	free(ledger->node);
	free(ledger);
}
