/* SPDX-License-Identifier: ISC */
/*
 * The ledger's tables, made of a configuration, and of the next one over a reload: a
 * service is the one of its id in Consul, as is a check, and stays the object that it is,
 * with what is true of it and what Consul was told. What is configured no more goes from
 * here; Consul's picture, which report reads after a reload, shows what is left of it
 * there, and what looks otherwise now.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/desired.h"
#include "agent/consul/ledger_state.h"

#define WAIT_MS 2000 /* for the first result, beside what a run may take */

static struct entry *
entry_new(struct ledger *ledger, const struct conf_service *service)
{
	struct entry *entry = xcalloc(1, sizeof(*entry));

	outbox_init(ledger->outbox, &entry->item, KIND_SERVICE, &entry->complaint);
	entry->alias = service ? desired_alias_id(service) : xstrdup(DESIRED_HEARTBEAT);
	entry->critical_since = -1;
	return entry;
}

static void
entry_point(struct entry *entry, const struct conf_service *service)
{
	bool role = service && service->role;

	entry->conf = service;
	entry->id = service ? service->id : DESIRED_LICTOR;
	entry->within = service ? desired_checks_within(service) : 0;
	if (role == (entry->role != REPORT_NO_ROLE))
		return;
	entry->role = role ? REPORT_BACKUP : REPORT_NO_ROLE;
	entry->term = 0;
	entry->role_known = false;
}

static void
entry_free(struct entry *entry)
{
	if (!entry)
		return;
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
	struct entry *entry =
	    check->service ? ledger->entries[check->service->index] : NULL;

	outbox_init(ledger->outbox, &state->item, KIND_CHECK,
	    entry ? &entry->complaint : &ledger->node_complaint);
	state->id = desired_check_id(check);
	state->output = xstrdup("");
	state->told = state->carried = CHECK_UNKNOWN;
	state->wait_until = loop_now(ledger->loop) + first_result_ms(check);
	return state;
}

static void
state_free(struct state *state)
{
	if (!state)
		return;
	outbox_drop(&state->item);
	free(state->id);
	free(state->output);
	free(state);
}

static void
state_point(struct ledger *ledger, struct state *state, const struct conf_check *check)
{
	const struct conf_service *service = check->service;

	state->conf = check;
	state->entry = service ? ledger->entries[service->index] : NULL;
	state->apart = false;
}

static void
mark_apart(struct ledger *ledger, const struct conf_service *service)
{
	size_t within = ledger->entries[service->index]->within;

	for (size_t i = within; i < service->n_checks; i++)
		ledger_state_of(ledger, service->checks[i])->apart = true;
}

/* From the tables of before, if it is there. */
static struct entry *
keep_entry(struct ledger *before, const char *id)
{
	struct entry *entry = before->entries ? ledger_find_entry(before, id) : NULL;

	if (entry)
		before->entries[entry->index] = NULL;
	return entry;
}

static struct state *
keep_state(struct ledger *before, const struct conf_check *check)
{
	AUTO_FREE char *id = desired_check_id(check);
	struct state *state = before->states ? ledger_find_state(before, id) : NULL;

	if (state)
		before->states[state->index] = NULL;
	return state;
}

static void
make_entry(struct ledger *ledger, struct ledger *before, size_t i)
{
	const struct conf_service *service =
	    i < ledger->conf->n_services ? ledger->conf->services[i] : NULL;
	struct entry *entry =
	    keep_entry(before, service ? service->id : DESIRED_LICTOR);

	if (!entry)
		entry = entry_new(ledger, service);
	entry_point(entry, service);
	entry->index = (uint32_t)i;
	ledger->entries[i] = ledger->entries_by_id[i] = entry;
}

static void
make_state(struct ledger *ledger, struct ledger *before, size_t i)
{
	const struct conf_check *check = ledger->conf->checks[i];
	struct state *state = keep_state(before, check);

	ledger->statuses[i] = state ? before->statuses[state->index] : CHECK_UNKNOWN;
	ledger->waited_for += ledger->statuses[i] == CHECK_UNKNOWN;
	if (!state)
		state = state_new(ledger, check);
	state_point(ledger, state, check);
	state->index = (uint32_t)i;
	ledger->states[i] = ledger->states_by_id[i] = state;
}

static void
make_tables(struct ledger *ledger, struct ledger *before)
{
	size_t entries = ledger_entries(ledger), states = ledger->conf->n_checks;

	ledger->entries = xcalloc(entries, sizeof(struct entry *));
	ledger->entries_by_id = xcalloc(entries, sizeof(struct entry *));
	ledger->states = xcalloc(states + 1, sizeof(struct state *));
	ledger->states_by_id = xcalloc(states + 1, sizeof(struct state *));
	ledger->statuses = xcalloc(states + 1, sizeof(*ledger->statuses));
	ledger->waited_for = ledger->next_stale = 0;
	for (size_t i = 0; i < entries; i++)
		make_entry(ledger, before, i);
	for (size_t i = 0; i < states; i++)
		make_state(ledger, before, i);
	for (size_t i = 0; i + 1 < entries; i++)
		mark_apart(ledger, ledger->conf->services[i]);
	ledger_order(ledger);
}

void
ledger_make_tables(struct ledger *ledger, const struct conf *conf)
{
	struct ledger before = { .conf = conf };

	ledger->conf = conf;
	make_tables(ledger, &before);
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
ledger_reload(struct ledger *ledger, const struct conf *next)
{
	struct ledger before = *ledger;

	ledger_doubt(ledger);
	ledger_renew(ledger);
	ledger->conf = next;
	ledger->reloaded = true;
	make_tables(ledger, &before);
	ledger_free_tables(&before);
	ledger_wake(ledger, 0);
}
