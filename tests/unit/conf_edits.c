/* SPDX-License-Identifier: ISC */
/*
 * The model behind conf_edits.h. Each option has two values that are not its default, so
 * that two sections say the same if and only if they have the same values. Names are fixed
 * by the place in the model: what is edited away and comes back is the same thing again.
 */
#include "tests/unit/conf_edits.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

enum { TYPES = 3, OWN = 6 };

struct option {
	const char *name, *values[2];
};

/* Those of the schedule first: a passive type takes none of them. */
static const struct option check_options[] = {
	{ "interval", { "1s", "3s" } },
	{ "fast-interval", { "100ms", "200ms" } },
	{ "timeout", { "700ms", "800ms" } },
	{ "latency-warning", { "50ms", "60ms" } },
	{ "latency-critical", { "500ms", "600ms" } },
	{ "rise", { "5", "6" } },
	{ "fall", { "5", "6" } },
	{ "initial", { "passing", "warning" } },
	{ "flap-threshold", { "0", "30" } },
	{ "window", { "5", "7" } },
	{ "error-rate-warning", { "10", "20" } },
	{ "error-rate-critical", { "50", "60" } },
	{ "output-size", { "100", "200" } },
	{ "notes", { "one", "two" } },
};
enum { SCHEDULE_OPTIONS = 5 };

static const struct option service_options[] = {
	{ "address", { "192.0.2.1", "192.0.2.2" } },
	{ "port", { "80", "81" } },
	{ "tags", { "{a}", "{a, b}" } },
	{ "meta", { "{\"a=b\"}", "{\"a=c\"}" } },
	{ "weight", { "2", "3" } },
	{ "warning-weight", { "2", "3" } },
	{ "on-stop", { "maintenance", "deregister" } },
	{ "deregister-critical-after", { "1m", "2m" } },
};

static const struct option role_options[] = {
	{ "priority", { "50", "200" } },
	{ "preempt", { "true", "true" } },
	{ "preempt-delay", { "1s", "2s" } },
	{ "when-all-critical", { "release", "release" } },
	{ "address", { "before-promote", "before-promote" } },
	{ "master-tag", { "first", "primary" } },
	{ "backup-tag", { "second", "spare" } },
	{ "auto-init", { "false", "false" } },
	{ "lease", { "3250ms", "4250ms" } },
	{ "silence", { "200ms", "500ms" } },
	{ "limit", { "0", "7" } },
	{ "within", { "1m", "2m" } },
	{ "promote", { "{/bin/true}", "{/bin/true, up}" } },
	{ "demote", { "{/bin/true}", "{/bin/true, down}" } },
	{ "notify", { "{/bin/true}", "{/bin/true, news}" } },
	{ "timeout", { "5s", "6s" } },
	{ "user", { "root", "nobody" } },
	{ "environment", { "{\"A=b\"}", "{\"A=c\"}" } },
};
enum { ROLE_HOOKS = 12, HOOK_COMMANDS = 3 };

/* % is the number of the vip: no two may have the same route. */
static const struct option vip_options[] = {
	{ "announce-refresh", { "5s", "6s" } },
	{ "route", { "{\"10.%.0.0/16\"}", "{\"10.%.0.0/16 via 192.0.2.1\"}" } },
	{ "rule",
	    { "{\"to 10.%.0.0/16 table 9\"}", "{\"from 10.%.0.0/16 table 9\"}" } },
	{ "on-conflict", { "yield", "yield" } },
	{ "reset-connections", { "false", "false" } },
};

_Static_assert(ARRAY_LENGTH(check_options) <= EDITS_OPTIONS &&
	ARRAY_LENGTH(service_options) <= EDITS_OPTIONS &&
	ARRAY_LENGTH(role_options) <= EDITS_OPTIONS,
    "a kind has more options than a section has room for");

static const char *const types[TYPES] = { "tcp", "script", "ttl" };
static const char *const own[TYPES][OWN] = {
	{ "address = \"127.0.0.1:1\"", "address = \"127.0.0.1:2\"",
	    "address = \"127.0.0.1:1\" send = a",
	    "address = \"127.0.0.1:1\" send = a expect = b",
	    "address = \"127.0.0.1:1\" tls = true",
	    "address = \"127.0.0.1:1\" send = b" },
	{ "command = {/bin/true}", "command = {/bin/true, \"\"}",
	    "command = {/bin/true} user = nobody",
	    "command = {/bin/true} environment = {\"A=b\"}",
	    "command = {/bin/true} memory = 1G", "command = {/bin/true} files = 99" },
	{ "ttl = 1m", "ttl = 2m", "ttl = 3m", "ttl = 4m", "ttl = 5m", "ttl = 6m" },
};

unsigned int
edits_draw(struct edits *edits, unsigned int end)
{
	uint64_t x = edits->chance;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	edits->chance = x;
	return (unsigned int)((x >> 20) % end);
}

static void
change_section(struct edits *edits, struct edits_section *section, size_t n_options)
{
	if (edits_draw(edits, 4) == 0)
		section->there = !section->there;
	else
		section->options[edits_draw(edits, (unsigned int)n_options)] =
		    (uint8_t)edits_draw(edits, 3);
}

static void
change_check(struct edits *edits, size_t service, size_t i)
{
	struct edits_check *check = &edits->checks[service][i];

	switch (edits_draw(edits, 6)) {
	case 0:
		check->type = (uint8_t)(edits->local ? 1 + edits_draw(edits, TYPES - 1)
						     : edits_draw(edits, TYPES));
		break;
	case 1: check->own = (uint8_t)edits_draw(edits, OWN); break;
	case 2:
		check->depends =
		    (uint8_t)(i == 0 ? 0 : edits_draw(edits, (unsigned int)i + 1));
		break;
	default:
		change_section(edits, &check->section, ARRAY_LENGTH(check_options));
		break;
	}
}

static void
change_once(struct edits *edits)
{
	unsigned int role = edits_draw(edits, EDITS_ROLES);
	unsigned int service = edits_draw(edits, EDITS_SERVICES);

	switch (edits_draw(edits, 12)) {
	case 0:
		change_section(
		    edits, &edits->services[service], ARRAY_LENGTH(service_options));
		break;
	case 1:
		change_section(edits, &edits->roles[role], ARRAY_LENGTH(role_options));
		break;
	case 2:
		change_section(edits, &edits->vips[role][edits_draw(edits, EDITS_VIPS)],
		    ARRAY_LENGTH(vip_options));
		break;
	case 3:
		edits->role_of[service] = (uint8_t)edits_draw(edits, EDITS_ROLES + 1);
		break;
	case 4: edits->reversed = !edits->reversed; break;
	case 5: edits->lines = (uint8_t)edits_draw(edits, 4); break;
	default:
		change_check(edits, edits_draw(edits, EDITS_SERVICES + 1),
		    edits_draw(edits, EDITS_CHECKS));
		break;
	}
}

void
edits_init(struct edits *edits, uint64_t seed, bool local)
{
	*edits = (struct edits){ .chance = seed * 2654435761u + 88172645463325252u,
		.local = local };
	for (size_t i = 0; i <= EDITS_SERVICES; i++)
		for (size_t j = 0; j < EDITS_CHECKS; j++) {
			edits->checks[i][j].type = local;
			edits->checks[i][j].section.there = edits_draw(edits, 4) > 0;
		}
	for (size_t i = 0; i < EDITS_SERVICES; i++)
		edits->services[i].there = edits_draw(edits, 4) > 0;
	for (size_t i = 0; i < EDITS_ROLES; i++) {
		edits->roles[i].there = edits_draw(edits, 4) > 0;
		for (size_t j = 0; j < EDITS_VIPS; j++)
			edits->vips[i][j].there = edits_draw(edits, 4) > 0;
	}
	for (int i = 0; i < 150; i++)
		change_once(edits);
}

void
edits_change(struct edits *edits)
{
	unsigned int n = 1 + edits_draw(edits, 6);

	for (unsigned int i = 0; i < n; i++)
		change_once(edits);
}

/* ---- the text ---- */

static void
write_options(struct buf *buf, const struct edits_section *section,
    const struct option *options, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (section->options[i] > 0)
			buf_printf(buf, "    %s = %s\n", options[i].name,
			    options[i].values[section->options[i] - 1]);
}

bool
edits_has_check(const struct edits *edits, size_t service, size_t check)
{
	return edits->checks[service][check].section.there &&
	    (service == EDITS_HOST || edits->services[service].there);
}

static bool
is_ttl(const struct edits_check *check)
{
	return check->type == 2;
}

/* The check it depends on, or -1: that one must be there. */
static int
depends_on(const struct edits *edits, size_t service, size_t i)
{
	int other = edits->checks[service][i].depends - 1;

	return other >= 0 && edits_has_check(edits, service, (size_t)other) ? other
									    : -1;
}

static void
write_check(struct buf *buf, const struct edits *edits, size_t service, size_t i)
{
	const struct edits_check *check = &edits->checks[service][i];
	int other = depends_on(edits, service, i);

	if (!edits_has_check(edits, service, i))
		return;
	buf_printf(buf, "  %s \"c%zu\" {\n    %s\n", types[check->type], i,
	    own[check->type][check->own]);
	write_options(buf, &check->section, check_options,
	    is_ttl(check) ? SCHEDULE_OPTIONS : 0, ARRAY_LENGTH(check_options));
	if (other >= 0)
		buf_printf(buf, "    depends-on = \"c%d\"\n", other);
	buf_printf(buf, "  }\n");
}

static void
write_service(struct buf *buf, const struct edits *edits, size_t i)
{
	if (!edits->services[i].there)
		return;
	buf_printf(buf, "service \"s%zu\" {\n", i);
	write_options(buf, &edits->services[i], service_options, 0,
	    ARRAY_LENGTH(service_options));
	for (size_t j = 0; j < EDITS_CHECKS; j++)
		write_check(buf, edits, i, j);
	buf_printf(buf, "}\n");
}

static bool
is_in_role(const struct edits *edits, size_t service, size_t role)
{
	return edits->services[service].there && edits->role_of[service] == role + 1;
}

static void
write_vip(struct buf *buf, const struct edits_section *vip, size_t number)
{
	struct buf options = { .limit = 1 << 12 };

	write_options(&options, vip, vip_options, 0, ARRAY_LENGTH(vip_options));
	buf_printf(buf, "  vip \"192.0.2.%zu\" {\n    interface = eth0\n", number);
	for (size_t i = 0; i < options.len; i++)
		if (options.data[i] == '%')
			buf_printf(buf, "%zu", number);
		else
			buf_add(buf, &options.data[i], 1);
	buf_printf(buf, "  }\n");
	buf_free(&options);
}

static void
write_role(struct buf *buf, const struct edits *edits, size_t i)
{
	const struct edits_section *role = &edits->roles[i];
	const char *comma = "";

	if (!role->there)
		return;
	buf_printf(buf, "role \"r%zu\" {\n    services = {", i);
	for (size_t j = 0; j < EDITS_SERVICES; j++)
		if (is_in_role(edits, j, i)) {
			buf_printf(buf, "%ss%zu", comma, j);
			comma = ", ";
		}
	buf_printf(buf, "}\n");
	write_options(buf, role, role_options, 0, ROLE_HOOKS);
	for (size_t j = 0; j < EDITS_VIPS; j++)
		if (edits->vips[i][j].there)
			write_vip(buf, &edits->vips[i][j], 100 + 10 * i + j);
	buf_printf(buf, "  hooks {\n");
	write_options(buf, role, role_options, ROLE_HOOKS, ARRAY_LENGTH(role_options));
	buf_printf(buf, "  }\n}\n");
}

char *
edits_text(const struct edits *edits)
{
	struct buf buf = { .limit = 1 << 20 };

	buf_printf(&buf, "# edits\n");
	for (unsigned int i = 0; i < edits->lines; i++)
		buf_printf(&buf, "\n");
	for (size_t i = 0; i < EDITS_SERVICES; i++)
		write_service(
		    &buf, edits, edits->reversed ? EDITS_SERVICES - 1 - i : i);
	for (size_t i = 0; i < EDITS_CHECKS; i++)
		write_check(&buf, edits, EDITS_HOST, i);
	for (size_t i = 0; i < EDITS_ROLES; i++)
		write_role(&buf, edits, i);
	return buf.data;
}

/* ---- what is the same ---- */

/* What is written with the same words means the same. */
static bool
same_options(const struct edits_section *a, const struct edits_section *b,
    const struct option *options, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const char *const *values = options[i].values;
		uint8_t x = a->options[i], y = b->options[i];
		if (x != y &&
		    (x == 0 || y == 0 || strcmp(values[x - 1], values[y - 1]) != 0))
			return false;
	}
	return true;
}

bool
edits_same_check(
    const struct edits *a, const struct edits *b, size_t service, size_t check)
{
	const struct edits_check *x = &a->checks[service][check];
	const struct edits_check *y = &b->checks[service][check];

	return x->type == y->type && x->own == y->own &&
	    depends_on(a, service, check) == depends_on(b, service, check) &&
	    same_options(&x->section, &y->section, check_options,
		is_ttl(x) ? SCHEDULE_OPTIONS : 0, ARRAY_LENGTH(check_options));
}

/* The role that it is in, if that is there. */
static size_t
role_of(const struct edits *edits, size_t service)
{
	uint8_t role = edits->role_of[service];

	return role > 0 && edits->roles[role - 1].there ? role : 0;
}

bool
edits_same_service(const struct edits *a, const struct edits *b, size_t service)
{
	return role_of(a, service) == role_of(b, service) &&
	    same_options(&a->services[service], &b->services[service], service_options,
		0, ARRAY_LENGTH(service_options));
}

bool
edits_same_vip(const struct edits *a, const struct edits *b, size_t role, size_t vip)
{
	return same_options(&a->vips[role][vip], &b->vips[role][vip], vip_options, 0,
	    ARRAY_LENGTH(vip_options));
}

/* A hook's user and environment are of account where there is a hook. */
static bool
same_hooks(const struct edits_section *a, const struct edits_section *b)
{
	const size_t users = ROLE_HOOKS + HOOK_COMMANDS;
	bool any = false;

	for (size_t i = ROLE_HOOKS; i < users; i++)
		any = any || a->options[i] > 0;
	return same_options(a, b, role_options, ROLE_HOOKS, users + 1) &&
	    (!any ||
		same_options(
		    a, b, role_options, users + 1, ARRAY_LENGTH(role_options)));
}

bool
edits_same_role(const struct edits *a, const struct edits *b, size_t role)
{
	for (size_t i = 0; i < EDITS_SERVICES; i++)
		if (is_in_role(a, i, role) != is_in_role(b, i, role))
			return false;
	for (size_t i = 0; i < EDITS_VIPS; i++)
		if (a->vips[role][i].there != b->vips[role][i].there ||
		    (a->vips[role][i].there && !edits_same_vip(a, b, role, i)))
			return false;
	return same_options(
		   &a->roles[role], &b->roles[role], role_options, 0, ROLE_HOOKS) &&
	    same_hooks(&a->roles[role], &b->roles[role]);
}

size_t
edits_options(enum edits_kind kind, const char *names[EDITS_OPTIONS])
{
	static const struct {
		const struct option *options;
		size_t count;
	} kinds[] = {
		[EDITS_OF_CHECK] = { check_options, ARRAY_LENGTH(check_options) },
		[EDITS_OF_SERVICE] = { service_options, ARRAY_LENGTH(service_options) },
		[EDITS_OF_ROLE] = { role_options, ARRAY_LENGTH(role_options) },
		[EDITS_OF_VIP] = { vip_options, ARRAY_LENGTH(vip_options) },
	};

	for (size_t i = 0; i < kinds[kind].count; i++)
		names[i] = kinds[kind].options[i].name;
	return kinds[kind].count;
}
