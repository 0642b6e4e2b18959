/* SPDX-License-Identifier: ISC */
/*
 * Two columns for each service and each check: what is true and what Consul's agent is
 * believed to show. Its neighbours are desired (what a thing looks like in Consul),
 * outbox (sends what differs, most urgent first) and orders; report feeds it with news, and
 * with what Consul shows when that has to be read again (picture.c).
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
#include "agent/consul/ledger_state.h"
#include "agent/consul/orders.h"
#include "agent/consul/outbox.h"

/* "lictor" unchanged: all aliases are computed anew, each from all checks. */
#define VOUCH_MS 15000
#define VOUCH_PAUSE_MAX_MS 30000
#define VOUCH_SHARE 40 /* aliases times checks, for a millisecond's pause */
#define REGISTER_MS 2000
#define CHECK_MS 20
#define ESCAPED_MAX (3 * (2 * CONF_NAME_MAX + 2) + 1)

size_t
ledger_entries(const struct ledger *ledger)
{
	return ledger->conf->n_services + 1;
}

struct entry *
ledger_lictor(const struct ledger *ledger)
{
	return &ledger->entries[ledger->conf->n_services];
}

struct state *
ledger_state_of(const struct ledger *ledger, const struct conf_check *check)
{
	return &ledger->states[check->index];
}

uint64_t
ledger_output_hash(const char *output)
{
	return fnv1a64(output, strlen(output));
}

void
ledger_set_output(struct state *state, const char *output)
{
	free(state->output);
	state->output = xstrdup(output);
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
	return age >= LEDGER_REFRESH_MS ||
	    (age >= LEDGER_OUTPUT_MS &&
		state->told_output != ledger_output_hash(state->output));
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

void
ledger_plan(struct ledger *ledger)
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
		ledger->vouched_at = loop_now(ledger->loop);
		message->timeout_ms = VOUCH_MS;
		message->body = desired_lictor(ledger->conf->consul.ttl_ms);
		return;
	}
	message->timeout_ms = REGISTER_MS + (int64_t)service->n_checks * CHECK_MS;
	message->body =
	    desired_service(service, entry->role, entry->term, ledger->statuses);
	for (size_t i = 0; i < service->n_checks; i++) {
		const struct conf_check *check = service->checks[i];

		ledger_state_of(ledger, check)->carried =
		    ledger->statuses[check->index];
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
	state->flying_output = ledger_output_hash(state->output);
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
		state->told_output = ledger_output_hash("");
		state->told_at = loop_now(ledger->loop) - LEDGER_REFRESH_MS;
	}
	state_plan(ledger, state);
}

static void
lictor_registered(struct ledger *ledger)
{
	if (!ledger->lictor_there && !ledger->reading) {
		ledger->lictor_there = true;
		ledger_plan(ledger);
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
		struct state *state = ledger_state_of(ledger, service->checks[i]);

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
	else if (ledger->node)
		snprintf(needs, needs_size, "node \"%s\" write", ledger->node);
	else
		snprintf(needs, needs_size, "node write for this node");
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

	if (status != CHECK_UNKNOWN)
		ledger->statuses[check->index] = status;
	state->known = true;
	ledger_set_output(state, output);
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

/* With thousands of checks it costs the agent seconds (a microsecond for each check and
 * alias): one for many changes, so that it takes a twentieth of a CPU. */
static int64_t
vouch_pause(const struct ledger *ledger)
{
	uint64_t ms =
	    (uint64_t)ledger->conf->n_services * ledger->conf->n_checks / VOUCH_SHARE;

	return ms < VOUCH_PAUSE_MAX_MS ? (int64_t)ms : VOUCH_PAUSE_MAX_MS;
}

static void
vouch_when_due(struct ledger *ledger)
{
	if (loop_now(ledger->loop) - ledger->vouched_at >= vouch_pause(ledger))
		entry_plan(ledger, ledger_lictor(ledger), OUTBOX_FIRST);
}

void
ledger_vouch(struct ledger *ledger)
{
	ledger->vouch = true;
	vouch_when_due(ledger);
}

void
ledger_register(struct ledger *ledger, struct entry *entry)
{
	entry_plan(ledger, entry, OUTBOX_REGISTER);
}

void
ledger_register_check(struct ledger *ledger, struct state *state)
{
	state->registered = false;
	state_plan(ledger, state);
}

void
ledger_refresh(struct ledger *ledger)
{
	if (ledger->vouch)
		vouch_when_due(ledger);
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
	return ledger_lictor(ledger)->registered &&
	    !outbox_flying(&ledger_lictor(ledger)->item);
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
	state->told_at = loop_now(ledger->loop) - LEDGER_REFRESH_MS;
	ledger->statuses[check->index] = check->initial;
}

static void
make_tables(struct ledger *ledger)
{
	size_t entries = ledger_entries(ledger), states = ledger->conf->n_checks;

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
	ledger_order(ledger);
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
	ledger->vouched_at = loop_now(loop) - VOUCH_PAUSE_MAX_MS;
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
	for (size_t i = 0; i < ledger_entries(ledger); i++) {
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
	free(ledger->node);
	free(ledger);
}
