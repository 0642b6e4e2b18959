/* SPDX-License-Identifier: ISC */
/*
 * Reloads: the runner has the next configuration prepared, and once all have it, turned to.
 * What stays is held on (holdings).
 */
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "agent/warden/conflict.h"
#include "agent/warden/warden_state.h"

void
turn_forget(struct warden *warden)
{
	conf_free(warden->next);
	warden->next = NULL;
}

void
turn_prepare(struct warden *warden, uint64_t next, int fd)
{
	struct wire_message answer = { .type = WIRE_PREPARED,
		.prepared = { .next = next } };
	struct conf_bundle *bundle = conf_receive(fd, answer.prepared.why);

	close(fd);
	turn_forget(warden);
	if (bundle != NULL)
		warden->next = conf_parse(bundle, answer.prepared.why);
	answer.prepared.ok = warden->next != NULL;
	wire_send(warden->runner, &answer, -1);
}

/* The link to the agent ends with the old configuration, whose indexes it speaks of; the
 * runner makes another. */
static void
turn(struct warden *warden)
{
	const struct conf *next = warden->next;

	orders_forget(warden);
	if (warden_lease(warden, next) > warden->shared.lease_ms)
		warden->shared.lease_ms = warden_lease(warden, next);
	bool any_new =
	    holdings_turn(&warden->held, &warden->shared, next, warden->loop);
	warden->conf = next;
	conf_free(warden->own);
	warden->own = warden->next;
	warden->next = NULL;
	conflict_watch(warden->conflict);
	if (any_new)
		reality_clean(warden);
	warden_set_alarm(warden);
}

/* What was not prepared cannot be run: the runner starts another warden, which runs it. */
void
turn_commit(struct warden *warden, uint64_t next)
{
	struct wire_message answer = { .type = WIRE_COMMITTED, .step = { next } };

	if (warden->next == NULL || warden->next->generation != next) {
		log_error("vip",
		    "the warden ends: it was told to turn to a configuration that it "
		    "does not have");
		warden->failed = true;
		loop_stop(warden->loop);
		return;
	}
	turn(warden);
	wire_turn(warden->runner, next);
	wire_send(warden->runner, &answer, -1);
}
