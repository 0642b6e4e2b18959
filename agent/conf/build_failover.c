/* SPDX-License-Identifier: ISC */
/*
 * The section failover of lictor.conf, and what the timers of the protocol must be to each
 * other (its section 8), of the node and of each role: what breaks an inequality is refused
 * with either kind of fence that this host may come to have. See build.h for the contract.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"

#define MEMBER_MS 10000 /* Tm: a member that is silent for so long is none */
#define RESTART_MS 1000 /* of an agent */

/* An option that is auto or a duration; 0 is auto. */
struct timer {
	const char *option, *text, *example;
	int64_t min, max;
};

static int
read_timer(struct build *build, const struct node *section, const struct timer *timer,
    int64_t *out)
{
	char from[32], to[32];
	int64_t ms = 0;

	if (strcmp(timer->text, "auto") == 0)
		return 0;
	format_duration(timer->min, from, sizeof(from));
	format_duration(timer->max, to, sizeof(to));
	switch (parse_duration(timer->text, timer->min, timer->max, &ms)) {
	case 0: break;
	case -ERANGE:
		return options_fault(section, timer->option, build->error,
		    "%.40s is out of range, expected auto or %s to %s", timer->text,
		    from, to);
	default:
		return options_fault(section, timer->option, build->error,
		    "\"%.80s\" is no duration, expected auto or one such as %s",
		    timer->text, timer->example);
	}
	*out = ms;
	return 0;
}

static int
set_timers(
    struct build *build, const struct node *section, const struct raw_failover *raw)
{
	const struct timer lease = { "lease", raw->lease, "2250ms", SCHEMA_LEASE_MIN_MS,
		SCHEMA_LEASE_MAX_MS };
	const struct timer silence = { "silence", raw->silence, "300ms",
		SCHEMA_SILENCE_MIN_MS, SCHEMA_SILENCE_MAX_MS };
	struct conf *conf = build->conf;

	if (read_timer(build, section, &lease, &conf->lease_ms) != 0)
		return -1;
	return read_timer(build, section, &silence, &conf->failover.silence_ms);
}

/* Where peers are to send: an address of this host, or all of one family. */
static int
set_address(struct build *build, const struct node *section, struct raw_failover *raw)
{
	struct in6_addr v6;
	struct in_addr v4;
	const char *text = raw->address;

	if (text == NULL)
		return 0;
	bool good = inet_pton(AF_INET, text, &v4) == 1
	    ? !IN_MULTICAST(ntohl(v4.s_addr)) && v4.s_addr != INADDR_BROADCAST
	    : inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_MULTICAST(&v6);
	if (!good)
		return options_fault(section, "address", build->error,
		    "\"%.80s\" is no address of a host, expected IPv4 or IPv6 without "
		    "a port",
		    text);
	build->conf->failover.address = raw->address;
	raw->address = NULL;
	return 0;
}

static int
set_fence(
    struct build *build, const struct node *section, const struct raw_failover *raw)
{
	static const char *const fences[] = { [CONF_FENCE_AUTO] = "auto",
		[CONF_FENCE_BPF] = "bpf",
		[CONF_FENCE_LIFETIME] = "lifetime",
		NULL };
	int fence = options_choose(section, "fence", raw->fence, fences, build->error);

	if (fence < 0)
		return -1;
	build->conf->fence = (enum conf_fence)fence;
	if (fence == CONF_FENCE_BPF && !conf_has_bpf())
		return options_fault(section, "fence", build->error,
		    "this lictord was built without bpf, expected auto or lifetime");
	return 0;
}

static int
set_options(struct build *build, const struct node *section, struct raw_failover *raw)
{
	struct conf_failover *failover = &build->conf->failover;

	if (options_fill(raw, schema_failover, section, build->host, build->error) != 0)
		return -1;
	failover->port = (unsigned int)raw->port;
	failover->heartbeats = raw->heartbeats;
	failover->hold_ms = raw->hold_ms;
	failover->hold_alone_ms = raw->hold_alone_ms;
	failover->key_file = raw->key_file;
	raw->key_file = NULL;
	if (set_fence(build, section, raw) != 0 ||
	    set_address(build, section, raw) != 0 ||
	    set_timers(build, section, raw) != 0)
		return -1;
	return build_check_timers(build, section, NULL);
}

int
build_failover(struct build *build, const struct node *root)
{
	struct node section = build_find_or_none(root, "failover");
	struct raw_failover raw = { 0 };
	int result = set_options(build, &section, &raw);

	options_free(&raw, schema_failover);
	return result;
}

/* ---- what they must be to each other ---- */

/* Who holds by answers alone must hold for longer than by Consul's word. */
static int
check_hold(struct build *build, const struct node *section, const char *option,
    int64_t hold_ms, int64_t lease_ms)
{
	char hold[32], lease[32];

	if (hold_ms == 0 || hold_ms >= lease_ms)
		return 0;
	format_duration(hold_ms, hold, sizeof(hold));
	format_duration(lease_ms, lease, sizeof(lease));
	if (node_find(section, option) != NULL)
		return options_fault(section, option, build->error,
		    "%s is shorter than the lease of %s, expected 0s or at least that",
		    hold, lease);
	return options_fault(section, "lease", build->error,
	    "%s is longer than the %s of %s, expected at most that", lease, option,
	    hold);
}

/* A member must not be counted out while its agent is only restarted. */
static int
check_members(struct build *build, const struct node *section, int64_t lease_ms,
    int64_t silence_ms)
{
	char lease[32], silence[32];

	if (!build->conf->failover.heartbeats ||
	    lease_ms + silence_ms + RESTART_MS < MEMBER_MS)
		return 0;
	format_duration(lease_ms, lease, sizeof(lease));
	format_duration(silence_ms, silence, sizeof(silence));
	return options_fault(section, "lease", build->error,
	    "%s and the silence of %s are too long for heartbeats, expected less than "
	    "%ds together, or heartbeats = false",
	    lease, silence, (MEMBER_MS - RESTART_MS) / 1000);
}

static int
check_kind(struct build *build, const struct node *section,
    const struct conf_role *role, bool bpf)
{
	static const struct conf_role none = { 0 };
	const struct conf *conf = build->conf;
	int64_t lease_ms = conf_role_lease(conf, role != NULL ? role : &none, bpf);
	int64_t silence_ms = conf_silence(conf, role != NULL ? role : &none, bpf);

	if (check_members(build, section, lease_ms, silence_ms) != 0 ||
	    check_hold(
		build, section, "outage-hold", conf->failover.hold_ms, lease_ms) != 0)
		return -1;
	return check_hold(build, section, "outage-hold-alone",
	    conf->failover.hold_alone_ms, lease_ms);
}

/* With the fence `auto` any lease will do: should that be lifetime and the lease not suit it,
 * the runner says what it is instead. */
static int
check_seconds(struct build *build, const struct node *section, int64_t lease_ms)
{
	char text[32];

	if (build->conf->fence != CONF_FENCE_LIFETIME || lease_ms == 0 ||
	    conf_lease_suits_lifetime(lease_ms))
		return 0;
	format_duration(lease_ms, text, sizeof(text));
	return options_fault(section, "lease", build->error,
	    "%s is not 200ms over whole seconds, which the fence lifetime needs, "
	    "expected auto or seconds and 250ms, such as 2250ms",
	    text);
}

int
build_check_timers(
    struct build *build, const struct node *section, const struct conf_role *role)
{
	const struct conf *conf = build->conf;
	int64_t written_ms = role != NULL ? role->lease_ms : conf->lease_ms;

	if (check_seconds(build, section, written_ms) != 0)
		return -1;
	if (conf->fence != CONF_FENCE_LIFETIME && conf_has_bpf() &&
	    check_kind(build, section, role, true) != 0)
		return -1;
	return conf->fence == CONF_FENCE_BPF ? 0
					     : check_kind(build, section, role, false);
}
