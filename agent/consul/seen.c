/* SPDX-License-Identifier: ISC */
/*
 * What Consul's servers show of this node, held against the ledger's second column, which
 * is what the local agent was told. The answers are those of blocking queries that come
 * with every change, our own among them: one that shows what was told costs no more than
 * this look. What was told a moment ago may not have reached the servers, and is judged by
 * a later answer. Outputs are not compared: Consul holds them back for minutes.
 *
 * Nothing is believed from here, and nothing but ledger_repair sends: report reads the
 * agent's own picture where something differs.
 */
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/desired.h"
#include "agent/consul/ledger_state.h"

#define FRESH_MS 300 /* a change is with the servers in a few */
#define REPAIR_MS 1000

static bool
begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool
is_fresh(const struct ledger *ledger, const struct outbox_item *item, int64_t ms)
{
	return !outbox_settled_by(item, loop_now(ledger->loop) - ms);
}

static bool
state_fresh(const struct ledger *ledger, const struct state *state, int64_t ms)
{
	return is_fresh(ledger, &state->item, ms) ||
	    (state->entry && is_fresh(ledger, &state->entry->item, ms)) ||
	    state->told != ledger->statuses[state->conf->index];
}

static void
see_state(struct ledger *ledger, struct state *state, const cJSON *shown)
{
	enum check_status status;

	state->seen = ledger->seen;
	state->wrong = !desired_read_status(shown, &status) || status != state->told;
}

static void
see_check(struct ledger *ledger, const cJSON *shown)
{
	const char *id = json_text(shown, "CheckID");
	const char *service = json_text(shown, "ServiceID");
	struct state *state = ledger_find_state(ledger, id ? id : "");
	struct entry *entry = ledger_find_entry(ledger, service ? service : "");

	if (state)
		see_state(ledger, state, shown);
	else if (entry && id && !strcmp(id, entry->alias))
		entry->alias_seen = ledger->seen;
}

static enum ledger_seen
worse(enum ledger_seen a, enum ledger_seen b)
{
	return a > b ? a : b;
}

static enum ledger_seen
judge_state(const struct ledger *ledger, struct state *state)
{
	state->wrong =
	    state->registered && (state->seen != ledger->seen || state->wrong);
	if (!state->wrong)
		return LEDGER_SAME;
	return state_fresh(ledger, state, FRESH_MS) ? LEDGER_FRESH : LEDGER_OTHER;
}

static enum ledger_seen
judge_entry(
    const struct ledger *ledger, struct entry *entry, uint64_t seen, bool *wrong)
{
	*wrong = ledger_stands(entry) && seen != ledger->seen;
	if (!*wrong)
		return LEDGER_SAME;
	return is_fresh(ledger, &entry->item, FRESH_MS) ? LEDGER_FRESH : LEDGER_OTHER;
}

enum ledger_seen
ledger_seen_checks(struct ledger *ledger, const cJSON *answer)
{
	enum ledger_seen seen = LEDGER_SAME;
	const cJSON *check;

	ledger->seen++;
	cJSON_ArrayForEach (check, answer)
		see_check(ledger, check);
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		seen = worse(seen, judge_state(ledger, ledger->states[i]));
	for (size_t i = 0; i < ledger_entries(ledger); i++) {
		struct entry *entry = ledger->entries[i];

		seen = worse(seen,
		    judge_entry(ledger, entry, entry->alias_seen, &entry->alias_wrong));
	}
	return seen;
}

static bool
service_right(const struct entry *entry, const cJSON *shown)
{
	if (!entry->conf)
		return desired_is_ours(shown);
	if (entry->conf->foreign)
		return true;
	AUTO_JSON cJSON *want = desired_form(entry->conf, entry->role, entry->term);
	return desired_service_shown(want, shown);
}

enum ledger_seen
ledger_seen_services(struct ledger *ledger, const cJSON *services)
{
	enum ledger_seen seen = LEDGER_SAME;
	const cJSON *service;

	ledger->seen++;
	cJSON_ArrayForEach (service, services) {
		struct entry *entry = ledger_find_entry(ledger, service->string);

		if (entry && service_right(entry, service))
			entry->seen = ledger->seen;
	}
	for (size_t i = 0; i < ledger_entries(ledger); i++) {
		struct entry *entry = ledger->entries[i];

		seen =
		    worse(seen, judge_entry(ledger, entry, entry->seen, &entry->wrong));
	}
	return seen;
}

const char *
ledger_seen_left(const struct ledger *ledger, const cJSON *services)
{
	const cJSON *service;

	cJSON_ArrayForEach (service, services) {
		const struct entry *entry = ledger_find_entry(ledger, service->string);

		if (desired_is_ours(service) &&
		    (!entry || (entry->removed && !entry->shown.there)))
			return service->string;
	}
	return NULL;
}

static uint64_t
hash_of(const cJSON *object, const char *name)
{
	const char *text = json_text(object, name);

	return text ? fnv1a64(text, strlen(text)) : 0;
}

/* Not lictor's to register. */
static bool
is_of_others(const struct ledger *ledger, const char *service)
{
	const struct entry *entry = ledger_find_entry(ledger, service);

	return !entry || (entry->conf && entry->conf->foreign);
}

/* In any order. */
uint64_t
ledger_seen_others(const struct ledger *ledger, const cJSON *answer)
{
	uint64_t sum = 0;
	const cJSON *each;

	cJSON_ArrayForEach (each, answer) {
		const char *check = json_text(each, "CheckID");

		if (check &&
		    (begins(check, DESIRED_MAINTENANCE) ||
			!strcmp(check, DESIRED_NODE_MAINTENANCE)))
			sum += hash_of(each, "CheckID") * 31 + hash_of(each, "Notes");
		else if (!check && each->string && is_of_others(ledger, each->string))
			sum += fnv1a64(each->string, strlen(each->string)) | 1;
	}
	return sum;
}

static const char *
repair_check(struct ledger *ledger, struct state *state)
{
	if (!state->wrong || state_fresh(ledger, state, REPAIR_MS))
		return NULL;
	if (state->entry && !state->entry->conf->foreign && !state->apart)
		ledger_register(ledger, state->entry);
	else
		ledger_register_check(ledger, state);
	return state->id;
}

static const char *
repair_service(struct ledger *ledger, struct entry *entry, bool wrong)
{
	if (!wrong || is_fresh(ledger, &entry->item, REPAIR_MS))
		return NULL;
	ledger_register(ledger, entry);
	return entry->id;
}

const char *
ledger_repair(struct ledger *ledger, bool services)
{
	const char *first = NULL, *id;

	for (size_t i = 0; !services && i < ledger->conf->n_checks; i++)
		if ((id = repair_check(ledger, ledger->states[i])) && !first)
			first = id;
	for (size_t i = 0; i < ledger_entries(ledger); i++) {
		struct entry *entry = ledger->entries[i];

		id = repair_service(
		    ledger, entry, services ? entry->wrong : entry->alias_wrong);
		if (id && !first)
			first = id;
	}
	ledger_flush(ledger);
	return first;
}
