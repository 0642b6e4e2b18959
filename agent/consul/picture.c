/* SPDX-License-Identifier: ISC */
/*
 * The ledger's second column, read again: each check and service that Consul's agent shows
 * is held against what is true (desired), between ledger_begin and ledger_end. What is
 * ours and no longer configured goes to orders; what somebody else registered is left
 * alone. A state that lictor vouched for until now, and of which there is no result yet,
 * is taken over. Nothing is sent from here: ledger_end lets the ledger plan.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/conf/conf.h"
#include "agent/consul/desired.h"
#include "agent/consul/ledger_state.h"
#include "agent/consul/orders.h"

static int
compare_state(const void *id, const void *state)
{
	return strcmp(id, (*(struct state *const *)state)->id);
}

static int
compare_entry(const void *id, const void *entry)
{
	return strcmp(id, (*(struct entry *const *)entry)->id);
}

static int
order_states(const void *a, const void *b)
{
	return compare_state((*(struct state *const *)a)->id, b);
}

static int
order_entries(const void *a, const void *b)
{
	return compare_entry((*(struct entry *const *)a)->id, b);
}

void
ledger_order(struct ledger *ledger)
{
	qsort(ledger->entries_by_id, ledger_entries(ledger), sizeof(struct entry *),
	    order_entries);
	qsort(ledger->states_by_id, ledger->conf->n_checks, sizeof(struct state *),
	    order_states);
}

struct state *
ledger_find_state(const struct ledger *ledger, const char *id)
{
	struct state **found = bsearch(id, ledger->states_by_id, ledger->conf->n_checks,
	    sizeof(struct state *), compare_state);

	return found ? *found : NULL;
}

struct entry *
ledger_find_entry(const struct ledger *ledger, const char *id)
{
	struct entry **found = bsearch(id, ledger->entries_by_id,
	    ledger_entries(ledger), sizeof(struct entry *), compare_entry);

	return found ? *found : NULL;
}

void
ledger_begin(struct ledger *ledger, bool alive, int64_t asked_at)
{
	ledger_doubt(ledger);
	ledger->asked_at = asked_at;
	ledger->alive = alive;
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		ledger->states[i].shown = false;
	for (size_t i = 0; i < ledger_entries(ledger); i++)
		ledger->entries[i].shown = ledger->entries[i].alias_shown = false;
}

/* A check without a result of ours takes over what Consul shows, as long as lictor's own
 * check says that somebody vouched for it until now. */
static void
take_state(struct ledger *ledger, struct state *state, const cJSON *shown)
{
	const char *output = json_text(shown, "Output");
	enum check_status status;

	if (!desired_read_status(shown, &status))
		return;
	output = output ? output : "";
	state->shown = desired_check_shown(state->conf, shown);
	if (outbox_settled_by(&state->item, ledger->asked_at)) {
		/* it was lost and made anew without our output: that does not wait */
		if (state->told_output != ledger_output_hash(output))
			state->told_at = loop_now(ledger->loop) - LEDGER_REFRESH_MS;
		state->told = status;
		state->told_output = ledger_output_hash(output);
	}
	if (state->known || !ledger->alive)
		return;
	state->known = true;
	ledger->statuses[state->conf->index] = status;
	ledger_set_output(state, output);
	ledger->out.adopt(ledger->out.arg, state->conf, status, output);
}

static bool
begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static void
take_check_of(struct ledger *ledger, struct entry *entry, const char *id,
    const cJSON *shown, bool ttl)
{
	const char *notes = json_text(shown, "Notes");

	if (!strcmp(id, entry->alias))
		entry->alias_shown = true;
	else if (!entry->conf)
		return;
	else if (begins(id, DESIRED_MAINTENANCE) && notes &&
	    !strcmp(notes, DESIRED_STOPPED))
		orders_end_maintenance(ledger->orders, entry->conf);
	else if (ttl && begins(id, entry->id) && id[strlen(entry->id)] == ':')
		orders_remove(ledger->orders, "check", id, entry->conf->name);
}

/* One that is not configured may be an alias of ours, the maintenance that we began, ours
 * of an earlier configuration, or somebody else's. */
void
ledger_shown_check(struct ledger *ledger, const char *id, const cJSON *shown)
{
	const char *service = json_text(shown, "ServiceID");
	const char *type = json_text(shown, "Type");
	bool ttl = type && !strcmp(type, "ttl");
	struct state *state = ledger_find_state(ledger, id);
	struct entry *entry = ledger_find_entry(ledger, service ? service : "");

	if (state)
		take_state(ledger, state, shown);
	else if (entry)
		take_check_of(ledger, entry, id, shown, ttl);
	else if (ttl && (!service || !service[0]) && begins(id, DESIRED_LICTOR ":"))
		orders_remove(ledger->orders, "check", id, NULL);
}

static bool
entry_shown(struct ledger *ledger, const struct entry *entry, const cJSON *shown)
{
	AUTO_JSON cJSON *want =
	    desired_service(entry->conf, entry->role, entry->term, ledger->statuses);

	for (size_t i = 0; i < entry->conf->n_checks; i++)
		if (!ledger_state_of(ledger, entry->conf->checks[i])->shown)
			return false;
	return desired_service_shown(want, shown);
}

void
ledger_shown_service(struct ledger *ledger, const char *id, const cJSON *shown)
{
	struct entry *entry = ledger_find_entry(ledger, id);
	const char *name = json_text(shown, "Service");

	if (!entry) {
		if (desired_is_ours(shown))
			orders_remove(ledger->orders, "service", id, name ? name : id);
		return;
	}
	if (entry->conf && entry->conf->role && !entry->role_known && ledger->alive)
		desired_read_role(shown, &entry->role, &entry->term);
	entry->shown =
	    entry->alias_shown && (!entry->conf || entry_shown(ledger, entry, shown));
}

/* What was sent or answered since the picture was asked for may be in it or not. */
static void
entry_read(const struct ledger *ledger, struct entry *entry)
{
	if (!outbox_settled_by(&entry->item, ledger->asked_at))
		return;
	if (ledger->read_once && entry->registered && !entry->shown && !entry->unsure)
		log_notice("consul",
		    "service %s is not shown as it was registered: registering it "
		    "again",
		    entry->id);
	if (entry->registered)
		entry->unsure = false;
	entry->registered = entry->shown;
	entry->said = entry->said || entry->shown;
}

static void
state_read(const struct ledger *ledger, struct state *state)
{
	const struct outbox_item *by =
	    state->entry ? &state->entry->item : &state->item;

	if (outbox_settled_by(by, ledger->asked_at))
		state->registered = state->shown;
}

void
ledger_end(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger_entries(ledger); i++)
		entry_read(ledger, &ledger->entries[i]);
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		state_read(ledger, &ledger->states[i]);
	ledger->read_once = true;
	ledger->reading = false;
	ledger->lictor_there = ledger_lictor(ledger)->registered;
	outbox_open(ledger->outbox, true);
	if (!ledger->lictor_there)
		ledger_register(ledger, ledger_lictor(ledger));
	else if (ledger->vouch)
		ledger_vouch(ledger);
	if (ledger->lictor_there)
		ledger_plan(ledger);
}
