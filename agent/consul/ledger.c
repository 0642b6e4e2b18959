/* SPDX-License-Identifier: ISC */
/*
 * Two columns for each service and each check: what is true and what Consul's agent is
 * believed to show. Its neighbours are desired (what a thing looks like in Consul),
 * outbox (sends what differs, most urgent first) and orders; report feeds it with news and
 * with what Consul shows when that has to be read again.
 *
 * A state is not sent while its service is not registered: the registration carries it,
 * and where Consul knew the check already, the update that follows. Nothing but "lictor"
 * is registered before that is: the aliases would be critical. What a call leaves
 * uncertain is not guessed: report reads the picture again.
 */
#include "agent/consul/ledger.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"
#include "agent/consul/orders.h"
#include "agent/consul/outbox.h"

#define OUTPUT_MS 30000 /* between updates that change nothing but the output */
#define REFRESH_MS 3600000 /* of a state that stays: its TTL is 4 h */
#define ESCAPED_MAX (3 * (2 * CONF_NAME_MAX + 2) + 1)

enum kind { KIND_SERVICE, KIND_CHECK, KIND_ORDER };

struct entry {
	struct outbox_item item;
	const struct conf_service *conf; /* NULL: lictor itself */
	const char *id;
	char *alias; /* the id of the check that shows lictor's life */
	enum report_role role;
	uint64_t term;
	bool role_known;
	bool registered; /* as it should be, for all we know */
	bool alias_shown, shown; /* in the picture being read */
	bool said; /* that it is registered */
	bool unsure; /* a registration had no answer, and may be carried out late */
	struct outbox_complaint complaint;
};

struct state {
	struct outbox_item item;
	const struct conf_check *conf;
	struct entry *entry; /* NULL: a check of the node */
	char *id;
	char *output;
	bool known; /* there was a result, or Consul's state was taken over */
	bool registered;
	bool shown; /* in the picture being read */
	enum check_status told;
	enum check_status flying; /* in an update */
	enum check_status carried; /* in a registration */
	uint64_t told_output, flying_output; /* hashes */
	int64_t told_at;
};

struct ledger {
	struct loop *loop;
	const struct conf *conf;
	struct ledger_out out;
	struct outbox *outbox;
	struct orders *orders;
	struct entry *entries; /* of the services by index, then of lictor */
	struct state *states; /* by index of the check */
	enum check_status *statuses;
	struct entry **entries_by_id;
	struct state **states_by_id;
	bool read_once;
	bool reading; /* what Consul shows is not known: nothing is planned */
	bool alive; /* lictor's own check was, in the picture */
	bool lictor_there; /* an alias of it finds it: the others may follow */
	bool vouch; /* "lictor" is to be registered, unchanged as it may be */
	bool stopping;
	struct outbox_complaint node_complaint;
};

static size_t
entry_count(const struct ledger *ledger)
{
	return ledger->conf->n_services + 1;
}

static struct entry *
lictor(const struct ledger *ledger)
{
	return &ledger->entries[ledger->conf->n_services];
}

static struct state *
state_of(const struct ledger *ledger, const struct conf_check *check)
{
	return &ledger->states[check->index];
}

static uint64_t
output_hash(const char *output)
{
	return fnv1a64(output, strlen(output));
}

static void
entry_plan(struct ledger *ledger, struct entry *entry, enum outbox_queue queue)
{
	entry->registered = false;
	if (ledger->stopping)
		return;
	if (!entry->conf)
		outbox_put(&entry->item, OUTBOX_FIRST);
	else if (ledger->lictor_there && !ledger->reading)
		outbox_put(&entry->item, queue);
}

static bool
state_stale(const struct state *state, int64_t now)
{
	int64_t age = now - state->told_at;

	if (!state->known)
		return false;
	return age >= REFRESH_MS ||
	    (age >= OUTPUT_MS && state->told_output != output_hash(state->output));
}

/* The answer to what is under way plans again; so does a registration. */
static void
state_plan(struct ledger *ledger, struct state *state)
{
	enum check_status status = ledger->statuses[state->conf->index];

	if (ledger->reading || !ledger->lictor_there || ledger->stopping ||
	    outbox_flying(&state->item))
		return;
	if (!state->registered) {
		if (!state->entry)
			outbox_put(&state->item, OUTBOX_REGISTER);
	} else if (status != state->told) {
		outbox_put(&state->item,
		    status == CHECK_CRITICAL ? OUTBOX_CRITICAL : OUTBOX_STATUS);
	} else if (state_stale(state, loop_now(ledger->loop))) {
		outbox_put(&state->item, OUTBOX_REST);
	}
}

static void
plan_all(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->conf->n_services; i++)
		if (!ledger->entries[i].registered)
			entry_plan(ledger, &ledger->entries[i], OUTBOX_REGISTER);
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		state_plan(ledger, &ledger->states[i]);
}

static void
build_service(
    struct ledger *ledger, struct entry *entry, struct outbox_message *message)
{
	const struct conf_service *service = entry->conf;

	message->path = xstrdup("/v1/agent/service/register");
	entry->registered = true;
	if (!service) {
		ledger->vouch = false;
		message->body = desired_lictor(ledger->conf->consul.ttl_ms);
		return;
	}
	message->body =
	    desired_service(service, entry->role, entry->term, ledger->statuses);
	for (size_t i = 0; i < service->n_checks; i++) {
		const struct conf_check *check = service->checks[i];

		state_of(ledger, check)->carried = ledger->statuses[check->index];
	}
}

static void
build_check(struct ledger *ledger, struct state *state, struct outbox_message *message)
{
	char id[ESCAPED_MAX];

	state->flying = ledger->statuses[state->conf->index];
	if (!state->registered) {
		assert(!state->entry);
		message->path = xstrdup("/v1/agent/check/register");
		message->body = desired_node_check(state->conf, state->flying);
		return;
	}
	consul_escape(id, sizeof(id), state->id);
	state->flying_output = output_hash(state->output);
	message->path = xasprintf("/v1/agent/check/update/%s", id);
	message->body = desired_update(state->flying, state->output);
}

static void
build(void *arg, struct outbox_item *item, struct outbox_message *message)
{
	switch ((enum kind)item->kind) {
	case KIND_SERVICE: build_service(arg, (struct entry *)item, message); break;
	case KIND_CHECK: build_check(arg, (struct state *)item, message); break;
	case KIND_ORDER: message->path = xstrdup(orders_path(item)); break;
	}
}

/* A status that Consul had already won over the one carried: known ones are told. */
static void
state_registered(struct ledger *ledger, struct state *state, enum check_status status)
{
	if (!state->registered) {
		state->registered = true;
		state->told = status;
		state->told_output = output_hash("");
		state->told_at = loop_now(ledger->loop) - REFRESH_MS;
	}
	state_plan(ledger, state);
}

static void
lictor_registered(struct ledger *ledger)
{
	if (!ledger->lictor_there && !ledger->reading) {
		ledger->lictor_there = true;
		plan_all(ledger);
	}
	ledger->out.vouched(ledger->out.arg);
}

static void
service_answered(
    struct ledger *ledger, struct entry *entry, const struct consul_reply *reply)
{
	const struct conf_service *service = entry->conf;

	if (reply->result != CONSUL_OK) {
		ledger->vouch = ledger->vouch || !service;
		entry->registered = false;
		entry->unsure = entry->unsure || reply->result == CONSUL_AWAY;
		return;
	}
	if (!service) {
		lictor_registered(ledger);
		return;
	}
	if (!entry->said)
		log_info("consul", "service %s is registered", service->name);
	entry->said = true;
	for (size_t i = 0; i < service->n_checks; i++) {
		struct state *state = state_of(ledger, service->checks[i]);

		state_registered(ledger, state, state->carried);
	}
}

static void
check_answered(
    struct ledger *ledger, struct state *state, const struct consul_reply *reply)
{
	bool changed = !state->registered || state->told != state->flying;

	if (reply->result == CONSUL_NOT_FOUND)
		state->registered = false;
	if (reply->result != CONSUL_OK)
		return;
	if (state->registered) {
		state->told = state->flying;
		state->told_output = state->flying_output;
		state->told_at = loop_now(ledger->loop);
	}
	state_registered(ledger, state, state->flying);
	/* Aliases see the node's checks, but look only when "lictor" is registered. */
	if (!state->entry && changed)
		ledger_vouch(ledger);
}

static void
on_done(void *arg, struct outbox_item *item, const struct consul_reply *reply)
{
	struct ledger *ledger = arg;
	enum consul_result result = reply->result;

	switch ((enum kind)item->kind) {
	case KIND_SERVICE: service_answered(ledger, (struct entry *)item, reply); break;
	case KIND_CHECK: check_answered(ledger, (struct state *)item, reply); break;
	case KIND_ORDER:
		orders_answered(item, result);
		/* what is to be removed and is not there is done */
		if (result == CONSUL_NOT_FOUND)
			result = CONSUL_OK;
		break;
	}
	ledger->out.answered(ledger->out.arg, result);
}

static const char *
describe_item(const struct outbox_item *item, char *what, size_t size)
{
	const struct entry *entry = (const struct entry *)item;
	const struct state *state = (const struct state *)item;
	const char *service = NULL;

	switch ((enum kind)item->kind) {
	case KIND_SERVICE:
		service = entry->conf ? entry->conf->name : DESIRED_LICTOR;
		snprintf(what, size, "registering %s", service);
		break;
	case KIND_CHECK:
		service = state->entry ? state->entry->conf->name : NULL;
		snprintf(what, size, "reporting %s", state->id);
		break;
	case KIND_ORDER:
		service = orders_service(item);
		snprintf(what, size, "%s", orders_what(item));
		break;
	}
	return service;
}

static void
describe(void *arg, const struct outbox_item *item, char *what, size_t what_size,
    char *needs, size_t needs_size)
{
	const struct ledger *ledger = arg;
	const char *service = describe_item(item, what, what_size);

	if (service)
		snprintf(needs, needs_size, "service \"%s\" write", service);
	else if (ledger->conf->node)
		snprintf(needs, needs_size, "node \"%s\" write", ledger->conf->node);
	else
		snprintf(needs, needs_size, "node write for this node");
}

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

static struct state *
find_state(const struct ledger *ledger, const char *id)
{
	struct state **found = bsearch(id, ledger->states_by_id, ledger->conf->n_checks,
	    sizeof(struct state *), compare_state);

	return found ? *found : NULL;
}

static struct entry *
find_entry(const struct ledger *ledger, const char *id)
{
	struct entry **found = bsearch(id, ledger->entries_by_id, entry_count(ledger),
	    sizeof(struct entry *), compare_entry);

	return found ? *found : NULL;
}

static void
set_output(struct state *state, const char *output)
{
	free(state->output);
	state->output = xstrdup(output);
}

void
ledger_begin(struct ledger *ledger, bool alive)
{
	ledger_doubt(ledger);
	ledger->alive = alive;
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		ledger->states[i].shown = false;
	for (size_t i = 0; i < entry_count(ledger); i++)
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
	/* it was lost and made anew without our output: that does not wait */
	if (state->told_output != output_hash(output))
		state->told_at = loop_now(ledger->loop) - REFRESH_MS;
	state->told = status;
	state->told_output = output_hash(output);
	if (state->known || !ledger->alive)
		return;
	state->known = true;
	ledger->statuses[state->conf->index] = status;
	set_output(state, output);
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
	struct state *state = find_state(ledger, id);
	struct entry *entry = find_entry(ledger, service ? service : "");

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
		if (!state_of(ledger, entry->conf->checks[i])->shown)
			return false;
	return desired_service_shown(want, shown);
}

void
ledger_shown_service(struct ledger *ledger, const char *id, const cJSON *shown)
{
	struct entry *entry = find_entry(ledger, id);
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

static void
entry_read(const struct ledger *ledger, struct entry *entry)
{
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

void
ledger_end(struct ledger *ledger)
{
	for (size_t i = 0; i < entry_count(ledger); i++)
		entry_read(ledger, &ledger->entries[i]);
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		ledger->states[i].registered = ledger->states[i].shown;
	ledger->read_once = true;
	ledger->reading = false;
	ledger->lictor_there = lictor(ledger)->shown;
	outbox_open(ledger->outbox, true);
	if (ledger->vouch || !ledger->lictor_there)
		ledger_vouch(ledger);
	if (ledger->lictor_there)
		plan_all(ledger);
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
	struct state *state = state_of(ledger, check);

	if (status != CHECK_UNKNOWN)
		ledger->statuses[check->index] = status;
	state->known = true;
	set_output(state, output);
	state_plan(ledger, state);
}

void
ledger_role(struct ledger *ledger, const struct conf_service *service,
    enum report_role role, uint64_t term)
{
	struct entry *entry = &ledger->entries[service->index];

	entry->role_known = true;
	if (entry->role == role && entry->term == term)
		return;
	entry->role = role;
	entry->term = term;
	entry_plan(ledger, entry, OUTBOX_FIRST);
}

void
ledger_vouch(struct ledger *ledger)
{
	ledger->vouch = true;
	entry_plan(ledger, lictor(ledger), OUTBOX_FIRST);
}

void
ledger_refresh(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->conf->n_checks; i++)
		state_plan(ledger, &ledger->states[i]);
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
	return lictor(ledger)->registered && !outbox_flying(&lictor(ledger)->item);
}

bool
ledger_idle(const struct ledger *ledger)
{
	return outbox_idle(ledger->outbox);
}

bool
ledger_settled(const struct ledger *ledger)
{
	return outbox_settled(ledger->outbox);
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

static void
entry_init(
    struct ledger *ledger, struct entry *entry, const struct conf_service *service)
{
	outbox_init(ledger->outbox, &entry->item, KIND_SERVICE, &entry->complaint);
	entry->conf = service;
	entry->id = service ? service->id : DESIRED_LICTOR;
	entry->alias = service ? desired_alias_id(service) : xstrdup(DESIRED_HEARTBEAT);
	entry->role = service && service->role ? REPORT_BACKUP : REPORT_NO_ROLE;
}

static void
state_init(struct ledger *ledger, struct state *state, const struct conf_check *check)
{
	if (check->service)
		state->entry = &ledger->entries[check->service->index];
	outbox_init(ledger->outbox, &state->item, KIND_CHECK,
	    state->entry ? &state->entry->complaint : &ledger->node_complaint);
	state->conf = check;
	state->id = desired_check_id(check);
	state->output = xstrdup("");
	state->told_at = loop_now(ledger->loop) - REFRESH_MS;
	ledger->statuses[check->index] = check->initial;
}

static void
make_tables(struct ledger *ledger)
{
	size_t entries = entry_count(ledger), states = ledger->conf->n_checks;

	ledger->entries = xcalloc(entries, sizeof(*ledger->entries));
	ledger->entries_by_id = xcalloc(entries, sizeof(struct entry *));
	ledger->states = xcalloc(states + 1, sizeof(*ledger->states));
	ledger->states_by_id = xcalloc(states + 1, sizeof(struct state *));
	ledger->statuses = xcalloc(states + 1, sizeof(*ledger->statuses));
	for (size_t i = 0; i < entries; i++) {
		entry_init(ledger, &ledger->entries[i],
		    i + 1 < entries ? ledger->conf->services[i] : NULL);
		ledger->entries_by_id[i] = &ledger->entries[i];
	}
	for (size_t i = 0; i < states; i++) {
		state_init(ledger, &ledger->states[i], ledger->conf->checks[i]);
		ledger->states_by_id[i] = &ledger->states[i];
	}
	qsort(ledger->entries_by_id, entries, sizeof(struct entry *), order_entries);
	qsort(ledger->states_by_id, states, sizeof(struct state *), order_states);
}

struct ledger *
ledger_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const struct ledger_out *out)
{
	struct ledger *ledger = xcalloc(1, sizeof(*ledger));
	struct outbox_out outbox = {
		.build = build,
		.done = on_done,
		.describe = describe,
		.arg = ledger,
	};

	ledger->loop = loop;
	ledger->conf = conf;
	ledger->out = *out;
	ledger->reading = ledger->vouch = true;
	ledger->outbox = outbox_new(loop, consul, &outbox);
	ledger->orders = orders_new(ledger->outbox, KIND_ORDER);
	make_tables(ledger);
	return ledger;
}

void
ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	orders_free(ledger->orders);
	for (size_t i = 0; i < entry_count(ledger); i++) {
		outbox_drop(&ledger->entries[i].item);
		free(ledger->entries[i].alias);
	}
	for (size_t i = 0; i < ledger->conf->n_checks; i++) {
		outbox_drop(&ledger->states[i].item);
		free(ledger->states[i].id);
		free(ledger->states[i].output);
	}
	outbox_free(ledger->outbox);
	free(ledger->entries);
	free(ledger->entries_by_id);
	free(ledger->states);
	free(ledger->states_by_id);
	free(ledger->statuses);
	free(ledger);
}
