/* SPDX-License-Identifier: ISC */
/*
 * The one process that sets addresses, and the last that is asked: it judges each order by its
 * own reading of CLOCK_BOOTTIME, has its own alarm for the end of each lease, and answers
 * only what the kernel has confirmed (failover-protocol, section 9, V1 to V4). The agent
 * decides, the kernel holds; neighbours are told by announce. The kernel's lifetime of an
 * address never reaches beyond its lease, so all of this may die at any moment.
 *
 * The holds that wait on the socket are carried out together, and every other address that
 * is held is refreshed with them: the kernel looks at lifetimes at most once a second and
 * any change restarts that second, so addresses set at different times end late.
 */
#include "agent/warden/warden.h"

#include <errno.h>
#include <inttypes.h>
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
#include "agent/warden/announce.h"
#include "agent/warden/netlink.h"

/* So far a lifetime, which has whole seconds, may reach beyond the lease. */
#define LATE_MS 50
#define AGAIN_MS 100

/* When the announcements of an address go out, from the first on; then each refresh. */
static const int64_t announce_at[] = { 0, 20, 100, 400, 1000 };

struct vip {
	struct warden *warden;
	const struct conf_vip *conf;
	unsigned int ifindex; /* 0: the interface is missing */
	unsigned int stray; /* what it was before, perhaps with the address; or 0 */
	bool up;

	int64_t until; /* the lease's end; 0: not held */
	int64_t expires; /* the kernel lets go then at the latest; 0: nothing was set */
	bool present; /* as the last dump or the kernel's answer said */
	bool stretched; /* somebody gave it a lifetime beyond the lease */
	bool seen; /* its interface, by the dump that goes on */
	uint64_t dropped; /* holds of terms up to this one are refused */

	bool asked; /* `hold` waits to be carried out */
	struct wire_hold hold;
	uint64_t gone_order; /* a drop that the kernel has not confirmed yet; 0: none */
	bool delete_due; /* at the next work */
	bool delete_failed; /* which was said */

	struct loop_timer *announce;
	size_t announced; /* of announce_at */
	bool announce_failed;
};

struct warden {
	const struct conf *conf;
	struct loop *loop;
	struct wire *runner, *agent;
	int agent_fd; /* the wire's; only asked whether more waits */
	uint32_t instance;
	struct netlink *netlink;
	struct vip *vips;
	struct loop_timer *work, *again;
	size_t postponed; /* times that `work` waited for more orders */
	bool doubt; /* what is there must be asked for */
	bool dumping; /* addresses and links are answers, not events */
	int alarm_fd;
	struct loop_io *alarm;
};

static bool
is_held(const struct vip *vip)
{
	return vip->until != 0;
}

static struct netlink_address
kernel_address(const struct vip *vip, uint32_t valid_s)
{
	struct netlink_address address = { .family = vip->conf->family,
		.prefix = vip->conf->prefix,
		.ifindex = vip->ifindex,
		.valid_s = valid_s };

	memcpy(address.address, vip->conf->address, sizeof(address.address));
	return address;
}

static bool
is_address(const struct vip *vip, const struct netlink_address *address)
{
	size_t size = address->family == AF_INET ? 4 : 16;

	return address->family == vip->conf->family &&
	    address->ifindex == vip->ifindex && address->prefix == vip->conf->prefix &&
	    memcmp(address->address, vip->conf->address, size) == 0;
}

static void
answer(struct vip *vip, enum wire_type type, uint64_t order, enum wire_refusal reason)
{
	struct wire_message message = { .type = type,
		.answer = {
		    .order = order, .vip = vip->conf->index, .reason = reason } };

	if (vip->warden->agent != NULL)
		wire_send(vip->warden->agent, &message, -1);
}

static void
tell_carrier(struct vip *vip)
{
	struct wire_message message = { .type = WIRE_CARRIER,
		.carrier = { .vip = vip->conf->index, .up = vip->up } };

	if (vip->warden->agent != NULL)
		wire_send(vip->warden->agent, &message, -1);
}

/* Sets the alarm to the first lease that ends, or to never. */
static void
set_alarm(struct warden *warden)
{
	int64_t first = 0;

	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		int64_t until = warden->vips[i].until;
		if (until != 0 && (first == 0 || until < first))
			first = until;
	}
	struct itimerspec when = { .it_value = { .tv_sec = first / 1000,
				       .tv_nsec = first % 1000 * 1000000 } };
	timerfd_settime(warden->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void
on_announce(void *arg)
{
	struct vip *vip = arg;
	size_t last = ARRAY_LENGTH(announce_at) - 1;

	if (!is_held(vip))
		return;
	int error = announce_send(vip->ifindex, vip->conf->family, vip->conf->address);
	if (error != 0 && !vip->announce_failed)
		log_warning("vip", "%s cannot be announced on %s: %s", vip->conf->text,
		    vip->conf->interface, strerror(-error));
	vip->announce_failed = error != 0;
	if (vip->announced < last) {
		loop_timer_after(vip->announce,
		    announce_at[vip->announced + 1] - announce_at[vip->announced]);
		vip->announced++;
	} else if (vip->conf->announce_refresh_ms > 0) {
		loop_timer_after(vip->announce, vip->conf->announce_refresh_ms);
	}
}

static void
announce_now(struct vip *vip)
{
	vip->announced = 0;
	on_announce(vip);
}

/* From here on it is not held; that it is gone is another question. */
static void
release(struct vip *vip)
{
	vip->until = 0;
	loop_timer_stop(vip->announce);
}

static int
delete_on(struct vip *vip, unsigned int ifindex)
{
	struct netlink_address address = kernel_address(vip, 0);

	address.ifindex = ifindex;
	return ifindex == 0 ? 0 : netlink_delete(vip->warden->netlink, &address);
}

/* True: the kernel says that the address is not there. Else it is tried again. */
static bool
remove_address(struct vip *vip)
{
	int error = delete_on(vip, vip->stray);

	if (error == 0)
		error = delete_on(vip, vip->ifindex);
	release(vip);
	if (error != 0 && !vip->delete_failed)
		log_error("vip", "%s cannot be removed from %s: %s; tried again",
		    vip->conf->text, vip->conf->interface, strerror(-error));
	vip->delete_due = vip->delete_failed = error != 0;
	if (error != 0) {
		loop_timer_after(vip->warden->again, AGAIN_MS);
		return false;
	}
	vip->stray = 0;
	vip->expires = 0;
	vip->present = false;
	return true;
}

static void
lapse(struct warden *warden, int64_t now)
{
	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		struct vip *vip = &warden->vips[i];
		if (!is_held(vip) || now < vip->until)
			continue;
		if (remove_address(vip))
			log_notice("vip", "%s removed from %s: its lease ended",
			    vip->conf->text, vip->conf->interface);
	}
}

/* The interface is another one, up, down or missing. No order to the kernel is given from
 * here, since a dump may be going on. */
static void
set_link(struct vip *vip, unsigned int ifindex, bool up)
{
	bool changed = vip->up != up;

	if (vip->ifindex != ifindex && vip->ifindex != 0 && vip->expires != 0) {
		vip->stray = vip->ifindex; /* renamed, it took the address along */
		vip->delete_due = true;
		loop_timer_at(vip->warden->work, 0);
	}
	vip->ifindex = ifindex;
	vip->up = up;
	if (!changed)
		return;
	tell_carrier(vip);
	if (up && is_held(vip))
		announce_now(vip); /* perhaps to another switch */
}

static void
on_link(void *arg, const char *name, unsigned int ifindex, bool up)
{
	struct warden *warden = arg;

	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		struct vip *vip = &warden->vips[i];
		if (strcmp(name, vip->conf->interface) == 0) {
			vip->seen = true;
			set_link(vip, ifindex, up);
		} else if (ifindex != 0 && ifindex == vip->ifindex) {
			set_link(vip, 0, false);
		}
	}
}

/* Whole seconds, the one that has begun included, as the kernel tells them. */
static bool
outlasts(uint32_t valid_s, int64_t until)
{
	return clock_boot_ms() + ((int64_t)valid_s - 1) * 1000 > until + LATE_MS;
}

static void
look_again(struct warden *warden)
{
	warden->doubt = true;
	loop_timer_at(warden->work, 0);
}

/* What events say may be older than our last order: they only raise doubt. */
static void
on_address(void *arg, const struct netlink_address *address, bool present)
{
	struct warden *warden = arg;

	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		struct vip *vip = &warden->vips[i];
		if (!is_address(vip, address))
			continue;
		bool stretched =
		    present && is_held(vip) && outlasts(address->valid_s, vip->until);
		if (warden->dumping) {
			vip->present = true;
			vip->stretched = stretched;
			if (!is_held(vip))
				vip->expires = address->valid_s == UINT32_MAX
				    ? INT64_MAX
				    : clock_boot_ms() +
					(int64_t)address->valid_s * 1000;
		} else if (is_held(vip) && (!present || stretched)) {
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
	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		warden->vips[i].seen = false;
		warden->vips[i].present = false;
		warden->vips[i].stretched = false;
	}
	warden->dumping = true;
	int error = netlink_dump(warden->netlink);
	warden->dumping = false;
	warden->doubt = error != 0;
	if (error != 0) {
		log_warning("vip", "the kernel's addresses cannot be listed: %s",
		    strerror(-error));
		loop_timer_after(warden->again, AGAIN_MS);
		return;
	}
	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		struct vip *vip = &warden->vips[i];
		if (!vip->seen && vip->ifindex != 0)
			set_link(vip, 0, false);
		if (!is_held(vip) && vip->expires == INT64_MAX && remove_address(vip))
			log_warning("vip",
			    "%s removed from %s: it was there without an end",
			    vip->conf->text, vip->conf->interface);
	}
}

/* Held, but not there as it must be; one that the kernel let go at its time does not count. */
static bool
is_missing(const struct vip *vip, int64_t now)
{
	return is_held(vip) && !vip->warden->doubt &&
	    (vip->stretched || !vip->present) && now < vip->expires - LATE_MS;
}

static enum wire_refusal
judge(const struct vip *vip, int64_t now)
{
	const struct wire_hold *hold = &vip->hold;

	if (hold->instance != vip->warden->instance)
		return WIRE_REFUSAL_INSTANCE;
	if (hold->term <= vip->dropped)
		return WIRE_REFUSAL_TERM;
	if (hold->until_ms > now + vip->warden->conf->lease_ms)
		return WIRE_REFUSAL_TOO_LONG;
	if (hold->until_ms < now + 1000)
		return WIRE_REFUSAL_PAST;
	if (vip->ifindex == 0)
		return WIRE_REFUSAL_KERNEL;
	return WIRE_REFUSAL_NONE;
}

static void
refuse(struct vip *vip, enum wire_refusal reason)
{
	vip->asked = false;
	answer(vip, WIRE_REFUSED, vip->hold.order, reason);
}

/* A lifetime that was set for an earlier order must not outlast this one's deadline. */
static void
refuse_past(struct vip *vip)
{
	if (vip->expires > vip->hold.until_ms && remove_address(vip))
		log_notice("vip", "%s removed from %s: its lease is about to end",
		    vip->conf->text, vip->conf->interface);
	refuse(vip, WIRE_REFUSAL_PAST);
}

/* The kernel set the address until `until`; `after` was read when it had answered. */
static void
take_held(struct vip *vip, int64_t until, int64_t expires, bool missing)
{
	bool first = !is_held(vip);
	bool announce = missing || (vip->asked && vip->hold.announce != 0);

	vip->until = until;
	vip->expires = expires;
	vip->present = true;
	vip->stretched = false;
	if (vip->asked) {
		vip->asked = false;
		vip->gone_order = 0;
		if (first)
			log_notice("vip", "%s set on %s, term %" PRIu64,
			    vip->conf->text, vip->conf->interface, vip->hold.term);
		answer(vip, WIRE_HELD, vip->hold.order, WIRE_REFUSAL_NONE);
	}
	if (missing)
		log_warning("vip", "%s was removed from %s or changed there, put back",
		    vip->conf->text, vip->conf->interface);
	if (announce)
		announce_now(vip);
}

/* A lifetime counts from when the kernel sets it: set late, it reaches beyond the lease. An
 * order that was not answered in time may have been carried out. */
static void
take_late(struct vip *vip)
{
	log_warning("vip", "%s removed from %s: it took too long to set it",
	    vip->conf->text, vip->conf->interface);
	remove_address(vip);
	if (vip->asked)
		refuse(vip, WIRE_REFUSAL_PAST);
}

static void
take_error(struct vip *vip, int error)
{
	log_debug("vip", "%s on %s: %s", vip->conf->text, vip->conf->interface,
	    strerror(-error));
	if (vip->asked)
		refuse(vip, WIRE_REFUSAL_KERNEL);
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
	netlink_set(warden->netlink, batch->addresses, batch->count, batch->results);
	int64_t after = clock_boot_ms();
	for (size_t i = 0; i < batch->count; i++) {
		struct vip *vip = batch->wanted[i].vip;
		int64_t until = batch->wanted[i].until;
		int64_t expires = after + (int64_t)batch->addresses[i].valid_s * 1000;
		int error = batch->results[i];
		if (error == -ETIMEDOUT || (error == 0 && expires > until + LATE_MS))
			take_late(vip);
		else if (error == 0)
			take_held(vip, until, expires, is_missing(vip, now));
		else
			take_error(vip, error);
	}
}

/* All that are asked for and all that are held, if at least one of them needs it. */
static void
set_addresses(struct warden *warden, int64_t now)
{
	size_t n = warden->conf->n_vips;
	AUTO_FREE struct wanted *wanted = xcalloc(n, sizeof(*wanted));
	AUTO_FREE struct netlink_address *addresses = xcalloc(n, sizeof(*addresses));
	AUTO_FREE int *results = xcalloc(n, sizeof(*results));
	struct batch batch = { 0, wanted, addresses, results };
	bool needed = false;

	for (size_t i = 0; i < n; i++) {
		struct vip *vip = &warden->vips[i];
		int64_t end = vip->asked ? vip->hold.until_ms : vip->until;
		int64_t valid_s = (end - now) / 1000;
		needed = needed || vip->asked || is_missing(vip, now);
		if ((!vip->asked && !is_held(vip)) || valid_s < 1 || vip->ifindex == 0)
			continue;
		wanted[batch.count] = (struct wanted){ vip, end };
		addresses[batch.count++] = kernel_address(vip, (uint32_t)valid_s);
	}
	if (needed)
		batch_run(warden, &batch, now);
}

static void
finish_drop(struct vip *vip)
{
	if (!remove_address(vip) || vip->gone_order == 0)
		return;
	answer(vip, WIRE_GONE, vip->gone_order, WIRE_REFUSAL_NONE);
	vip->gone_order = 0;
}

static void
work(struct warden *warden)
{
	lapse(warden, clock_boot_ms());
	if (warden->doubt)
		dump(warden);
	for (size_t i = 0; i < warden->conf->n_vips; i++)
		if (warden->vips[i].delete_due)
			finish_drop(&warden->vips[i]);
	int64_t now = clock_boot_ms();
	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		struct vip *vip = &warden->vips[i];
		enum wire_refusal reason =
		    vip->asked ? judge(vip, now) : WIRE_REFUSAL_NONE;
		if (reason == WIRE_REFUSAL_PAST)
			refuse_past(vip);
		else if (reason != WIRE_REFUSAL_NONE)
			refuse(vip, reason);
	}
	set_addresses(warden, now);
	set_alarm(warden);
}

/* Orders that wait on the socket are taken along, one a turn; not without end. */
static void
on_work(void *arg)
{
	struct warden *warden = arg;
	struct pollfd more = { .fd = warden->agent_fd, .events = POLLIN };

	if (warden->agent != NULL && warden->postponed < warden->conf->n_vips &&
	    poll(&more, 1, 0) > 0) {
		warden->postponed++;
		loop_timer_at(warden->work, 0);
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
	struct vip *vip = &warden->vips[hold->vip];

	vip->asked = true;
	vip->hold = *hold;
	loop_timer_at(warden->work, 0);
}

static void
take_drop(struct warden *warden, const struct wire_drop *drop)
{
	struct vip *vip = &warden->vips[drop->vip];

	if (drop->instance != warden->instance) {
		answer(vip, WIRE_REFUSED, drop->order, WIRE_REFUSAL_INSTANCE);
		return;
	}
	if (drop->up_to > vip->dropped)
		vip->dropped = drop->up_to;
	if (vip->asked)
		refuse(vip, WIRE_REFUSAL_TERM);
	bool held = is_held(vip);
	vip->gone_order = drop->order;
	finish_drop(vip);
	if (held && !vip->delete_due)
		log_notice("vip", "%s removed from %s: it was given up",
		    vip->conf->text, vip->conf->interface);
	set_alarm(warden);
}

static void
on_agent(void *arg, const struct wire_message *message, int fd)
{
	struct warden *warden = arg;
	uint32_t vip =
	    message->type == WIRE_HOLD ? message->hold.vip : message->drop.vip;

	lapse(warden, clock_boot_ms());
	if (vip >= warden->conf->n_vips)
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
	wire_free(warden->agent);
	warden->agent = NULL;
	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		warden->vips[i].asked = false;
		warden->vips[i].gone_order = 0;
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

	if (instance < warden->instance) {
		close(fd);
		return;
	}
	forget_agent(warden);
	warden->instance = instance;
	warden->agent_fd = fd;
	warden->agent = wire_new(
	    warden->loop, fd, WIRE_WARDEN, WIRE_AGENT, warden->conf->generation, &out);
	for (size_t i = 0; i < warden->conf->n_vips; i++) {
		warden->vips[i].dropped = 0;
		tell_carrier(&warden->vips[i]);
	}
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

	warden->netlink = netlink_new(warden->loop, &out);
	if (warden->netlink != NULL)
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
	warden->work = loop_timer_new(warden->loop, on_work, warden);
	warden->again = loop_timer_new(warden->loop, on_again, warden);
	warden->runner = wire_new(
	    warden->loop, runner_fd, WIRE_WARDEN, WIRE_RUNNER, conf->generation, &out);
	warden->vips = xcalloc(conf->n_vips, sizeof(*warden->vips));
	for (size_t i = 0; i < conf->n_vips; i++) {
		struct vip *vip = &warden->vips[i];
		vip->warden = warden;
		vip->conf = conf->vips[i];
		vip->announce = loop_timer_new(warden->loop, on_announce, vip);
	}
}

static void
warden_done(struct warden *warden)
{
	for (size_t i = 0; i < warden->conf->n_vips; i++)
		loop_timer_free(warden->vips[i].announce);
	free(warden->vips);
	loop_io_free(warden->alarm);
	cleanup_close(&warden->alarm_fd);
	netlink_free(warden->netlink);
	wire_free(warden->agent);
	wire_free(warden->runner);
	loop_timer_free(warden->again);
	loop_timer_free(warden->work);
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
	return error == 0 ? 0 : 1;
}
