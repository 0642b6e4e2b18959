/* SPDX-License-Identifier: ISC */
/*
 * Roles as a person reads them: who is master and why, who could be, what others did with
 * the addresses, and whom this host hears. Pure text from the JSON of status_role.c.
 */
#include "agent/ctl/show_role.h"

#include "agent/base/util.h"
#include "agent/ctl/table.h"

#include <stdlib.h>
#include <string.h>

/* Who may have the addresses, and who is about to. */
static char *
master_of(const cJSON *role)
{
	const char *holder = table_text(role, "holder"),
		   *fence = table_text(role, "fence");

	if (json_true(role, "lost"))
		return xstrdup("register lost");
	if (strcmp(fence, "-") == 0)
		return xstrdup("nobody");
	if (strcmp(holder, fence) == 0)
		return xstrdup(fence);
	return strcmp(holder, "-") == 0
	    ? xasprintf("nobody (last: %s)", fence)
	    : xasprintf("%s (claimed by %s)", fence, holder);
}

static char *
addresses_of(const cJSON *role)
{
	struct buf list = { .limit = 4096 };
	const cJSON *vip;

	cJSON_ArrayForEach (vip, cJSON_GetObjectItemCaseSensitive(role, "vips"))
		buf_printf(&list, "%s%s on %s%s", list.len > 0 ? ", " : "",
		    table_text(vip, "address"), table_text(vip, "interface"),
		    json_true(vip, "held") ? " (here)" : "");
	if (list.len == 0)
		buf_printf(&list, "-");
	return list.data;
}

static char *
candidates_of(const cJSON *role)
{
	struct buf list = { .limit = 4096 };
	const cJSON *peer;

	cJSON_ArrayForEach (
	    peer, cJSON_GetObjectItemCaseSensitive(role, "candidates")) {
		uint64_t priority = 0;
		json_get_uint(peer, "priority", &priority);
		buf_printf(&list, "%s%s %llu%s", list.len > 0 ? ", " : "",
		    table_text(peer, "node"), (unsigned long long)priority,
		    json_true(peer, "ready") ? "" : " (not ready)");
	}
	if (list.len == 0)
		buf_printf(&list, "-");
	return list.data;
}

/* What others did with an address, if there is something to say. */
static void
show_contest(FILE *out, const cJSON *vip)
{
	static const struct {
		const char *name, *words;
	} events[] = {
		{ "claimed", "claimed by another host" },
		{ "found", "found at another host" },
		{ "added", "added here by another program" },
		{ "removed", "removed here by another program" },
	};
	const cJSON *last = cJSON_GetObjectItemCaseSensitive(vip, "last");
	struct buf list = { .limit = 512 };
	uint64_t count;

	for (size_t i = 0; i < ARRAY_LENGTH(events); i++)
		if (json_get_uint(vip, events[i].name, &count) && count > 0)
			buf_printf(&list, "%s%s: %llu", list.len > 0 ? ", " : "",
			    events[i].words, (unsigned long long)count);
	if (list.len > 0)
		fprintf(out, "%s on %s: %s%s%s\n", table_text(vip, "address"),
		    table_text(vip, "interface"), list.data,
		    json_text(last, "mac") != NULL ? ", last by " : "",
		    json_text(last, "mac") != NULL ? table_text(last, "mac") : "");
	buf_free(&list);
}

/* What keeps a role from moving, or its register from being read. */
static void
show_state(FILE *out, const cJSON *role)
{
	const cJSON *paused = cJSON_GetObjectItemCaseSensitive(role, "paused");
	const char *name = table_text(role, "name");

	if (json_true(role, "lost"))
		fprintf(out, "%s: register lost: see \"lictorctl explain %s\"\n", name,
		    name);
	if (json_true(role, "unreadable"))
		fprintf(out,
		    "%s: a newer lictor has written its register: this host only "
		    "watches\n",
		    name);
	if (paused != NULL)
		fprintf(out, "%s: paused by %s: %s\n", name, table_text(paused, "who"),
		    table_text(paused, "reason"));
	if (json_true(role, "failsafe"))
		fprintf(out, "%s: Consul is away, it stays while all members answer\n",
		    name);
}

void
show_roles(FILE *out, const cJSON *roles)
{
	static const char *const names[] = { "ROLE", "STATE", "READY", "TERM", "WHY",
		"MASTER", "CANDIDATES", "ADDRESSES" };
	struct table table;
	const cJSON *role, *vip;

	table_head(&table, names, ARRAY_LENGTH(names));
	cJSON_ArrayForEach (role, roles) {
		char *cells[] = { xstrdup(table_text(role, "name")),
			xstrdup(table_text(role, "state")),
			xstrdup(table_text(role, "ready")), table_number(role, "term"),
			xstrdup(table_text(role, "reason")), master_of(role),
			candidates_of(role), addresses_of(role) };
		table_row(&table, cells);
	}
	table_print(out, &table);
	cJSON_ArrayForEach (role, roles)
		cJSON_ArrayForEach (vip, cJSON_GetObjectItemCaseSensitive(role, "vips"))
			show_contest(out, vip);
	cJSON_ArrayForEach (role, roles)
		show_state(out, role);
}

/* "0.4 s ago". */
static char *
age_of(const cJSON *peer, const char *name)
{
	uint64_t age;

	if (!json_get_uint(peer, name, &age))
		return xstrdup("never");
	if (age >= 3600000)
		return xasprintf("%llu h ago", (unsigned long long)age / 3600000);
	return xasprintf("%.1f s ago", (double)age / 1000);
}

static char *
trip_of(const cJSON *peer)
{
	uint64_t us;

	if (!json_get_uint(peer, "rtt_us", &us))
		return xstrdup("-");
	return xasprintf("%.1f ms", (double)us / 1000);
}

static void
add_peer(struct table *table, const cJSON *role, const cJSON *peer)
{
	uint64_t port = 0;

	json_get_uint(peer, "port", &port);
	bool known =
	    json_text(peer, "address") != NULL && json_text(peer, "address")[0] != '\0';
	char *cells[] = { xstrdup(table_text(role, "name")),
		xstrdup(table_text(peer, "node")),
		known ? xasprintf("%s %llu", table_text(peer, "address"),
			    (unsigned long long)port)
		      : xstrdup("-"),
		xstrdup(json_true(peer, "member") ? "yes" : "no"),
		age_of(peer, "heard_ms"), age_of(peer, "answered_ms"), trip_of(peer) };

	table_row(table, cells);
}

void
show_peers(FILE *out, const cJSON *roles)
{
	static const char *const names[] = { "ROLE", "PEER", "ADDRESS", "MEMBER",
		"HEARD", "ANSWERED", "TRIP" };
	struct table table;
	const cJSON *role, *peer;
	int count = 0;

	cJSON_ArrayForEach (role, roles)
		count +=
		    cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(role, "peers"));
	if (count == 0)
		return;
	fprintf(out, "\n");
	table_head(&table, names, ARRAY_LENGTH(names));
	cJSON_ArrayForEach (role, roles)
		cJSON_ArrayForEach (
		    peer, cJSON_GetObjectItemCaseSensitive(role, "peers"))
			add_peer(&table, role, peer);
	table_print(out, &table);
	cJSON_ArrayForEach (role, roles)
		cJSON_ArrayForEach (
		    peer, cJSON_GetObjectItemCaseSensitive(role, "peers"))
			if (strcmp(table_text(peer, "fact"), "-") != 0)
				fprintf(out, "%s\n", table_text(peer, "fact"));
}
