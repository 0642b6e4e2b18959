/* SPDX-License-Identifier: ISC */
/*
 * From the ledger's two columns to the outbox: what the difference (differ) says is to be
 * done is put there, most urgent first, and asked for once more when it leaves. Nothing is
 * planned while what Consul shows is being read, and nothing but "lictor" before that is
 * registered: the aliases would be critical.
 *
 * What can wait has a budget for the whole node, and takes turns: outputs that change
 * alone, and the rare refresh that the TTL of each check needs. One timer wakes what waits
 * for a time: those, a check whose first result does not come, a service that stays
 * critical, and "lictor", which is registered again when a check of the node has changed,
 * since the aliases look only then; that costs Consul more the more of them there are.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/ledger_state.h"

#define HOUR INT64_C(3600000)
#define OUTPUT_MS 30000 /* between two of one check that change nothing else */
#define REFRESH_MS (168 * HOUR) /* of a state that stays, the TTL being 720 h; … */
#define REFRESH_SPREAD_MS (84 * HOUR) /* … sooner by up to so much */
#define REST_MS 2000 /* for the node: one in so long, */
#define FIRST_MS 50 /* where Consul shows none so far */
#define BURST 20
#define STALE_MS 1000
#define IDLE_MS 60000
#define FRESH_MS 1000 /* replacing what is shown trusts no older picture */

struct differ_check
ledger_view_check(const struct ledger *ledger, const struct state *state)
{
	enum check_status status = ledger->statuses[state->conf->index];

	return (struct differ_check){
		.wanted = true,
		.ready = status != CHECK_UNKNOWN,
		.ours = true,
		.shown = state->there,
		.same_form = state->registered,
		.apart = state->apart,
		.want = status != CHECK_UNKNOWN ? status : state->conf->initial,
		.have = state->told,
	};
}

/* NULL: the node, which is always there. */
struct differ_service
ledger_view(const struct ledger *ledger, const struct entry *entry)
{
	struct differ_service view = {
		.wanted = true, .foreign = true, .shown = true, .alias_shown = true
	};

	if (!entry)
		return view;
	view = (struct differ_service){
		.wanted = !entry->removed,
		.foreign = entry->conf->foreign,
		.shown = entry->shown.there,
		.ours = entry->shown.ours,
		.same_form = entry->shown.same_form,
		.alias_shown = entry->shown.alias,
		.maintained = entry->shown.maintained,
		.maintained_by_us = entry->shown.maintained_by_us,
		.want_maintained = entry->want_maintained,
		.strange = entry->shown.strange,
	};
	if (loop_now(ledger->loop) - ledger->read_at < FRESH_MS)
		view.surplus = entry->shown.surplus;
	for (size_t i = 0; i < entry->conf->n_checks; i++) {
		struct differ_check check = ledger_view_check(
		    ledger, ledger_state_of(ledger, entry->conf->checks[i]));

		differ_count(&view, &check);
	}
	return view;
}

bool
ledger_stands(const struct entry *entry)
{
	bool form = !entry->conf || !entry->conf->foreign;

	return entry->shown.there && entry->shown.alias &&
	    (!form || entry->shown.same_form);
}

static bool
closed(const struct ledger *ledger)
{
	return ledger->reading || !ledger->lictor_there || ledger->stopping;
}

void
ledger_wake(struct ledger *ledger, int64_t ms)
{
	int64_t at = loop_now(ledger->loop) + ms;

	if (at >= ledger->due_at)
		return;
	ledger->due_at = at;
	loop_timer_at(ledger->due, at);
}

/* ---- services ---- */

static void
plan_lictor(struct ledger *ledger, struct entry *lictor)
{
	int64_t wait = ledger->vouch_at - loop_now(ledger->loop);

	if (ledger->stopping)
		return;
	if (!ledger_stands(lictor) || (ledger->vouch && wait <= 0))
		outbox_put(&lictor->item, OUTBOX_FIRST);
	else if (ledger->vouch)
		ledger_wake(ledger, wait);
}

void
ledger_plan_entry(struct ledger *ledger, struct entry *entry, enum outbox_queue queue)
{
	struct differ_service view;

	if (!entry->conf) {
		plan_lictor(ledger, entry);
		return;
	}
	if (closed(ledger))
		return;
	view = ledger_view(ledger, entry);
	if (entry->again || differ_service(&view) != DIFFER_NOTHING)
		outbox_put(&entry->item, queue);
}

void
ledger_register(struct ledger *ledger, struct entry *entry)
{
	entry->again = true;
	if (!entry->conf)
		ledger->vouch = true;
	ledger_plan_entry(ledger, entry, OUTBOX_REGISTER);
}

/* ---- checks ---- */

uint64_t
ledger_output_hash(const char *output)
{
	return fnv1a64(output, strlen(output));
}

int64_t
ledger_refresh_ms(const struct state *state)
{
	uint64_t spread = ledger_output_hash(state->id) % REFRESH_SPREAD_MS;

	return REFRESH_MS - (int64_t)spread;
}

static bool
state_stale(const struct state *state, int64_t now)
{
	int64_t age = now - state->told_at;
	bool other = state->told_output != ledger_output_hash(state->output);

	return (other && (state->bare || age >= OUTPUT_MS)) ||
	    age >= ledger_refresh_ms(state);
}

/* A bucket of BURST that fills by one in `ms`. */
static bool
budget_take(struct budget *budget, int64_t now, int64_t ms)
{
	int64_t at = budget->at > now ? budget->at : now;

	if (at - now > (BURST - 1) * ms)
		return false;
	budget->at = at + ms;
	return true;
}

/* False: not now. */
static bool
plan_stale(struct ledger *ledger, struct state *state, int64_t now)
{
	if (state->item.queue != OUTBOX_NONE || !state_stale(state, now))
		return true;
	if (!(state->bare ? budget_take(&ledger->first, now, FIRST_MS)
			  : budget_take(&ledger->rest, now, REST_MS))) {
		ledger_wake(ledger, STALE_MS);
		return false;
	}
	outbox_put(&state->item, OUTBOX_REST);
	return true;
}

static enum outbox_queue
queue_of(enum differ_do what, enum check_status status)
{
	if (status == CHECK_CRITICAL && what == DIFFER_UPDATE)
		return OUTBOX_CRITICAL;
	return what == DIFFER_UPDATE ? OUTBOX_STATUS : OUTBOX_REGISTER;
}

/* Of one check only what its service needs not be looked at for is quick to see. */
static enum differ_do
difference(const struct ledger *ledger, const struct state *state)
{
	struct differ_check check = ledger_view_check(ledger, state);
	struct differ_service service;

	if (check.shown && check.same_form && check.want == check.have)
		return DIFFER_NOTHING;
	if (check.shown && check.same_form && !(state->entry && state->entry->removed))
		return DIFFER_UPDATE;
	service = ledger_view(ledger, state->entry);
	return differ_check(&service, &check);
}

/* The answer to what is under way plans again; so does a registration. */
void
ledger_plan_state(struct ledger *ledger, struct state *state)
{
	enum differ_do what;

	if (closed(ledger) || outbox_flying(&state->item) ||
	    (!state->registered && state->entry && outbox_flying(&state->entry->item)))
		return;
	what = difference(ledger, state);
	if (what != DIFFER_NOTHING)
		outbox_put(
		    &state->item, queue_of(what, ledger->statuses[state->conf->index]));
	else if (state->registered)
		plan_stale(ledger, state, loop_now(ledger->loop));
	else if (state->entry && outbox_quiet(&state->entry->item))
		ledger_plan_entry(ledger, state->entry, OUTBOX_REGISTER);
}

void
ledger_register_check(struct ledger *ledger, struct state *state)
{
	state->registered = false;
	ledger_plan_state(ledger, state);
}

void
ledger_plan(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger_entries(ledger); i++)
		ledger_plan_entry(ledger, ledger->entries[i], OUTBOX_REGISTER);
	for (size_t i = 0; i < ledger->conf->n_checks; i++) {
		struct state *state = ledger->states[i];

		if (!state->entry || ledger_stands(state->entry))
			ledger_plan_state(ledger, state);
	}
}

/* ---- deregister-critical-after ---- */

static bool
is_critical(const struct ledger *ledger, const struct conf_service *service)
{
	for (size_t i = 0; i < service->n_checks; i++) {
		const struct state *state = ledger_state_of(ledger, service->checks[i]);

		if (state->known &&
		    ledger->statuses[state->conf->index] == CHECK_CRITICAL)
			return true;
	}
	return false;
}

static void
set_removed(struct ledger *ledger, struct entry *entry, bool removed)
{
	char text[32];

	if (entry->removed == removed)
		return;
	entry->removed = removed;
	format_duration(entry->conf->deregister_after_ms, text, sizeof(text));
	if (removed)
		log_notice("consul",
		    "service %s is taken out of Consul: it was critical for %s",
		    entry->conf->name, text);
	else
		log_notice("consul",
		    "service %s is registered again: it is critical no more",
		    entry->conf->name);
	ledger_plan_entry(ledger, entry, OUTBOX_REGISTER);
}

void
ledger_watch_critical(struct ledger *ledger, struct entry *entry)
{
	int64_t now = loop_now(ledger->loop), after = entry->conf->deregister_after_ms;

	if (after == 0 && !entry->removed)
		return;
	if (after == 0 || !is_critical(ledger, entry->conf)) {
		entry->critical_since = -1;
		set_removed(ledger, entry, false);
		return;
	}
	if (entry->critical_since < 0)
		entry->critical_since = now;
	if (now - entry->critical_since >= after)
		set_removed(ledger, entry, true);
	else
		ledger_wake(ledger, entry->critical_since + after - now);
}

/* ---- what waits ---- */

static void
end_wait(struct ledger *ledger, struct state *state, int64_t now)
{
	if (ledger->statuses[state->conf->index] != CHECK_UNKNOWN)
		return;
	if (now < state->wait_until) {
		ledger_wake(ledger, state->wait_until - now);
		return;
	}
	ledger_set_status(ledger, state, state->conf->initial);
	ledger_plan_state(ledger, state);
}

/* In turn, beginning with the one that the budget did not reach. */
static void
plan_all_stale(struct ledger *ledger, int64_t now)
{
	size_t n = ledger->conf->n_checks, first = ledger->next_stale, reached = n;

	if (closed(ledger))
		return;
	for (size_t i = 0; i < n; i++) {
		struct state *state = ledger->states[(first + i) % n];

		if (state->registered && !outbox_flying(&state->item) &&
		    !plan_stale(ledger, state, now) && reached == n)
			reached = i;
	}
	ledger->next_stale = n ? (first + reached) % n : 0;
}

void
ledger_on_due(void *arg)
{
	struct ledger *ledger = arg;
	int64_t now = loop_now(ledger->loop);

	ledger->due_at = INT64_MAX;
	ledger_wake(ledger, IDLE_MS);
	for (size_t i = 0; ledger->waited_for > 0 && i < ledger->conf->n_checks; i++)
		end_wait(ledger, ledger->states[i], now);
	for (size_t i = 0; i < ledger->conf->n_services; i++)
		ledger_watch_critical(ledger, ledger->entries[i]);
	plan_all_stale(ledger, now);
	plan_lictor(ledger, ledger_lictor(ledger));
	outbox_flush(ledger->outbox);
}
