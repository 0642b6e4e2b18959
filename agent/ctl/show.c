/* SPDX-License-Identifier: ISC */
/*
 * The status as a person reads it: roles first, then services with their checks. Pure
 * text from the JSON of status.c; nothing is asked of lictord here. A table is gathered
 * whole, so that its columns fit what stands in them; the last column is not padded.
 */
#include "agent/ctl/show.h"

#include "agent/base/util.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 8

struct table {
	size_t columns, count;
	char **cells;
};

static void
table_row(struct table *table, char *const *cells)
{
	table->cells = xrealloc(
	    table->cells, (table->count + 1) * table->columns, sizeof(*table->cells));
	for (size_t i = 0; i < table->columns; i++)
		table->cells[table->count * table->columns + i] = cells[i];
	table->count++;
}

static void
table_print(FILE *out, struct table *table)
{
	size_t width[COLUMNS_MAX] = { 0 };

	for (size_t i = 0; i < table->count * table->columns; i++) {
		size_t len = strlen(table->cells[i]);
		if (len > width[i % table->columns])
			width[i % table->columns] = len;
	}
	for (size_t i = 0; i < table->count * table->columns; i++) {
		bool last = i % table->columns == table->columns - 1;
		fprintf(out, "%-*s%s", last ? 0 : (int)width[i % table->columns],
		    table->cells[i], last ? "\n" : "  ");
		free(table->cells[i]);
	}
	free(table->cells);
}

static void
table_head(struct table *table, const char *const *names, size_t columns)
{
	char *cells[COLUMNS_MAX];

	*table = (struct table){ .columns = columns };
	for (size_t i = 0; i < columns; i++)
		cells[i] = xstrdup(names[i]);
	table_row(table, cells);
}

static const char *
text_of(const cJSON *object, const char *name)
{
	const char *text = json_text(object, name);

	return text != NULL && text[0] != '\0' ? text : "-";
}

static bool
true_of(const cJSON *object, const char *name)
{
	bool value = false;

	return json_get_bool(object, name, &value) && value;
}

static char *
number_of(const cJSON *object, const char *name)
{
	uint64_t value = 0;

	if (!json_get_uint(object, name, &value) || value == 0)
		return xstrdup("-");
	return xasprintf("%llu", (unsigned long long)value);
}

/* Who may have the addresses, and who is about to. */
static char *
master_of(const cJSON *role)
{
	const char *holder = text_of(role, "holder"), *fence = text_of(role, "fence");

	if (true_of(role, "lost"))
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
		    text_of(vip, "address"), text_of(vip, "interface"),
		    true_of(vip, "held") ? " (here)" : "");
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
		    text_of(peer, "node"), (unsigned long long)priority,
		    true_of(peer, "ready") ? "" : " (not ready)");
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
		fprintf(out, "%s on %s: %s%s%s\n", text_of(vip, "address"),
		    text_of(vip, "interface"), list.data,
		    json_text(last, "mac") != NULL ? ", last by " : "",
		    json_text(last, "mac") != NULL ? text_of(last, "mac") : "");
	buf_free(&list);
}

static void
show_roles(FILE *out, const cJSON *roles)
{
	static const char *const names[] = { "ROLE", "STATE", "READY", "TERM", "WHY",
		"MASTER", "CANDIDATES", "ADDRESSES" };
	struct table table;
	const cJSON *role, *vip;

	table_head(&table, names, ARRAY_LENGTH(names));
	cJSON_ArrayForEach (role, roles) {
		char *cells[] = { xstrdup(text_of(role, "name")),
			xstrdup(text_of(role, "state")),
			xstrdup(text_of(role, "ready")), number_of(role, "term"),
			xstrdup(text_of(role, "reason")), master_of(role),
			candidates_of(role), addresses_of(role) };
		table_row(&table, cells);
	}
	table_print(out, &table);
	cJSON_ArrayForEach (role, roles)
		cJSON_ArrayForEach (vip, cJSON_GetObjectItemCaseSensitive(role, "vips"))
			show_contest(out, vip);
}

/* The first line of the output is enough for a table. */
static char *
first_line(const cJSON *check)
{
	const char *output = text_of(check, "output");

	return xstrndup(output, strcspn(output, "\n"));
}

static void
add_check(
    struct table *table, const char *service, const char *verdict, const cJSON *check)
{
	bool known = true_of(check, "known");
	uint64_t runs = 0;
	bool ran = json_get_uint(check, "runs", &runs) && runs > 0;
	char *cells[] = { xstrdup(service), xstrdup(verdict),
		xstrdup(text_of(check, "name")), xstrdup(text_of(check, "type")),
		xstrdup(known ? text_of(check, "status") : "not known yet"),
		xstrdup(ran ? text_of(check, "reason") : "-"), number_of(check, "runs"),
		first_line(check) };

	table_row(table, cells);
}

/* "passing, maintenance": it is taken out of service, or its whole host is. */
static char *
verdict_of(const cJSON *service, const cJSON *maintenance)
{
	const char *verdict =
	    true_of(service, "known") ? text_of(service, "status") : "not known yet";
	const cJSON *entry;

	cJSON_ArrayForEach (entry, maintenance) {
		const char *name = json_text(entry, "service");

		if (name == NULL || strcmp(name, text_of(service, "name")) == 0)
			return xasprintf("%s, maintenance", verdict);
	}
	return xstrdup(verdict);
}

static void
add_service(struct table *table, const cJSON *service, const cJSON *maintenance)
{
	const cJSON *check,
	    *checks = cJSON_GetObjectItemCaseSensitive(service, "checks");
	char *verdict AUTO_FREE = verdict_of(service, maintenance);
	bool first = true;

	cJSON_ArrayForEach (check, checks) {
		add_check(table, first ? text_of(service, "name") : "",
		    first ? verdict : "", check);
		first = false;
	}
	if (first) {
		char *cells[COLUMNS_MAX] = { xstrdup(text_of(service, "name")),
			xstrdup(verdict) };
		for (size_t i = 2; i < COLUMNS_MAX; i++)
			cells[i] = xstrdup("-");
		table_row(table, cells);
	}
}

static void
show_checks(FILE *out, const cJSON *services, const cJSON *maintenance,
    const cJSON *node_checks)
{
	static const char *const names[] = { "SERVICE", "STATUS", "CHECK", "TYPE",
		"STATUS", "REASON", "RUNS", "OUTPUT" };
	struct table table;
	const cJSON *item;

	table_head(&table, names, ARRAY_LENGTH(names));
	cJSON_ArrayForEach (item, services)
		add_service(&table, item, maintenance);
	cJSON_ArrayForEach (item, node_checks)
		add_check(&table, "(node)", "-", item);
	table_print(out, &table);
}

static const cJSON *
maintenance_of(const cJSON *status)
{
	return cJSON_GetObjectItemCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(status, "maintenance"), "list");
}

static char *
until_of(const cJSON *entry)
{
	uint64_t until;
	char text[32];
	struct tm tm;

	if (!json_get_uint(entry, "until", &until))
		return xstrdup("-");
	time_t seconds = (time_t)(until / 1000);
	if (localtime_r(&seconds, &tm) == NULL)
		return xstrdup("-");
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
	return xstrdup(text);
}

void
show_maintenance(FILE *out, const cJSON *status)
{
	static const char *const names[] = { "SERVICE", "UNTIL", "BY", "REASON" };
	const cJSON *list = maintenance_of(status), *entry;
	struct table table;

	if (cJSON_GetArraySize(list) == 0) {
		fprintf(out, "nothing is in maintenance\n");
		return;
	}
	table_head(&table, names, ARRAY_LENGTH(names));
	cJSON_ArrayForEach (entry, list) {
		const char *service = json_text(entry, "service");
		const char *who = json_text(entry, "who");
		char *cells[] = { xstrdup(service != NULL ? service : "(whole host)"),
			until_of(entry), xstrdup(who != NULL ? who : "Consul"),
			xstrdup(text_of(entry, "reason")) };
		table_row(&table, cells);
	}
	table_print(out, &table);
}

/* Which kind it is and why, and what that means for the roles. */
static void
show_fence(FILE *out, const cJSON *fence)
{
	uint64_t lease_ms, late_ms;

	if (!json_get_uint(fence, "lease_ms", &lease_ms) ||
	    !json_get_uint(fence, "late_ms", &late_ms))
		fprintf(out, "fence: not known yet, no role begins before it is\n");
	else if (!true_of(fence, "ok"))
		fprintf(out, "fence: %s cannot be had, no address can be held: %s\n",
		    text_of(fence, "kind"), text_of(fence, "why"));
	else
		fprintf(out,
		    "fence: %s, because %s; lease %llu ms, at most %llu ms late\n",
		    text_of(fence, "kind"), text_of(fence, "why"),
		    (unsigned long long)lease_ms, (unsigned long long)late_ms);
}

void
show_status(FILE *out, const cJSON *status)
{
	const cJSON *maintenance = maintenance_of(status);
	const cJSON *consul = cJSON_GetObjectItemCaseSensitive(status, "consul");
	const cJSON *roles = cJSON_GetObjectItemCaseSensitive(status, "roles");
	const char *said = !true_of(consul, "answers") ? "does not answer"
	    : true_of(consul, "in_sync") ? "answers and shows what is known here"
					 : "answers and is being told";

	fprintf(out, "lictor %s on %s: Consul at %s %s\n", text_of(status, "version"),
	    text_of(status, "node"), text_of(consul, "address"), said);
	if (true_of(status, "handover"))
		fprintf(out,
		    "this host takes no role until \"lictorctl handover off\" or a "
		    "restart\n");
	if (cJSON_GetArraySize(roles) > 0) {
		show_fence(out, cJSON_GetObjectItemCaseSensitive(status, "fence"));
		fprintf(out, "\n");
		show_roles(out, roles);
	}
	fprintf(out, "\n");
	if (cJSON_GetArraySize(maintenance) > 0) {
		show_maintenance(out, status);
		fprintf(out, "\n");
	}
	show_checks(out, cJSON_GetObjectItemCaseSensitive(status, "services"),
	    maintenance, cJSON_GetObjectItemCaseSensitive(status, "checks"));
}
