/* SPDX-License-Identifier: ISC */
/*
 * What a failover costs, reckoned from the timers before anything happens: the formulas of
 * the failover protocol's section 12, for `lictord -t` and for the lab, which holds what it
 * measures against them. Pure. Invariant: with more time in any timer no figure gets less.
 * See budget.h for the contract.
 */
#include "agent/conf/budget.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"

#define WRITE_MS 8 /* r: a write of Consul's, 2 to 8 ms were measured */
#define PROBE_MS 20 /* whether somebody has the address */
#define STAGGER_MS 200 /* S */
#define MEMBER_MS 10000 /* Tm */
#define PRESENCE_MS 30000 /* until Consul notices that a host is gone, at most */
#define GAVE_MS 5000 /* so long nobody asks for what he gave away */
#define PLANNED_MS 15 /* address down, one write, nudge, one write, address up */
#define SERVICE_MS 20
#define BUSY_MS 90 /* what a busy host may add to all of it */

/* rho and sigma: how far the clocks of two hosts may be apart, in parts of 10,000. */
#define RHO 10
#define SIGMA 850

/* A time of another host's clock, for sure. */
static int64_t
wait_out(int64_t ms)
{
	return (ms * (10000 + RHO) + (10000 - SIGMA) - 1) / (10000 - SIGMA);
}

/* A check begins anew each interval and, while it fails, each fast one; no two runs of it
 * overlap. A passive one is critical when its time is up. */
static int64_t
detection(const struct conf_check *check)
{
	int64_t again = check->fast_interval_ms > check->timeout_ms
	    ? check->fast_interval_ms
	    : check->timeout_ms;

	if (check->class->passive)
		return check->interval_ms;
	return check->interval_ms + check->timeout_ms + (check->fall - 1) * again;
}

static int64_t
slowest_detection(const struct conf_role *role)
{
	int64_t slowest = 0;

	for (size_t i = 0; i < role->n_services; i++)
		for (size_t k = 0; k < role->services[i]->n_checks; k++) {
			int64_t ms = detection(role->services[i]->checks[k]);
			slowest = ms > slowest ? ms : slowest;
		}
	return slowest;
}

/* For a host that may take over without having been a member. */
static int64_t
stranger(const struct conf_budget *budget, int64_t hold_ms, int64_t rest_ms)
{
	if (hold_ms == 0)
		return budget->silence_ms + budget->wait_ms + rest_ms;
	return MEMBER_MS + wait_out(hold_ms + budget->late_ms) + rest_ms;
}

void
conf_budget(const struct conf *conf, const struct conf_role *role, bool bpf,
    unsigned int rank, struct conf_budget *out)
{
	const struct conf_failover *failover = &conf->failover;
	int64_t rest_ms =
	    (int64_t)rank * STAGGER_MS + 2 * WRITE_MS + PROBE_MS + BUSY_MS;
	int hooks = (role->demote != NULL) + (role->promote != NULL);

	*out = (struct conf_budget){
		.lease_ms = conf_role_lease(conf, role, bpf),
		.late_ms = conf_margin(bpf),
		.silence_ms = conf_silence(conf, role, bpf),
		.planned_ms = PLANNED_MS,
		.hooks_ms = hooks * role->hook_timeout_ms,
		.detect_ms = slowest_detection(role),
		.service_ms = SERVICE_MS,
		.outage_ms = failover->hold_ms,
		.outage_alone_ms = failover->hold_alone_ms,
	};
	out->wait_ms = wait_out(out->lease_ms + out->late_ms);
	out->unheard_ms = PRESENCE_MS + out->wait_ms + rest_ms;
	int64_t noticed_ms = failover->heartbeats ? out->silence_ms : PRESENCE_MS;
	out->crash_ms = noticed_ms + out->wait_ms + rest_ms;
	out->isolated_ms = out->crash_ms;
	/* its heartbeats go on until its hold is over */
	out->deaf_ms = out->lease_ms + out->crash_ms;
	out->soon_ms =
	    (noticed_ms > GAVE_MS ? noticed_ms : GAVE_MS) + out->wait_ms + rest_ms;
	out->taker_ms =
	    2 * (noticed_ms + out->wait_ms) + rest_ms + STAGGER_MS + 2 * WRITE_MS;
	out->stranger_ms = stranger(out, failover->hold_ms, rest_ms);
	out->stranger_alone_ms = stranger(out, failover->hold_alone_ms, rest_ms);
	if (failover->heartbeats)
		return;
	out->outage_ms = out->outage_alone_ms = 0;
	out->stranger_ms = out->stranger_alone_ms = out->crash_ms;
}

/* ---- words ---- */

static const struct {
	const char *name, *words;
	size_t offset;
} figures[] = {
	{ "lease_ms", NULL, offsetof(struct conf_budget, lease_ms) },
	{ "late_ms", NULL, offsetof(struct conf_budget, late_ms) },
	{ "silence_ms", NULL, offsetof(struct conf_budget, silence_ms) },
	{ "wait_ms", NULL, offsetof(struct conf_budget, wait_ms) },
	{ "planned_ms", "when it is moved by hand, a stop or its preference",
	    offsetof(struct conf_budget, planned_ms) },
	{ "service_ms", "once a check of its services is critical",
	    offsetof(struct conf_budget, service_ms) },
	{ "detect_ms", "  which a failure takes",
	    offsetof(struct conf_budget, detect_ms) },
	{ "hooks_ms", "  and both take their hooks' time more",
	    offsetof(struct conf_budget, hooks_ms) },
	{ "crash_ms", "when its master crashes",
	    offsetof(struct conf_budget, crash_ms) },
	{ "isolated_ms", "when its master is cut off from the others",
	    offsetof(struct conf_budget, isolated_ms) },
	{ "deaf_ms", "when it hears nothing any more, but is heard",
	    offsetof(struct conf_budget, deaf_ms) },
	{ "soon_ms", "when it crashes within 5 s of a handover to it",
	    offsetof(struct conf_budget, soon_ms) },
	{ "taker_ms", "when the host that takes over crashes, too",
	    offsetof(struct conf_budget, taker_ms) },
	{ "stranger_ms", "when the master had never heard the host that is left",
	    offsetof(struct conf_budget, stranger_ms) },
	{ "stranger_alone_ms", "  nor any other",
	    offsetof(struct conf_budget, stranger_alone_ms) },
	{ "unheard_ms", "when a master crashes that sends no heartbeats",
	    offsetof(struct conf_budget, unheard_ms) },
	{ "outage_ms", "and stay without Consul while all others answer for",
	    offsetof(struct conf_budget, outage_ms) },
	{ "outage_alone_ms", "  and while there are no others",
	    offsetof(struct conf_budget, outage_alone_ms) },
};

_Static_assert(ARRAY_LENGTH(figures) * sizeof(int64_t) == sizeof(struct conf_budget),
    "a figure has no name");

static int64_t
figure(const struct conf_budget *budget, size_t i)
{
	return *(
	    const int64_t *)(const void *)((const char *)budget + figures[i].offset);
}

/* Never less than it is. */
static void
print_span(FILE *out, int64_t ms)
{
	if (ms == 0)
		fputs("no time\n", out);
	else if (ms < 1000)
		fprintf(out, "%" PRId64 " ms\n", ms);
	else if (ms < 100000)
		fprintf(out, "%" PRId64 ".%02d s\n", (ms + 9) / 1000,
		    (int)((ms + 9) / 10 % 100));
	else
		fprintf(out, "%" PRId64 " min\n", (ms + 59999) / 60000);
}

/* Which kinds the host may have: one is known, or only a start finds out. */
static bool
may_be(const struct conf *conf, bool bpf)
{
	if (bpf)
		return conf->fence != CONF_FENCE_LIFETIME && conf_has_bpf();
	return conf->fence != CONF_FENCE_BPF;
}

static void
print_figures(FILE *out, const struct conf_budget *budget)
{
	for (size_t i = 0; i < ARRAY_LENGTH(figures); i++) {
		bool aside = figures[i].words == NULL ||
		    (figures[i].words[0] == ' ' && figure(budget, i) == 0);
		if (aside)
			continue;
		fprintf(out, "  %-56s", figures[i].words);
		print_span(out, figure(budget, i));
	}
}

/* With all that come after it and have the same figures; nothing if one before it has. */
static void
print_role(FILE *out, const struct conf *conf, size_t role, bool bpf)
{
	struct conf_budget budget, other;
	char lease[32], silence[32];

	conf_budget(conf, conf->roles[role], bpf, 0, &budget);
	for (size_t i = 0; i < role; i++) {
		conf_budget(conf, conf->roles[i], bpf, 0, &other);
		if (memcmp(&budget, &other, sizeof(budget)) == 0)
			return;
	}
	fprintf(out, "role %s", conf->roles[role]->name);
	for (size_t i = role + 1; i < conf->n_roles; i++) {
		conf_budget(conf, conf->roles[i], bpf, 0, &other);
		if (memcmp(&budget, &other, sizeof(budget)) == 0)
			fprintf(out, ", %s", conf->roles[i]->name);
	}
	format_duration(budget.lease_ms, lease, sizeof(lease));
	format_duration(budget.silence_ms, silence, sizeof(silence));
	fprintf(out,
	    ": with the fence %s, a lease of %s and a silence of %s its addresses "
	    "are nowhere for at most\n",
	    bpf ? "bpf" : "lifetime", lease, silence);
	print_figures(out, &budget);
}

void
conf_budget_print(FILE *out, const struct conf *conf)
{
	for (int bpf = 1; bpf >= 0; bpf--)
		for (size_t i = 0; may_be(conf, bpf != 0) && i < conf->n_roles; i++)
			print_role(out, conf, i, bpf != 0);
}

cJSON *
conf_budget_json(const struct conf *conf)
{
	cJSON *list = cJSON_CreateArray();
	struct conf_budget budget;

	for (size_t i = 0; i < conf->n_roles; i++)
		for (int bpf = 1; bpf >= 0; bpf--) {
			if (!may_be(conf, bpf != 0))
				continue;
			conf_budget(conf, conf->roles[i], bpf != 0, 0, &budget);
			cJSON *item = cJSON_CreateObject();
			cJSON_AddStringToObject(item, "role", conf->roles[i]->name);
			cJSON_AddStringToObject(
			    item, "fence", bpf != 0 ? "bpf" : "lifetime");
			for (size_t k = 0; k < ARRAY_LENGTH(figures); k++)
				json_add_uint(item, figures[k].name,
				    (uint64_t)figure(&budget, k));
			cJSON_AddItemToArray(list, item);
		}
	return list;
}
