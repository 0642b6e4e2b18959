/* SPDX-License-Identifier: ISC */
/*
 * The status as a person reads it: roles first, then services with their checks. Pure
 * text from the JSON of status.c; nothing is asked of lictord here. A table is gathered
 * whole, so that its columns fit what stands in them; the last column is not padded.
 */
#include "agent/ctl/show.h"

#include "agent/base/util.h"
#include "agent/ctl/show_role.h"
#include "agent/ctl/table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The first line of the output is enough for a table. */
static char *
first_line(const cJSON *check)
{
	const char *output = table_text(check, "output");

	return xstrndup(output, strcspn(output, "\n"));
}

static void
add_check(
    struct table *table, const char *service, const char *verdict, const cJSON *check)
{
	bool known = json_true(check, "known");
	uint64_t runs = 0;
	bool ran = json_get_uint(check, "runs", &runs) && runs > 0;
	char *cells[] = { xstrdup(service), xstrdup(verdict),
		xstrdup(table_text(check, "name")), xstrdup(table_text(check, "type")),
		xstrdup(known ? table_text(check, "status") : "not known yet"),
		xstrdup(ran ? table_text(check, "reason") : "-"),
		table_number(check, "runs"), first_line(check) };

	table_row(table, cells);
}

/* "passing, maintenance": it is taken out of service, or its whole host is. */
static char *
verdict_of(const cJSON *service, const cJSON *maintenance)
{
	const char *verdict = json_true(service, "known")
	    ? table_text(service, "status")
	    : "not known yet";
	const cJSON *entry;

	cJSON_ArrayForEach (entry, maintenance) {
		const char *name = json_text(entry, "service");

		if (name == NULL || strcmp(name, table_text(service, "name")) == 0)
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
		add_check(table, first ? table_text(service, "name") : "",
		    first ? verdict : "", check);
		first = false;
	}
	if (first) {
		char *cells[TABLE_COLUMNS] = { xstrdup(table_text(service, "name")),
			xstrdup(verdict) };
		for (size_t i = 2; i < TABLE_COLUMNS; i++)
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
			xstrdup(table_text(entry, "reason")) };
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
	else if (!json_true(fence, "ok"))
		fprintf(out, "fence: %s cannot be had, no address can be held: %s\n",
		    table_text(fence, "kind"), table_text(fence, "why"));
	else
		fprintf(out,
		    "fence: %s, because %s; lease %llu ms, at most %llu ms late\n",
		    table_text(fence, "kind"), table_text(fence, "why"),
		    (unsigned long long)lease_ms, (unsigned long long)late_ms);
}

void
show_status(FILE *out, const cJSON *status)
{
	const cJSON *maintenance = maintenance_of(status);
	const cJSON *consul = cJSON_GetObjectItemCaseSensitive(status, "consul");
	const cJSON *roles = cJSON_GetObjectItemCaseSensitive(status, "roles");
	const char *said = !json_true(consul, "answers") ? "does not answer"
	    : json_true(consul, "in_sync") ? "answers and shows what is known here"
					   : "answers and is being told";

	fprintf(out, "lictor %s on %s: Consul at %s %s\n",
	    table_text(status, "version"), table_text(status, "node"),
	    table_text(consul, "address"), said);
	if (json_true(status, "handover"))
		fprintf(out,
		    "this host takes no role until \"lictorctl handover off\" or a "
		    "restart\n");
	if (cJSON_GetArraySize(roles) > 0) {
		show_fence(out, cJSON_GetObjectItemCaseSensitive(status, "fence"));
		fprintf(out, "\n");
		show_roles(out, roles);
		show_peers(out, roles);
	}
	fprintf(out, "\n");
	if (cJSON_GetArraySize(maintenance) > 0) {
		show_maintenance(out, status);
		fprintf(out, "\n");
	}
	show_checks(out, cJSON_GetObjectItemCaseSensitive(status, "services"),
	    maintenance, cJSON_GetObjectItemCaseSensitive(status, "checks"));
}
