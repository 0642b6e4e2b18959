/* SPDX-License-Identifier: ISC */
/*
 * Two columns for each service and each check: what is true and what Consul's agent is
 * believed to show. This file holds them and takes the news; picture.c reads the second
 * column again, ledger_plan.c finds what differs, ledger_send.c says it and takes the
 * answers, ledger_tables.c makes them of a configuration. Its neighbours are desired (what a thing looks like in Consul), differ (what is
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
	if (state->entry)
		ledger_watch_critical(ledger, state->entry);
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
	ledger_plan_entry(ledger, entry, OUTBOX_FIRST);
}

void
ledger_vouch(struct ledger *ledger)
{
	ledger->vouch = true;
	ledger_plan_entry(ledger, ledger_lictor(ledger), OUTBOX_FIRST);
}

void
ledger_renew(struct ledger *ledger)
{
	outbox_renew(ledger->outbox);
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
	ledger->out = *out;
	ledger->reading = true;
	ledger->read_at = INT64_MIN / 2;
	ledger->outbox = outbox_new(loop, consul, &outbox);
	ledger->orders = orders_new(ledger->outbox, KIND_ORDER);
	ledger->due = loop_timer_new(loop, ledger_on_due, ledger);
	ledger->due_at = INT64_MAX;
	ledger_make_tables(ledger, conf);
	ledger_wake(ledger, 0);
	return ledger;
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
