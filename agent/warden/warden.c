/* SPDX-License-Identifier: ISC */
/*
 * The one process that sets addresses, and the last that is asked: it judges each order by its
 * own reading of CLOCK_BOOTTIME, has its own alarm for the end of each lease, and answers
 * only what the kernel has confirmed (failover-protocol, section 9, V1 to V4). The agent
 * decides, the kernel holds. Here are the runner's word and the timers; the orders are in
 * orders.c, what the kernel says and is told in reality.c, reloads in turn.c, and the judging
 * and the holding of each address are address's. The kernel's lifetime of an address never
 * reaches beyond its lease, so all of this may die at any moment.
 *
 * The holds that wait on the socket are carried out together.
 */
#include "agent/warden/warden.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/base/confine.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/announce.h"
#include "agent/warden/conflict.h"
#include "agent/warden/netlink.h"
#include "agent/warden/warden_state.h"

void
warden_set_alarm(struct warden *warden)
{
	int64_t first = 0;

	for (size_t i = 0; i < warden->held.count; i++) {
		int64_t until = warden->held.vips[i]->until;
		if (until != 0 && (first == 0 || until < first))
			first = until;
	}
	struct itimerspec when = { .it_value = { .tv_sec = first / 1000,
				       .tv_nsec = first % 1000 * 1000000 } };
	timerfd_settime(warden->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void
warden_lapse(struct warden *warden, int64_t now)
{
	for (size_t i = 0; i < warden->held.count; i++)
		address_lapse(warden->held.vips[i], now);
}

int64_t
warden_lease(const struct warden *warden, const struct conf *conf)
{
	return conf_longest_lease(conf, warden->shared.kind == WIRE_FENCE_BPF);
}

/* A reload with a shorter lease counts once nothing is held for longer: until then the agent
 * may keep to the one that it has promised. */
static void
shorten_lease(struct warden *warden, int64_t now)
{
	int64_t lease_ms = warden_lease(warden, warden->conf);

	for (size_t i = 0; i < warden->held.count; i++)
		if (warden->held.vips[i]->until > now + lease_ms)
			return;
	warden->shared.lease_ms = lease_ms;
}

/* The kernel's lifetimes end whatever the agent orders, if nobody refreshes them. */
static void
set_refresh(struct warden *warden)
{
	int64_t first = 0;

	for (size_t i = 0; i < warden->held.count; i++) {
		int64_t at = address_refresh_at(warden->held.vips[i]);
		if (at != 0 && (first == 0 || at < first))
			first = at;
	}
	if (first == 0)
		loop_timer_stop(warden->refresh);
	else
		loop_timer_after(warden->refresh, first - clock_boot_ms());
}

static void
work(struct warden *warden)
{
	warden_lapse(warden, clock_boot_ms());
	if (warden->shared.doubt)
		reality_dump(warden);
	for (size_t i = 0; i < warden->held.count; i++)
		if (warden->held.vips[i]->delete_due)
			address_finish_drop(warden->held.vips[i]);
	holdings_remove(&warden->held);
	bool fenced = reality_guard(warden, clock_boot_ms());
	int64_t now = clock_boot_ms();
	for (size_t i = 0; i < warden->held.count; i++)
		address_judge(warden->held.vips[i], now);
	if (fenced)
		reality_set(warden, now);
	warden_set_alarm(warden);
	if (fenced)
		set_refresh(warden);
	shorten_lease(warden, now);
}

/* Orders that wait on the socket are taken along, one a turn; not without end. */
static void
on_work(void *arg)
{
	struct warden *warden = arg;
	struct pollfd more = { .fd = warden->agent_fd, .events = POLLIN };

	if (warden->shared.agent != NULL && warden->postponed < warden->held.count &&
	    poll(&more, 1, 0) > 0) {
		warden->postponed++;
		loop_timer_at(warden->shared.work, 0);
		return;
	}
	warden->postponed = 0;
	work(warden);
}

static void
on_again(void *arg)
{
	work(arg);
}

static void
on_alarm(void *arg, unsigned int events)
{
	struct warden *warden = arg;
	uint64_t times;

	if (read(warden->alarm_fd, &times, sizeof(times)) < 0)
		return;
	warden_lapse(warden, clock_boot_ms());
	warden_set_alarm(warden);
}

static void
on_runner(void *arg, const struct wire_message *message, int fd)
{
	struct warden *warden = arg;
	struct wire_message pong = { .type = WIRE_PONG };

	if (message->type == WIRE_LINK)
		orders_link(warden, message->link.instance, fd);
	else if (message->type == WIRE_PING)
		wire_send(warden->runner, &pong, -1);
	else if (message->type == WIRE_FENCE)
		settle(warden, &message->fence);
	else if (message->type == WIRE_PREPARE)
		turn_prepare(warden, message->prepare.next, fd);
	else if (message->type == WIRE_COMMIT)
		turn_commit(warden, message->step.next);
	else if (message->type == WIRE_ABORT)
		turn_forget(warden);
}

/* Addresses stay as they are: whoever starts lictord again may still take them over. */
static void
on_runner_closed(void *arg, const char *why)
{
	struct warden *warden = arg;

	loop_stop(warden->loop);
}

/* What speaks and listens beside the kernel. 0, or -1 with errno set. */
static int
open_packets(struct warden *warden)
{
	int error = announcer_open(warden->shared.announcer, warden->shared.netlink);

	if (error == 0) {
		warden->conflict =
		    conflict_new(warden->loop, &warden->links, &warden->held);
		return warden->conflict != NULL ? 0 : -1;
	}
	errno = -error;
	return -1;
}

static int
warden_open(struct warden *warden)
{
	if (reality_open(warden) == 0 && open_packets(warden) == 0)
		warden->alarm_fd =
		    timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (warden->alarm_fd < 0) {
		log_error("vip", "no address can be set: %s", strerror(errno));
		return -1;
	}
	warden->alarm = loop_io_new(warden->loop, warden->alarm_fd, on_alarm, warden);
	loop_io_watch(warden->alarm, LOOP_READ);
	return 0;
}

static void
warden_init(struct warden *warden, int runner_fd)
{
	const struct conf *conf = warden->conf;
	struct wire_out out = {
		.message = on_runner, .closed = on_runner_closed, .arg = warden
	};

	warden->loop = loop_new();
	warden->shared.lease_ms = warden_lease(warden, conf);
	warden->guard.shared = &warden->shared;
	warden->guard.links = &warden->links;
	warden->shared.work = loop_timer_new(warden->loop, on_work, warden);
	warden->shared.again = loop_timer_new(warden->loop, on_again, warden);
	warden->refresh = loop_timer_new(warden->loop, on_again, warden);
	warden->runner = wire_new(
	    warden->loop, runner_fd, WIRE_WARDEN, WIRE_RUNNER, conf->generation, &out);
	warden->shared.announcer = announcer_new(warden->loop, &warden->links);
	holdings_init(&warden->held, &warden->shared, conf, warden->loop);
}

static void
warden_done(struct warden *warden)
{
	conflict_free(warden->conflict);
	holdings_done(&warden->held);
	announcer_free(warden->shared.announcer);
	links_done(&warden->links);
	tracks_done(&warden->tracks);
	turn_forget(warden);
	conf_free(warden->own);
	guard_done(&warden->guard);
	loop_io_free(warden->alarm);
	cleanup_close(&warden->alarm_fd);
	netlink_free(warden->shared.netlink);
	wire_free(warden->shared.agent);
	wire_free(warden->runner);
	loop_timer_free(warden->refresh);
	loop_timer_free(warden->shared.again);
	loop_timer_free(warden->shared.work);
	loop_free(warden->loop);
}

/* Once all is opened and loaded: from here on it can do no more than that. */
static void
confine_warden(void)
{
	char why[128];
	int error = confine_memory();

	if (error != 0)
		log_info("vip", "the warden's memory is not locked: %s",
		    error == -EPERM ? "RLIMIT_MEMLOCK is finite" : strerror(-error));
	if (confine(CONFINE_WARDEN, why, sizeof(why)) != 0)
		log_warning(
		    "vip", "the warden's system calls are not filtered: %s", why);
}

int
warden_main(const struct conf *conf, int runner_fd, const char *fence_folder)
{
	struct warden warden = { .conf = conf, .agent_fd = -1, .alarm_fd = -1 };

	warden_init(&warden, runner_fd);
	int error = warden_open(&warden);
	if (error == 0 && conf->fence != CONF_FENCE_LIFETIME)
		guard_open(&warden.guard, fence_folder);
	if (error == 0)
		conflict_watch(warden.conflict);
	if (error == 0) {
		confine_warden();
		loop_run(warden.loop);
	}
	warden_done(&warden);
	return error == 0 && !warden.failed ? 0 : 1;
}
