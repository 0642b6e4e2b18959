/* SPDX-License-Identifier: ISC */
/*
 * The one process that sets addresses, and the last that is asked: it judges each order by its
 * own reading of CLOCK_BOOTTIME, has its own alarm for the end of each lease, and answers
 * only what the kernel has confirmed (failover-protocol, section 9, V1 to V4). The agent
 * decides, the kernel holds. Here are the links, the events and the timers; the judging and
 * the holding of each address are address's. The kernel's lifetime of an address never
 * reaches beyond its lease, so all of this may die at any moment.
 *
 * The holds that wait on the socket are carried out together, and every other address that
 * is held is refreshed with them: the kernel looks at lifetimes at most once a second and
 * any change restarts that second, so addresses set at different times end late.
 */
#include "agent/warden/warden.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/address.h"
#include "agent/warden/holdings.h"
#include "agent/warden/netlink.h"

struct warden {
	const struct conf *conf;
	struct loop *loop;
	struct wire *runner;
	int agent_fd; /* the wire's; only asked whether more waits */
	struct address_shared shared;
	struct conf *own, *next; /* from a reload: `conf`, or NULL; prepared, or NULL */
	struct holdings held;
	size_t postponed; /* times that `work` waited for more orders */
	bool failed;
	bool dumping; /* addresses and links are answers, not events */
	int alarm_fd;
	struct loop_io *alarm;
};

/* Sets the alarm to the first lease that ends, or to never. */
static void
set_alarm(struct warden *warden)
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

static void
lapse(struct warden *warden, int64_t now)
{
	for (size_t i = 0; i < warden->held.count; i++)
		address_lapse(warden->held.vips[i], now);
}

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
	struct warden *warden = arg;
	unsigned int ifindex = gone ? 0 : link->ifindex;

	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		if (strcmp(link->name, vip->conf->interface) == 0) {
			vip->seen = true;
			address_set_link(vip, ifindex, !gone && link->up);
		} else if (ifindex != 0 && ifindex == vip->ifindex) {
			address_set_link(vip, 0, false);
		}
	}
}

static void
look_again(struct warden *warden)
{
	warden->shared.doubt = true;
	loop_timer_at(warden->shared.work, 0);
}

/* What events say may be older than our last order: they only raise doubt. */
static void
on_address(void *arg, const struct netlink_address *address, bool present)
{
	struct warden *warden = arg;

	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		if (!address_matches(vip, address))
			continue;
		bool stretched = present && address_outlasts(vip, address->valid_s);
		if (warden->dumping) {
			vip->present = true;
			vip->stretched = stretched;
			if (!address_is_held(vip))
				vip->expires = address->valid_s == UINT32_MAX
				    ? INT64_MAX
				    : clock_boot_ms() +
					(int64_t)address->valid_s * 1000;
		} else if (address_is_held(vip) && (!present || stretched)) {
			look_again(warden);
		}
	}
}

static void
on_lost(void *arg)
{
	look_again(arg);
}

static void
dump(struct warden *warden)
{
	for (size_t i = 0; i < warden->held.count; i++) {
		warden->held.vips[i]->seen = false;
		warden->held.vips[i]->present = false;
		warden->held.vips[i]->stretched = false;
	}
	warden->dumping = true;
	int error = netlink_dump(warden->shared.netlink);
	warden->dumping = false;
	warden->shared.doubt = error != 0;
	if (error != 0) {
		log_warning("vip", "the kernel's addresses cannot be listed: %s",
		    strerror(-error));
		loop_timer_after(warden->shared.again, ADDRESS_AGAIN_MS);
		return;
	}
	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		if (!vip->seen && vip->ifindex != 0)
			address_set_link(vip, 0, false);
		if (!address_is_held(vip) && vip->expires == INT64_MAX &&
		    address_remove(vip))
			log_warning("vip",
			    "%s removed from %s: it was there without an end",
			    vip->conf->text, vip->conf->interface);
	}
}

struct batch {
	size_t count;
	struct wanted {
		struct vip *vip;
		int64_t until;
	} * wanted;
	struct netlink_address *addresses;
	int *results;
};

static void
batch_run(struct warden *warden, struct batch *batch, int64_t now)
{
	netlink_set(
	    warden->shared.netlink, batch->addresses, batch->count, batch->results);
	int64_t after = clock_boot_ms();
	for (size_t i = 0; i < batch->count; i++) {
		struct vip *vip = batch->wanted[i].vip;
		int64_t until = batch->wanted[i].until;
		int64_t expires = after + (int64_t)batch->addresses[i].valid_s * 1000;
		address_take_result(vip, batch->results[i], until, expires, now);
	}
}

/* All that are asked for and all that are held, if at least one of them needs it. */
static void
set_addresses(struct warden *warden, int64_t now)
{
	size_t n = warden->held.count;
	AUTO_FREE struct wanted *wanted = xcalloc(n, sizeof(*wanted));
	AUTO_FREE struct netlink_address *addresses = xcalloc(n, sizeof(*addresses));
	AUTO_FREE int *results = xcalloc(n, sizeof(*results));
	struct batch batch = { 0, wanted, addresses, results };
	bool needed = false;

	for (size_t i = 0; i < n; i++) {
		struct vip *vip = warden->held.vips[i];
		int64_t end = vip->asked ? vip->hold.until_ms : vip->until;
		int64_t valid_s = (end - now) / 1000;
		needed = needed || vip->asked || address_is_missing(vip, now);
		if ((!vip->asked && !address_is_held(vip)) || valid_s < 1 ||
		    vip->ifindex == 0)
			continue;
		wanted[batch.count] = (struct wanted){ vip, end };
		addresses[batch.count++] = address_for_kernel(vip, (uint32_t)valid_s);
	}
	if (needed)
		batch_run(warden, &batch, now);
}

/* A reload with a shorter lease counts once nothing is held for longer: until then the agent
 * may keep to the one that it has promised. */
static void
shorten_lease(struct warden *warden, int64_t now)
{
	for (size_t i = 0; i < warden->held.count; i++)
		if (warden->held.vips[i]->until > now + conf_lease(warden->conf, false))
			return;
	warden->shared.lease_ms = conf_lease(warden->conf, false);
}

static void
work(struct warden *warden)
{
	lapse(warden, clock_boot_ms());
	if (warden->shared.doubt)
		dump(warden);
	for (size_t i = 0; i < warden->held.count; i++)
		if (warden->held.vips[i]->delete_due)
			address_finish_drop(warden->held.vips[i]);
	holdings_remove(&warden->held);
	int64_t now = clock_boot_ms();
	for (size_t i = 0; i < warden->held.count; i++)
		address_judge(warden->held.vips[i], now);
	set_addresses(warden, now);
	set_alarm(warden);
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
	lapse(warden, clock_boot_ms());
	set_alarm(warden);
}

static void
take_hold(struct warden *warden, const struct wire_hold *hold)
{
	struct vip *vip = warden->held.vips[hold->vip];

	vip->asked = true;
	vip->hold = *hold;
	loop_timer_at(warden->shared.work, 0);
}

static void
take_drop(struct warden *warden, const struct wire_drop *drop)
{
	if (address_drop(warden->held.vips[drop->vip], drop))
		set_alarm(warden);
}

static void
on_agent(void *arg, const struct wire_message *message, int fd)
{
	struct warden *warden = arg;
	uint32_t vip =
	    message->type == WIRE_HOLD ? message->hold.vip : message->drop.vip;

	lapse(warden, clock_boot_ms());
	if (vip >= warden->held.count)
		log_error("vip", "the agent named an address that does not exist");
	else if (message->type == WIRE_HOLD)
		take_hold(warden, &message->hold);
	else
		take_drop(warden, &message->drop);
}

/* What it asked for and was not told dies with it; what is held is held to its end. */
static void
forget_agent(struct warden *warden)
{
	wire_free(warden->shared.agent);
	warden->shared.agent = NULL;
	for (size_t i = 0; i < warden->held.count; i++) {
		warden->held.vips[i]->asked = false;
		warden->held.vips[i]->gone_order = 0;
	}
}

static void
on_agent_closed(void *arg, const char *why)
{
	log_debug("vip", "the link to the agent ended: %s", why);
	forget_agent(arg);
}

/* The link of an older agent is closed before its successor's is read. */
static void
take_link(struct warden *warden, uint32_t instance, int fd)
{
	struct wire_out out = {
		.message = on_agent, .closed = on_agent_closed, .arg = warden
	};

	if (instance < warden->shared.instance) {
		close(fd);
		return;
	}
	forget_agent(warden);
	warden->shared.instance = instance;
	warden->agent_fd = fd;
	warden->shared.agent = wire_new(
	    warden->loop, fd, WIRE_WARDEN, WIRE_AGENT, warden->conf->generation, &out);
	for (size_t i = 0; i < warden->held.count; i++) {
		warden->held.vips[i]->dropped = 0;
		address_tell_carrier(warden->held.vips[i]);
	}
}

static void
forget_next(struct warden *warden)
{
	conf_free(warden->next);
	warden->next = NULL;
}

static void
prepare(struct warden *warden, uint64_t next, int fd)
{
	struct wire_message answer = { .type = WIRE_PREPARED,
		.prepared = { .next = next } };
	struct conf_bundle *bundle = conf_receive(fd, answer.prepared.why);

	close(fd);
	forget_next(warden);
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

	forget_agent(warden);
	if (conf_lease(next, false) > warden->shared.lease_ms)
		warden->shared.lease_ms = conf_lease(next, false);
	bool any_new =
	    holdings_turn(&warden->held, &warden->shared, next, warden->loop);
	warden->conf = next;
	conf_free(warden->own);
	warden->own = warden->next;
	warden->next = NULL;
	if (any_new)
		dump(warden);
	set_alarm(warden);
}

/* What was not prepared cannot be run: the runner starts another warden, which runs it. */
static void
commit(struct warden *warden, uint64_t next)
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

static void
on_runner(void *arg, const struct wire_message *message, int fd)
{
	struct warden *warden = arg;
	struct wire_message pong = { .type = WIRE_PONG };

	if (message->type == WIRE_LINK)
		take_link(warden, message->link.instance, fd);
	else if (message->type == WIRE_PING)
		wire_send(warden->runner, &pong, -1);
	else if (message->type == WIRE_PREPARE)
		prepare(warden, message->prepare.next, fd);
	else if (message->type == WIRE_COMMIT)
		commit(warden, message->step.next);
	else if (message->type == WIRE_ABORT)
		forget_next(warden);
}

/* Addresses stay as they are: whoever starts lictord again may still take them over. */
static void
on_runner_closed(void *arg, const char *why)
{
	struct warden *warden = arg;

	loop_stop(warden->loop);
}

static int
warden_open(struct warden *warden)
{
	struct netlink_out out = {
		.address = on_address, .link = on_link, .lost = on_lost, .arg = warden
	};

	warden->shared.netlink = netlink_new(warden->loop, &out);
	if (warden->shared.netlink != NULL)
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
	warden->shared.lease_ms = conf_lease(conf, false);
	warden->shared.work = loop_timer_new(warden->loop, on_work, warden);
	warden->shared.again = loop_timer_new(warden->loop, on_again, warden);
	warden->runner = wire_new(
	    warden->loop, runner_fd, WIRE_WARDEN, WIRE_RUNNER, conf->generation, &out);
	holdings_init(&warden->held, &warden->shared, conf, warden->loop);
}

static void
warden_done(struct warden *warden)
{
	holdings_done(&warden->held);
	forget_next(warden);
	conf_free(warden->own);
	loop_io_free(warden->alarm);
	cleanup_close(&warden->alarm_fd);
	netlink_free(warden->shared.netlink);
	wire_free(warden->shared.agent);
	wire_free(warden->runner);
	loop_timer_free(warden->shared.again);
	loop_timer_free(warden->shared.work);
	loop_free(warden->loop);
}

int
warden_main(const struct conf *conf, int runner_fd)
{
	struct warden warden = { .conf = conf, .agent_fd = -1, .alarm_fd = -1 };

	warden_init(&warden, runner_fd);
	int error = warden_open(&warden);
	if (error == 0) {
		dump(&warden);
		loop_run(warden.loop);
	}
	warden_done(&warden);
	return error == 0 && !warden.failed ? 0 : 1;
}
