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
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/desired.h"
#include "agent/consul/ledger_state.h"
#include "agent/consul/orders.h"

#define ADOPTED_REFRESH_MS INT64_C(21600000)

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
	ledger->alive = alive && !ledger->read_once;
	ledger->node_critical = false;
	free(ledger->read_reason);
	ledger->read_reason = NULL;
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		ledger->states[i]->read_there = ledger->states[i]->read_registered =
		    false;
	for (size_t i = 0; i < ledger_entries(ledger); i++) {
		struct entry *entry = ledger->entries[i];

		entry->read = (struct shown){ .there = false };
		free(entry->read_reason);
		entry->read_reason = NULL;
	}
}

/* ---- checks ---- */

/* When it was told last nobody knows: its refresh comes soon, but not all at one time. */
static void
told_before(struct ledger *ledger, struct state *state)
{
	int64_t soon = (int64_t)(random_u64() % ADOPTED_REFRESH_MS);

	state->told_at = loop_now(ledger->loop) - ledger_refresh_ms(state) + soon;
}

static bool
is_settled(const struct ledger *ledger, const struct state *state)
{
	return outbox_settled_by(&state->item, ledger->asked_at) &&
	    (!state->entry || outbox_settled_by(&state->entry->item, ledger->asked_at));
}

/* One that was lost and made anew shows no output. */
static void
take_told(struct ledger *ledger, struct state *state, enum check_status status,
    const char *output)
{
	if (!state->there)
		told_before(ledger, state);
	state->told = status;
	state->told_output = ledger_output_hash(output);
	state->bare = !output[0];
}

/* A check without a result of ours takes over what Consul shows, as long as lictor's own
 * check says that somebody vouched for it until now; else it is what `initial` says, and
 * that at once: what is shown may be wrong. */
static void
take_state(struct ledger *ledger, struct state *state, const cJSON *shown)
{
	const char *output = json_text(shown, "Output");
	enum check_status status;

	if (!desired_read_status(shown, &status))
		return;
	output = output ? output : "";
	state->read_there = true;
	state->read_registered = desired_check_shown(state->conf, shown);
	if (is_settled(ledger, state))
		take_told(ledger, state, status, output);
	if (!ledger->alive && ledger->statuses[state->conf->index] == CHECK_UNKNOWN)
		ledger_set_status(ledger, state, state->conf->initial);
	if (state->known || !ledger->alive)
		return;
	state->known = true;
	ledger_set_status(ledger, state, status);
	ledger_set_output(state, output);
	ledger->out.adopt(ledger->out.arg, state->conf, status, output);
}

static bool
begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* As ids of ours begin. */
static bool
is_of(const char *id, const char *service)
{
	return begins(id, service) && id[strlen(service)] == ':';
}

static char *
reason_of(const cJSON *shown)
{
	const char *notes = json_text(shown, "Notes");

	return xstrdup(notes ? notes : "");
}

static void
take_maintenance(struct entry *entry, const cJSON *shown)
{
	entry->read.maintained = true;
	entry->read.maintained_by_us = desired_is_marked(shown);
	if (!entry->read.maintained_by_us && !entry->read_reason)
		entry->read_reason = reason_of(shown);
}

static bool
is_critical(const cJSON *shown)
{
	enum check_status status;

	return desired_read_status(shown, &status) && status == CHECK_CRITICAL;
}

static void
take_check_of(
    struct ledger *ledger, struct entry *entry, const char *id, const cJSON *shown)
{
	const char *type = json_text(shown, "Type");
	bool ttl = type && !strcmp(type, "ttl");

	if (!strcmp(id, entry->alias)) {
		entry->read.alias =
		    !entry->conf || desired_alias_shown(entry->conf, shown);
		entry->read.lifeless = is_critical(shown);
	} else if (!entry->conf)
		return;
	else if (begins(id, DESIRED_MAINTENANCE))
		take_maintenance(entry, shown);
	else if (ttl && is_of(id, entry->id) &&
	    (!entry->conf->foreign || desired_is_marked(shown))) {
		entry->read.surplus++;
		orders_remove(ledger->orders, "check", id, entry->conf->name);
	} else {
		entry->read.strange = true;
	}
}

/* Of no service that is configured. */
static void
take_other_check(
    struct ledger *ledger, const char *id, const char *service, const cJSON *shown)
{
	const char *type = json_text(shown, "Type");

	if (!strcmp(id, DESIRED_NODE_MAINTENANCE) && !ledger->read_reason)
		ledger->read_reason = reason_of(shown);
	else if (service[0] && is_of(id, service) && desired_is_marked(shown))
		orders_remove(ledger->orders, "check", id, service);
	else if (!service[0] && type && !strcmp(type, "ttl") &&
	    is_of(id, DESIRED_LICTOR))
		orders_remove(ledger->orders, "check", id, NULL);
}

/* One that is not configured may be an alias of ours, a maintenance, ours of an earlier
 * configuration, or somebody else's. */
void
ledger_shown_check(struct ledger *ledger, const char *id, const cJSON *shown)
{
	const char *text = json_text(shown, "ServiceID"), *service = text ? text : "";
	struct state *state = ledger_find_state(ledger, id);
	struct entry *entry = ledger_find_entry(ledger, service);

	if (!service[0] && is_critical(shown))
		ledger->node_critical = true;
	if (state)
		take_state(ledger, state, shown);
	else if (entry)
		take_check_of(ledger, entry, id, shown);
	else
		take_other_check(ledger, id, service, shown);
}

/* ---- services ---- */

static bool
form_shown(const struct ledger *ledger, const struct entry *entry, const cJSON *shown)
{
	AUTO_JSON cJSON *want = entry->conf
	    ? desired_form(entry->conf, entry->role, entry->term)
	    : desired_lictor(ledger->conf->consul.ttl_ms);

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
	entry->read.there = true;
	entry->read.ours = desired_is_ours(shown);
	entry->read.same_form = form_shown(ledger, entry, shown);
}

/* ---- what comes of it ---- */

static bool
all_shown(const struct ledger *ledger, const struct entry *entry)
{
	size_t n = entry->conf ? entry->conf->n_checks : 0;

	for (size_t i = 0; i < n; i++) {
		const struct state *state =
		    ledger_state_of(ledger, entry->conf->checks[i]);

		if (state->registered && !state->read_registered &&
		    is_settled(ledger, state))
			return false;
	}
	return true;
}

static void
say_lost(const struct ledger *ledger, const struct entry *entry, bool stood)
{
	bool stands = ledger_stands(entry) && all_shown(ledger, entry);

	if (ledger->read_once && !ledger->reloaded && stood && !stands &&
	    !entry->unsure)
		log_notice("consul",
		    "service %s is not shown as it was registered: registering it "
		    "again",
		    entry->id);
}

/* Once for each time that who registers it begins or ends that. */
static void
say_foreign(struct entry *entry)
{
	const char *name = entry->conf->name;
	bool there = entry->shown.there;

	if (there == entry->said && entry->looked)
		return;
	if (there)
		log_notice("consul", "service %s is there: its checks are added", name);
	else
		log_notice("consul",
		    "service %s is registered by nobody: its checks wait for it", name);
	entry->said = there;
	entry->looked = true;
}

/* The last word on a maintenance holds until Consul says otherwise. */
static void
tell_maintenance(
    struct ledger *ledger, const struct conf_service *service, char **said, char **read)
{
	const char *now = *read ? *read : "";
	bool changed = !*said != !*read || (*said && strcmp(*said, now) != 0);

	free(*said);
	*said = *read;
	*read = NULL;
	if (changed)
		ledger->out.maintenance(ledger->out.arg, service, *said != NULL, now);
}

static void
say_maintenance(
    const struct ledger *ledger, const struct entry *entry, const struct shown *before)
{
	if (entry->shown.maintained_by_us && !entry->upkept && !ledger->read_once)
		log_notice("consul",
		    "service %s leaves the maintenance that lictord began before it "
		    "stopped",
		    entry->id);
	if (entry->want_maintained && before->maintained && !entry->shown.maintained)
		log_notice("consul",
		    "service %s is not in maintenance any more, though that was not "
		    "ended here: it is put back (lictorctl maintenance off %s ends it)",
		    entry->id, entry->conf->name);
}

/* What was sent or answered since the picture was asked for may be in it or not. */
static bool
entry_read(struct ledger *ledger, struct entry *entry)
{
	struct shown before = entry->shown;
	bool stood = ledger_stands(entry);

	if (outbox_settled_by(&entry->item, ledger->asked_at)) {
		entry->shown = entry->read;
		if (entry->conf && entry->conf->foreign) {
			say_foreign(entry);
		} else {
			say_lost(ledger, entry, stood);
			entry->said = entry->said || ledger_stands(entry);
		}
		if (stood)
			entry->unsure = false;
		if (entry->conf)
			say_maintenance(ledger, entry, &before);
	}
	if (entry->conf)
		tell_maintenance(
		    ledger, entry->conf, &entry->reason, &entry->read_reason);
	return entry->shown.there == entry->read.there &&
	    entry->shown.same_form == entry->read.same_form &&
	    entry->shown.alias == entry->read.alias;
}

static bool
state_read(const struct ledger *ledger, struct state *state)
{
	if (is_settled(ledger, state)) {
		state->there = state->read_there;
		state->registered = state->read_registered;
	}
	return state->there == state->read_there &&
	    state->registered == state->read_registered;
}

/* Aliases see the maintenance of the node, but are not told of it. */
static void
node_read(struct ledger *ledger)
{
	bool was = ledger->reason != NULL;

	tell_maintenance(ledger, NULL, &ledger->reason, &ledger->read_reason);
	if (ledger->read_once && was != (ledger->reason != NULL))
		ledger->vouch = true;
}

static bool
is_behind(const struct entry *entry)
{
	return entry->conf && entry->shown.alias && entry->shown.lifeless;
}

/* An alias may miss that lictor lives again, and sees it a minute later. Milliseconds are in
 * order; at the second picture lictor is registered again, of which all aliases are told,
 * and at the third whoever is behind, whose alias is then made anew. What does not help once
 * is not tried again. */
static bool
aliases_follow(struct ledger *ledger)
{
	const struct shown *lictor = &ledger_lictor(ledger)->shown;
	bool judged = lictor->alias && !lictor->lifeless && !ledger->node_critical;
	size_t behind = 0;

	for (size_t i = 0; judged && i < ledger->conf->n_services; i++) {
		struct entry *entry = ledger->entries[i];

		if (!is_behind(entry))
			continue;
		behind++;
		if (ledger->behind == 2)
			entry->again = true;
	}
	ledger->behind = behind > 0 ? ledger->behind + 1 : 0;
	if (ledger->behind == 2)
		ledger->vouch = true;
	return ledger->behind == 0 || ledger->behind > 3;
}

bool
ledger_end(struct ledger *ledger)
{
	bool same = true;

	for (size_t i = 0; i < ledger_entries(ledger); i++)
		same &= entry_read(ledger, ledger->entries[i]);
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		same &= state_read(ledger, ledger->states[i]);
	node_read(ledger);
	same &= aliases_follow(ledger);
	ledger->read_once = true;
	ledger->reading = ledger->reloaded = false;
	ledger->read_at = ledger->asked_at;
	ledger->lictor_there = ledger_stands(ledger_lictor(ledger));
	outbox_open(ledger->outbox, true);
	ledger_plan(ledger);
	return same;
}
