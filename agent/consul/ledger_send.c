/* SPDX-License-Identifier: ISC */
/*
 * The ledger's calls: what each says is what the difference says when it leaves, so that
 * the newest truth goes out, or nothing if there is none any more; and what came of it goes
 * into the second column. A status that Consul had already wins over one that is
 * registered; what a call leaves uncertain is not guessed: report reads the picture again.
 */
#include <assert.h>
#include <stdio.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"
#include "agent/consul/ledger_state.h"
#include "agent/consul/orders.h"

#define ESCAPED_MAX (3 * (2 * CONF_NAME_MAX + 2) + 1)
#define REGISTER_MS 2000
#define REGISTER_CHECK_MS 10
/* "lictor" again costs the agent a microsecond for each check and alias; it is to take a
 * twentieth of a CPU. */
#define VOUCH_SHARE 40 /* aliases times checks, for a millisecond's pause */
#define VOUCH_PAUSE_MAX_MS 30000

static int64_t
vouch_pause(const struct ledger *ledger)
{
	uint64_t ms =
	    (uint64_t)ledger->conf->n_services * ledger->conf->n_checks / VOUCH_SHARE;

	return ms < VOUCH_PAUSE_MAX_MS ? (int64_t)ms : VOUCH_PAUSE_MAX_MS;
}

/* ---- what is said ---- */

static void
build_lictor(struct ledger *ledger, struct entry *entry, struct outbox_message *message)
{
	if (ledger_stands(entry) && !ledger->vouch && !entry->again)
		return;
	entry->doing = DIFFER_REGISTER;
	entry->again = ledger->vouch = false;
	message->path = xstrdup("/v1/agent/service/register");
	message->body = desired_lictor(ledger->conf->consul.ttl_ms);
	message->timeout_ms = REGISTER_MS + vouch_pause(ledger) / 2;
}

static void
build_registration(
    struct ledger *ledger, struct entry *entry, struct outbox_message *message)
{
	const struct conf_service *service = entry->conf;

	message->path = xasprintf("/v1/agent/service/register%s",
	    entry->doing == DIFFER_REGISTER_REPLACING ? "?replace-existing-checks=true"
						      : "");
	message->body = desired_service(
	    service, entry->role, entry->term, ledger->statuses, entry->within);
	message->timeout_ms =
	    REGISTER_MS + REGISTER_CHECK_MS * (int64_t)service->n_checks;
	for (size_t i = 0; i < service->n_checks; i++)
		ledger_state_of(ledger, service->checks[i])->carried = i < entry->within
		    ? ledger->statuses[service->checks[i]->index]
		    : CHECK_UNKNOWN;
}

static char *
service_path(const struct entry *entry, const char *what)
{
	char id[ESCAPED_MAX];

	consul_escape(id, sizeof(id), entry->id);
	return xasprintf("/v1/agent/service/%s/%s", what, id);
}

static enum differ_do
to_do(struct ledger *ledger, const struct entry *entry)
{
	struct differ_service view = ledger_view(ledger, entry);
	enum differ_do what = differ_service(&view);

	if (what != DIFFER_NOTHING || !entry->again || !view.shown)
		return what;
	return entry->conf->foreign ? DIFFER_ADD_ALIAS : DIFFER_REGISTER;
}

static void
build_service(
    struct ledger *ledger, struct entry *entry, struct outbox_message *message)
{
	entry->changed = false;
	if (!entry->conf) {
		build_lictor(ledger, entry, message);
		return;
	}
	entry->doing = to_do(ledger, entry);
	switch (entry->doing) {
	case DIFFER_NOTHING: break;
	case DIFFER_REGISTER:
	case DIFFER_REGISTER_REPLACING:
		entry->again = false;
		build_registration(ledger, entry, message);
		break;
	case DIFFER_ADD_ALIAS:
		entry->again = false;
		message->path = xstrdup("/v1/agent/check/register");
		message->body = desired_alias(entry->conf);
		break;
	case DIFFER_REMOVE_SERVICE:
		message->path = service_path(entry, "deregister");
		break;
	case DIFFER_MAINTAIN:
	case DIFFER_MAINTAIN_NO_MORE:
		message->path = desired_maintenance_path(entry->conf,
		    entry->doing == DIFFER_MAINTAIN,
		    entry->want_reason ? entry->want_reason : "");
		break;
	case DIFFER_ADD_CHECK:
	case DIFFER_UPDATE:
	case DIFFER_REMOVE_CHECK: assert(false); /* of a service itself */
	}
}

static void
build_check(struct ledger *ledger, struct state *state, struct outbox_message *message)
{
	struct differ_service service = ledger_view(ledger, state->entry);
	struct differ_check check = ledger_view_check(ledger, state);
	char id[ESCAPED_MAX];

	state->doing = differ_check(&service, &check);
	if (state->doing == DIFFER_NOTHING && state->registered && service.wanted)
		state->doing = DIFFER_UPDATE; /* its output, or a refresh */
	state->flying = check.want;
	if (state->doing == DIFFER_ADD_CHECK) {
		message->path = xstrdup("/v1/agent/check/register");
		message->body = desired_check(state->conf, state->flying);
	} else if (state->doing == DIFFER_UPDATE) {
		consul_escape(id, sizeof(id), state->id);
		state->flying_output = ledger_output_hash(state->output);
		message->path = xasprintf("/v1/agent/check/update/%s", id);
		message->body = desired_update(state->flying, state->output);
	}
}

void
ledger_build(void *arg, struct outbox_item *item, struct outbox_message *message)
{
	switch ((enum kind)item->kind) {
	case KIND_SERVICE: build_service(arg, (struct entry *)item, message); break;
	case KIND_CHECK: build_check(arg, (struct state *)item, message); break;
	case KIND_ORDER: message->path = xstrdup(orders_path(item)); break;
	}
}

/* ---- what came of it ---- */

static void
state_there(struct ledger *ledger, struct state *state, enum check_status status)
{
	if (!state->there) {
		state->told = status;
		state->told_output = ledger_output_hash("");
		state->told_at = loop_now(ledger->loop);
		state->bare = true;
	}
	state->there = state->registered = true;
}

static void
lictor_registered(struct ledger *ledger, struct entry *lictor)
{
	ledger->vouch_at = loop_now(ledger->loop) + vouch_pause(ledger);
	lictor->shown.there = lictor->shown.ours = lictor->shown.alias = true;
	lictor->shown.same_form = !lictor->changed;
	if (!ledger->lictor_there && !ledger->reading) {
		ledger->lictor_there = true;
		ledger_plan(ledger);
	}
	ledger->out.vouched(ledger->out.arg);
}

static void
service_registered(struct ledger *ledger, struct entry *entry)
{
	const struct conf_service *service = entry->conf;

	entry->shown.there = entry->shown.ours = entry->shown.alias = true;
	entry->shown.same_form = !entry->changed;
	if (entry->doing == DIFFER_REGISTER_REPLACING) {
		entry->shown.surplus = 0;
		entry->shown.maintained = entry->shown.maintained_by_us = false;
	}
	if (!entry->said)
		log_info("consul", "service %s is registered", service->name);
	entry->said = true;
	for (size_t i = 0; i < service->n_checks; i++) {
		struct state *state = ledger_state_of(ledger, service->checks[i]);

		if (state->carried != CHECK_UNKNOWN)
			state_there(ledger, state, state->carried);
	}
}

static void
service_gone(struct ledger *ledger, struct entry *entry)
{
	entry->shown = (struct shown){ .there = false };
	for (size_t i = 0; i < entry->conf->n_checks; i++) {
		struct state *state = ledger_state_of(ledger, entry->conf->checks[i]);

		state->there = state->registered = false;
	}
}

static void
service_done(struct ledger *ledger, struct entry *entry)
{
	switch (entry->doing) {
	case DIFFER_REGISTER:
	case DIFFER_REGISTER_REPLACING: service_registered(ledger, entry); break;
	case DIFFER_ADD_ALIAS: entry->shown.alias = true; break;
	case DIFFER_REMOVE_SERVICE: service_gone(ledger, entry); break;
	case DIFFER_MAINTAIN:
		entry->shown.maintained = entry->shown.maintained_by_us = true;
		break;
	case DIFFER_MAINTAIN_NO_MORE:
		entry->shown.maintained = entry->shown.maintained_by_us = false;
		break;
	case DIFFER_NOTHING:
	case DIFFER_ADD_CHECK:
	case DIFFER_UPDATE:
	case DIFFER_REMOVE_CHECK: break;
	}
}

static void
service_failed(struct ledger *ledger, struct entry *entry, enum consul_result result)
{
	entry->unsure = entry->unsure || result == CONSUL_AWAY;
	if (!entry->conf)
		ledger->vouch = ledger->vouch || result != CONSUL_BAD;
	else if (result == CONSUL_NOT_FOUND)
		service_gone(ledger, entry);
	else if (result != CONSUL_BAD &&
	    (entry->doing == DIFFER_REGISTER || entry->doing == DIFFER_ADD_ALIAS))
		entry->again = entry->again || ledger_stands(entry);
}

static void
service_answered(
    struct ledger *ledger, struct entry *entry, const struct consul_reply *reply)
{
	if (reply->result != CONSUL_OK) {
		service_failed(ledger, entry, reply->result);
		return;
	}
	if (!entry->conf) {
		lictor_registered(ledger, entry);
		return;
	}
	service_done(ledger, entry);
	ledger_plan_entry(ledger, entry, OUTBOX_REGISTER);
	for (size_t i = 0; entry->shown.there && i < entry->conf->n_checks; i++)
		ledger_plan_state(
		    ledger, ledger_state_of(ledger, entry->conf->checks[i]));
}

static void
check_answered(
    struct ledger *ledger, struct state *state, const struct consul_reply *reply)
{
	bool changed = !state->registered || state->told != state->flying;

	if (reply->result == CONSUL_NOT_FOUND)
		state->there = state->registered = false;
	if (reply->result != CONSUL_OK)
		return;
	if (state->doing == DIFFER_ADD_CHECK) {
		state_there(ledger, state, state->flying);
	} else {
		state->told = state->flying;
		state->told_output = state->flying_output;
		state->told_at = loop_now(ledger->loop);
		state->bare = false;
	}
	ledger_plan_state(ledger, state);
	/* Aliases see the node's checks, but look only when "lictor" is registered. */
	if (!state->entry && changed)
		ledger_vouch(ledger);
}

void
ledger_done(void *arg, struct outbox_item *item, const struct consul_reply *reply)
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

/* ---- what is said of a refusal ---- */

static const char *
service_what(const struct entry *entry, char *what, size_t size)
{
	const char *name = entry->conf ? entry->conf->name : DESIRED_LICTOR;
	const char *doing = "registering";

	if (entry->doing == DIFFER_REMOVE_SERVICE)
		doing = "removing";
	else if (entry->doing == DIFFER_MAINTAIN ||
	    entry->doing == DIFFER_MAINTAIN_NO_MORE)
		doing = "the maintenance of";
	snprintf(what, size, "%s %s", doing, name);
	return name;
}

static const char *
describe_item(const struct outbox_item *item, char *what, size_t size)
{
	const struct state *state = (const struct state *)item;
	const char *service = NULL;

	switch ((enum kind)item->kind) {
	case KIND_SERVICE:
		service = service_what((const struct entry *)item, what, size);
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

void
ledger_describe(void *arg, const struct outbox_item *item, char *what, size_t what_size,
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
