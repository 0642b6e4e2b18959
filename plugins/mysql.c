/* SPDX-License-Identifier: ISC */
/*
 * The check type `mysql`: a MySQL or MariaDB server lets us in, can be written to or not, or
 * answers a query as expected. MariaDB's client library does the talking through its
 * non-blocking functions: each is started, and continued whenever the descriptor is ready. It
 * is given addresses, never names, which it would ask for and wait. Every address is tried
 * in turn. The connection belongs to the run: cancel is the one place that ends it.
 */
#include <errmsg.h>
#include <mysql.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks/check.h"
#include "plugins/target.h"

#define DEFAULT_PORT 3306
#define PACKET_MAX (1ul << 20) /* of which one holds a row */

struct mysql_check {
	char *address, *database, *user, *password_file, *role, *query, *expect;
	bool tls, verify;
	char *ca_file, *cert_file, *key_file;
	/* made by prepare */
	struct target target;
	const char *question;
};

enum step { STEP_CONNECT, STEP_QUERY, STEP_ROW };

struct mysql_run {
	MYSQL mysql;
	bool open;
	char password[TARGET_SECRET_MAX]; /* the library reads it late */
	enum step step;
	struct target_addresses addresses;
	/* where the library puts what a step returns */
	MYSQL *connected;
	int failed;
	MYSQL_RES *result;
	MYSQL_ROW row;
};

static const struct check_option options[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct mysql_check, address),
	    .required = true },
	{ "database", CHECK_OPTION_TEXT, offsetof(struct mysql_check, database) },
	{ "user", CHECK_OPTION_TEXT, offsetof(struct mysql_check, user),
	    .required = true },
	{ "password-file", CHECK_OPTION_FILE,
	    offsetof(struct mysql_check, password_file) },
	{ "role", CHECK_OPTION_TEXT, offsetof(struct mysql_check, role),
	    .value = "any" },
	{ "query", CHECK_OPTION_TEXT, offsetof(struct mysql_check, query) },
	{ "expect", CHECK_OPTION_TEXT, offsetof(struct mysql_check, expect) },
	{ "tls", CHECK_OPTION_BOOL, offsetof(struct mysql_check, tls),
	    .value = "false" },
	{ "verify", CHECK_OPTION_BOOL, offsetof(struct mysql_check, verify),
	    .value = "true" },
	{ "ca-file", CHECK_OPTION_FILE, offsetof(struct mysql_check, ca_file) },
	{ "cert-file", CHECK_OPTION_FILE, offsetof(struct mysql_check, cert_file) },
	{ "key-file", CHECK_OPTION_FILE, offsetof(struct mysql_check, key_file) },
	{ NULL },
};

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct mysql_check *check = conf;
	bool any = strcmp(check->role, "any") == 0;

	*option = "address";
	if (target_split(check->address, DEFAULT_PORT, &check->target, why, why_size) !=
	    0)
		return -1;
	*option = "role";
	if ((!any && strcmp(check->role, "writable") != 0 &&
		strcmp(check->role, "read-only") != 0) ||
	    (!any && check->query != NULL)) {
		snprintf(why, why_size,
		    "\"%.40s\" is not possible, expected any, or without a query "
		    "writable or read-only",
		    check->role);
		return -1;
	}
	*option = "expect";
	if (check->expect != NULL && check->query == NULL) {
		snprintf(why, why_size, "it needs a query");
		return -1;
	}
	check->question =
	    check->query != NULL ? check->query : "SELECT @@global.read_only";
	return 0;
}

static void
cancel(struct check_run *run)
{
	struct mysql_run *mysql = check_state(run);

	check_unwatch(run);
	/* no word of farewell, and no look at the rows that are left, which might wait: the
	 * socket is just closed */
	if (mysql->open)
		shutdown(mysql_get_socket(&mysql->mysql), SHUT_RDWR);
	if (mysql->result != NULL)
		mysql_free_result(mysql->result);
	mysql->result = NULL;
	if (mysql->open)
		mysql_close(&mysql->mysql);
	mysql->open = false;
	explicit_bzero(mysql->password, sizeof(mysql->password));
}

static void
end(struct check_run *run, enum check_status status, enum check_reason reason,
    const char *text)
{
	const struct mysql_check *check = check_conf(run);

	cancel(run);
	check_done(run, status, reason, "%s: %s", check->address, text);
}

static enum check_reason
reason_of(unsigned int error)
{
	switch (error) {
	case CR_CONN_HOST_ERROR:
	case CR_CONNECTION_ERROR:
	case CR_IPSOCK_ERROR: return CHECK_REASON_REFUSED;
	case CR_SERVER_LOST:
	case CR_SERVER_GONE_ERROR:
	case CR_SERVER_HANDSHAKE_ERR: return CHECK_REASON_CLOSED;
	case CR_SSL_CONNECTION_ERROR: return CHECK_REASON_TLS;
	case CR_VERSION_ERROR:
	case CR_MALFORMED_PACKET: return CHECK_REASON_PROTOCOL;
	default: return CHECK_REASON_STATUS;
	}
}

/* The library's last words, which go with the connection. */
static void
end_by_error(struct check_run *run)
{
	struct mysql_run *mysql = check_state(run);
	enum check_reason reason = reason_of(mysql_errno(&mysql->mysql));
	char text[300];

	snprintf(text, sizeof(text), "%.250s", mysql_error(&mysql->mysql));
	end(run, CHECK_CRITICAL, reason, text);
}

static void
judge_value(struct check_run *run, const char *value)
{
	const struct mysql_check *check = check_conf(run);
	bool read_only = strcmp(value, "0") != 0 && strcmp(value, "OFF") != 0;

	if (check->query != NULL && check->expect != NULL &&
	    strcmp(value, check->expect) != 0)
		end(run, CHECK_CRITICAL, CHECK_REASON_BODY,
		    "the query's answer is not as expected");
	else if (strcmp(check->role, "writable") == 0 && read_only)
		end(run, CHECK_CRITICAL, CHECK_REASON_STATE, "it is read-only");
	else if (strcmp(check->role, "read-only") == 0 && !read_only)
		end(run, CHECK_CRITICAL, CHECK_REASON_STATE, "it is writable");
	else
		end(run, CHECK_PASSING, CHECK_REASON_OK,
		    check->query != NULL ? "the query is answered"
			: read_only      ? "it is read-only"
					 : "it is writable");
}

static void
judge_result(struct check_run *run)
{
	const struct mysql_check *check = check_conf(run);
	struct mysql_run *mysql = check_state(run);

	if (mysql->row != NULL)
		judge_value(run, mysql->row[0] != NULL ? mysql->row[0] : "");
	else if (mysql_errno(&mysql->mysql) != 0)
		end_by_error(run);
	else if (check->expect != NULL)
		end(run, CHECK_CRITICAL, CHECK_REASON_BODY, "the query found no row");
	else
		end(run, CHECK_PASSING, CHECK_REASON_OK, "the query is answered");
}

/* The first row of a query that was understood is enough, and who knows how many there are:
 * the others are not read. */
static int
ask_for_row(struct check_run *run)
{
	struct mysql_run *mysql = check_state(run);

	mysql->result = mysql_use_result(&mysql->mysql);
	if (mysql->result != NULL) {
		mysql->step = STEP_ROW;
		return mysql_fetch_row_start(&mysql->row, mysql->result);
	}
	judge_result(run);
	return -1;
}

static void try_next(struct check_run *run);

/* What the step that has ended leads to; the events that the next one waits for. */
static int
step_on(struct check_run *run)
{
	const struct mysql_check *check = check_conf(run);
	struct mysql_run *mysql = check_state(run);

	switch (mysql->step) {
	case STEP_CONNECT:
		if (mysql->connected != NULL) {
			mysql->step = STEP_QUERY;
			return mysql_real_query_start(&mysql->failed, &mysql->mysql,
			    check->question, strlen(check->question));
		}
		if (mysql->addresses.next < mysql->addresses.count &&
		    reason_of(mysql_errno(&mysql->mysql)) == CHECK_REASON_REFUSED)
			try_next(run);
		else
			end_by_error(run);
		return -1;
	case STEP_QUERY:
		if (mysql->failed == 0)
			return ask_for_row(run);
		end_by_error(run);
		return -1;
	case STEP_ROW: judge_result(run); return -1;
	}
	return -1;
}

static int
step_cont(struct mysql_run *mysql, int events)
{
	switch (mysql->step) {
	case STEP_CONNECT:
		return mysql_real_connect_cont(
		    &mysql->connected, &mysql->mysql, events);
	case STEP_QUERY:
		return mysql_real_query_cont(&mysql->failed, &mysql->mysql, events);
	case STEP_ROW: return mysql_fetch_row_cont(&mysql->row, mysql->result, events);
	}
	return 0;
}

static void ready(struct check_run *run, unsigned int events);

/* Waits for what the library waits for; 0: the step has ended. */
static void
wait_or_go_on(struct check_run *run, int wanted)
{
	struct mysql_run *mysql = check_state(run);

	while (wanted == 0)
		wanted = step_on(run);
	if (wanted < 0)
		return;
	check_watch(run, mysql_get_socket(&mysql->mysql),
	    ((wanted & (MYSQL_WAIT_READ | MYSQL_WAIT_EXCEPT)) != 0 ? CHECK_READ : 0) |
		((wanted & MYSQL_WAIT_WRITE) != 0 ? CHECK_WRITE : 0),
	    ready);
}

static void
ready(struct check_run *run, unsigned int events)
{
	int happened = ((events & CHECK_READ) != 0 ? MYSQL_WAIT_READ : 0) |
	    ((events & CHECK_WRITE) != 0 ? MYSQL_WAIT_WRITE : 0);

	/* the library may close its socket within the step */
	check_unwatch(run);
	wait_or_go_on(run, step_cont(check_state(run), happened));
}

static void
set_up(const struct mysql_check *check, MYSQL *mysql)
{
	my_bool verify = check->verify, tls = check->tls;
	size_t packet = PACKET_MAX;
	unsigned int no = 0;

	mysql_options(mysql, MYSQL_OPT_NONBLOCK, NULL);
	mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	/* else a server may ask for any file that we can read */
	mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
	if (!check->tls)
		return;
	mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &tls);
	mysql_ssl_set(
	    mysql, check->key_file, check->cert_file, check->ca_file, NULL, NULL);
	mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

static void
try_next(struct check_run *run)
{
	const struct mysql_check *check = check_conf(run);
	struct mysql_run *mysql = check_state(run);
	char why[200];

	cancel(run);
	if (target_secret(check->password_file, mysql->password, why, sizeof(why)) !=
		0 ||
	    (mysql_init(&mysql->mysql) == NULL &&
		snprintf(why, sizeof(why), "out of memory") > 0)) {
		end(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL, why);
		return;
	}
	mysql->open = true;
	mysql->step = STEP_CONNECT;
	set_up(check, &mysql->mysql);
	int wanted = mysql_real_connect_start(&mysql->connected, &mysql->mysql,
	    mysql->addresses.text[mysql->addresses.next++], check->user,
	    mysql->password, check->database, check->target.port, NULL, 0);
	wait_or_go_on(run, wanted);
}

static void
found(struct check_run *run, const struct check_address *addresses, size_t count,
    const char *why)
{
	struct mysql_run *mysql = check_state(run);

	if (addresses == NULL) {
		end(run, CHECK_CRITICAL, CHECK_REASON_RESOLVE, why);
		return;
	}
	target_take_addresses(&mysql->addresses, addresses, count);
	try_next(run);
}

static void
start(struct check_run *run)
{
	const struct mysql_check *check = check_conf(run);

	check_resolve(run, check->target.host, check->target.port, found);
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "mysql",
	.help =
	    "asks a MySQL or MariaDB server whether it can be written to, or a query",
	.conf_size = sizeof(struct mysql_check),
	.run_size = sizeof(struct mysql_run),
	.options = options,
	.prepare = prepare,
	.start = start,
	.cancel = cancel,
};
