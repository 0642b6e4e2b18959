/* SPDX-License-Identifier: ISC */
/*
 * The check type `pgsql`: a PostgreSQL server lets us in, is what it should be (primary or
 * standby) or answers a query as expected. libpq does the talking through its asynchronous
 * functions (libpq, "Asynchronous Command Processing"); it is given addresses, never names,
 * which it would ask for and wait. Every address is tried in turn. The connection belongs to
 * the run: cancel is the one place that ends it.
 */
#include <libpq-fe.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks/check.h"
#include "plugins/target.h"

#define DEFAULT_PORT 5432
#define RECEIVED_MAX (4u << 20)

struct pgsql_check {
	char *address, *database, *user, *password_file, *role, *query, *expect;
	char *sslmode, *ca_file, *cert_file, *key_file;
	/* made by prepare */
	struct target target;
	const char *question;
};

struct pgsql_run {
	PGconn *connection;
	struct target_addresses addresses;
	bool asked;
};

static const struct check_option options[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct pgsql_check, address),
	    .required = true },
	{ "database", CHECK_OPTION_TEXT, offsetof(struct pgsql_check, database),
	    .value = "postgres" },
	{ "user", CHECK_OPTION_TEXT, offsetof(struct pgsql_check, user),
	    .required = true },
	{ "password-file", CHECK_OPTION_FILE,
	    offsetof(struct pgsql_check, password_file) },
	{ "role", CHECK_OPTION_TEXT, offsetof(struct pgsql_check, role),
	    .value = "any" },
	{ "query", CHECK_OPTION_TEXT, offsetof(struct pgsql_check, query) },
	{ "expect", CHECK_OPTION_TEXT, offsetof(struct pgsql_check, expect) },
	{ "sslmode", CHECK_OPTION_TEXT, offsetof(struct pgsql_check, sslmode),
	    .value = "prefer" },
	{ "ca-file", CHECK_OPTION_FILE, offsetof(struct pgsql_check, ca_file) },
	{ "cert-file", CHECK_OPTION_FILE, offsetof(struct pgsql_check, cert_file) },
	{ "key-file", CHECK_OPTION_FILE, offsetof(struct pgsql_check, key_file) },
	{ NULL },
};

static bool
is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	static const char *const roles[] = { "any", "primary", "standby", NULL };
	static const char *const modes[] = { "disable", "allow", "prefer", "require",
		"verify-ca", "verify-full", NULL };
	struct pgsql_check *check = conf;
	bool any = strcmp(check->role, "any") == 0;

	*option = "address";
	if (target_split(check->address, DEFAULT_PORT, &check->target, why, why_size) !=
	    0)
		return -1;
	*option = "role";
	if (!is_one_of(check->role, roles) || (!any && check->query != NULL)) {
		snprintf(why, why_size,
		    "\"%.40s\" is not possible, expected any, or without a query "
		    "primary or standby",
		    check->role);
		return -1;
	}
	*option = "sslmode";
	if (!is_one_of(check->sslmode, modes)) {
		snprintf(why, why_size,
		    "\"%.40s\" is not known, expected disable, allow, prefer, require, "
		    "verify-ca or verify-full",
		    check->sslmode);
		return -1;
	}
	*option = "expect";
	if (check->expect != NULL && check->query == NULL) {
		snprintf(why, why_size, "it needs a query");
		return -1;
	}
	check->question =
	    check->query != NULL ? check->query : "SELECT pg_is_in_recovery()";
	return 0;
}

static void
cancel(struct check_run *run)
{
	struct pgsql_run *pgsql = check_state(run);

	check_unwatch(run);
	PQfinish(pgsql->connection);
	pgsql->connection = NULL;
}

static void
end(struct check_run *run, enum check_status status, enum check_reason reason,
    const char *text)
{
	const struct pgsql_check *check = check_conf(run);

	cancel(run);
	check_done(run, status, reason, "%s: %s", check->address, text);
}

/* libpq's last words, which go with the connection. */
static void
end_by_server(struct check_run *run, enum check_reason reason, const char *otherwise)
{
	const struct pgsql_run *pgsql = check_state(run);
	const char *said = PQerrorMessage(pgsql->connection);
	char text[300];

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(said, "\n"), said);
	end(run, CHECK_CRITICAL, reason, text[0] != '\0' ? text : otherwise);
}

static void
judge_value(struct check_run *run, const char *value)
{
	const struct pgsql_check *check = check_conf(run);
	bool standby = strcmp(value, "t") == 0;

	if (check->query != NULL && check->expect != NULL &&
	    strcmp(value, check->expect) != 0)
		end(run, CHECK_CRITICAL, CHECK_REASON_BODY,
		    "the query's answer is not as expected");
	else if (strcmp(check->role, "primary") == 0 && standby)
		end(run, CHECK_CRITICAL, CHECK_REASON_STATE, "it is a standby");
	else if (strcmp(check->role, "standby") == 0 && !standby)
		end(run, CHECK_CRITICAL, CHECK_REASON_STATE, "it is no standby");
	else
		end(run, CHECK_PASSING, CHECK_REASON_OK,
		    check->query != NULL ? "the query is answered"
			: standby        ? "it is a standby"
					 : "it is a primary");
}

static void
judge(struct check_run *run, PGresult *result)
{
	const struct pgsql_check *check = check_conf(run);

	if (PQresultStatus(result) == PGRES_COMMAND_OK && check->expect == NULL)
		end(run, CHECK_PASSING, CHECK_REASON_OK, "the query is answered");
	else if (PQresultStatus(result) != PGRES_TUPLES_OK &&
	    PQresultStatus(result) != PGRES_SINGLE_TUPLE)
		end_by_server(run, CHECK_REASON_STATUS, "the query failed");
	else if (PQntuples(result) > 0 && PQnfields(result) > 0)
		judge_value(run, PQgetvalue(result, 0, 0));
	else if (check->expect != NULL)
		end(run, CHECK_CRITICAL, CHECK_REASON_BODY, "the query found no row");
	else
		judge_value(run, "");
}

/* What this process has got of its memory's allocator, in bytes. */
static size_t
allocated(void)
{
#ifdef HAVE_MALLINFO2
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
#else
	return 0;
#endif
}

/* Where the allocator does not say it in time. */
static bool
is_too_long(const struct pgsql_run *pgsql)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(PQsocket(pgsql->connection), IPPROTO_TCP, TCP_INFO, &info,
		   &len) == 0 &&
	    info.tcpi_bytes_received > RECEIVED_MAX;
}

static void
read_answer(struct check_run *run, unsigned int events)
{
	struct pgsql_run *pgsql = check_state(run);

	if (PQconsumeInput(pgsql->connection) == 0) {
		end_by_server(run, CHECK_REASON_CLOSED, "the connection ended");
		return;
	}
	size_t before = allocated();

	/* libpq keeps all of a row, which has no limit of its own: it makes room for it when
	 * it knows the length, and then reads on for as long as the server sends */
	if (PQisBusy(pgsql->connection)) {
		if (allocated() > before + RECEIVED_MAX || is_too_long(pgsql))
			end(run, CHECK_CRITICAL, CHECK_REASON_PROTOCOL,
			    "a row of the answer is longer than 4 MiB");
		return;
	}
	PGresult *result = PQgetResult(pgsql->connection);
	judge(run, result);
	PQclear(result);
}

static void
flush(struct check_run *run, unsigned int events)
{
	struct pgsql_run *pgsql = check_state(run);
	int left = PQflush(pgsql->connection);

	if (left < 0)
		end_by_server(run, CHECK_REASON_CLOSED, "the connection ended");
	else if (left > 0)
		check_watch(run, PQsocket(pgsql->connection), CHECK_WRITE, flush);
	else
		check_watch(run, PQsocket(pgsql->connection), CHECK_READ, read_answer);
}

static void
ask(struct check_run *run)
{
	const struct pgsql_check *check = check_conf(run);
	struct pgsql_run *pgsql = check_state(run);

	PQsetnonblocking(pgsql->connection, 1);
	/* the first row is enough, and who knows how many there are */
	if (PQsendQuery(pgsql->connection, check->question) == 0 ||
	    PQsetSingleRowMode(pgsql->connection) == 0)
		end_by_server(run, CHECK_REASON_CLOSED, "the connection ended");
	else
		flush(run, 0);
}

static void try_next(struct check_run *run);

/* A server that answered, if only to refuse, is the right one; else there may be another
 * address. */
static void
connect_failed(struct check_run *run)
{
	struct pgsql_run *pgsql = check_state(run);
	bool answered = PQserverVersion(pgsql->connection) != 0 ||
	    strstr(PQerrorMessage(pgsql->connection), "FATAL") != NULL;

	if (answered)
		end_by_server(run, CHECK_REASON_STATUS, "the server refuses us");
	else if (pgsql->addresses.next < pgsql->addresses.count)
		try_next(run);
	else
		end_by_server(run, CHECK_REASON_REFUSED, "no connection");
}

static void
go_on(struct check_run *run, unsigned int events)
{
	struct pgsql_run *pgsql = check_state(run);

	/* libpq may have another socket than before */
	check_unwatch(run);
	switch (PQconnectPoll(pgsql->connection)) {
	case PGRES_POLLING_READING:
		check_watch(run, PQsocket(pgsql->connection), CHECK_READ, go_on);
		break;
	case PGRES_POLLING_WRITING:
		check_watch(run, PQsocket(pgsql->connection), CHECK_WRITE, go_on);
		break;
	case PGRES_POLLING_OK: ask(run); break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE: connect_failed(run); break;
	}
}

static PGconn *
begin(const struct pgsql_check *check, const char *address, const char *password)
{
	char port[8];
	const char *const names[] = { "host", "hostaddr", "port", "dbname", "user",
		"password", "sslmode", "sslrootcert", "sslcert", "sslkey", "passfile",
		"gssencmode", "application_name", NULL };
	const char *const values[] = { check->target.host, address, port,
		check->database, check->user, password, check->sslmode, check->ca_file,
		check->cert_file, check->key_file, "/nonexistent", "disable", "lictor",
		NULL };

	snprintf(port, sizeof(port), "%u", check->target.port);
	return PQconnectStartParams(names, values, 0);
}

/* To the next address that a connection can be begun to. */
static void
try_next(struct check_run *run)
{
	const struct pgsql_check *check = check_conf(run);
	struct pgsql_run *pgsql = check_state(run);
	char password[TARGET_SECRET_MAX], why[200];

	cancel(run);
	if (target_secret(check->password_file, password, why, sizeof(why)) != 0) {
		end(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL, why);
		return;
	}
	pgsql->connection =
	    begin(check, pgsql->addresses.text[pgsql->addresses.next++], password);
	explicit_bzero(password, sizeof(password));
	if (pgsql->connection == NULL)
		end(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL, "out of memory");
	else if (PQstatus(pgsql->connection) == CONNECTION_BAD)
		connect_failed(run);
	else
		check_watch(run, PQsocket(pgsql->connection), CHECK_WRITE, go_on);
}

static void
found(struct check_run *run, const struct check_address *addresses, size_t count,
    const char *why)
{
	struct pgsql_run *pgsql = check_state(run);

	if (addresses == NULL) {
		end(run, CHECK_CRITICAL, CHECK_REASON_RESOLVE, why);
		return;
	}
	target_take_addresses(&pgsql->addresses, addresses, count);
	try_next(run);
}

static void
start(struct check_run *run)
{
	const struct pgsql_check *check = check_conf(run);

	check_resolve(run, check->target.host, check->target.port, found);
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "pgsql",
	.help = "asks a PostgreSQL server for its role or a query",
	.conf_size = sizeof(struct pgsql_check),
	.run_size = sizeof(struct pgsql_run),
	.options = options,
	.prepare = prepare,
	.start = start,
	.cancel = cancel,
};
