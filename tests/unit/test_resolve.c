/* SPDX-License-Identifier: ISC */
/*
 * Addresses as people write them, and names. The names are asked of a server of our own
 * in a network namespace with its own resolv.conf and hosts; where a namespace is not to
 * be had, those cases test what needs none.
 */
#include "agent/base/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/name_server.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 30000

static void
test_literals(void)
{
	static const struct {
		const char *text;
		int family;
	} rows[] = {
		{ "192.0.2.1", AF_INET },
		{ "::", AF_INET6 },
		{ "2001:db8::1", AF_INET6 },
		{ "::ffff:192.0.2.1", AF_INET6 },
		{ "fe80::1%lo", AF_INET6 },
		{ "fe80::1%nowhere", 0 },
		{ "fe80::1%", 0 },
		{ "127.1", 0 },
		{ "0x7f000001", 0 },
		{ "1.2.3.256", 0 },
		{ "name", 0 },
		{ "", 0 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		union resolve_address address = { .sa.sa_family = 77 };
		socklen_t len = 7;
		char text[64] = "";
		bool literal = resolve_literal(rows[i].text, 80, &address, &len);
		CU_ASSERT_EQUAL(literal, rows[i].family != 0);
		CU_ASSERT_EQUAL(address.sa.sa_family, literal ? rows[i].family : 77);
		CU_ASSERT_EQUAL(len,
		    !literal                        ? 7
			: rows[i].family == AF_INET ? sizeof(struct sockaddr_in)
						    : sizeof(struct sockaddr_in6));
		if (!literal)
			continue;
		CU_ASSERT_EQUAL(address.in.sin_port, htons(80));
		resolve_format(&address.sa, text, sizeof(text));
		CU_ASSERT_NSTRING_EQUAL(text, rows[i].text, strlen(text));
		CU_ASSERT_EQUAL(
		    address.sa.sa_family == AF_INET6 && address.in6.sin6_scope_id != 0,
		    strchr(rows[i].text, '%') != NULL);
	}
	CU_ASSERT_TRUE(resolve_is_localhost("LOCALHOST"));
	CU_ASSERT_TRUE(resolve_is_localhost("a.localhost"));
	CU_ASSERT_FALSE(resolve_is_localhost(".localhost"));
	CU_ASSERT_FALSE(resolve_is_localhost("notlocalhost"));
	CU_ASSERT_FALSE(resolve_is_localhost("localhost.example"));
}

#define TWO_FACES "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4"
#define CROWD                                                                         \
	"192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 "      \
	"192.0.2.8 192.0.2.9 192.0.2.10 192.0.2.11 192.0.2.12 192.0.2.13 192.0.2.14 " \
	"192.0.2.15 192.0.2.16 192.0.2.17"

static const struct name_record records[] = {
	{ "four.test", .a = "192.0.2.4", .ttl = 60 },
	{ "six.test", .aaaa = "2001:db8::6", .ttl = 60 },
	{ "both.test", .a = "192.0.2.5", .aaaa = "2001:db8::5", .ttl = 60 },
	{ "pairs.test", .a = TWO_FACES, .aaaa = "2001:db8::1 2001:db8::2", .ttl = 60 },
	{ "crowd.test", .a = CROWD, .ttl = 60 },
	{ "empty.test" },
	{ "broken.test", .rcode = 2 },
	{ "refused.test", .rcode = 5 },
	{ "mended.test", .a = "192.0.2.6", .ttl = 60, .bad_times = 3 },
	{ "late.test", .a = "192.0.2.6", .ttl = 60, .lost = 1 },
	{ "slow.test", .counts = true, .ttl = 60, .slow_ms = 400 },
	{ "silent.test", .lost = NAME_SERVER_LOST },
	{ "silent2.test", .lost = NAME_SERVER_LOST },
	{ "counted.test", .counts = true, .ttl = 60 },
	{ "brief.test", .counts = true, .ttl = 1 },
	{ "filed.test", .a = "192.0.2.8", .ttl = 60 },
};

/* What another server says. */
static const struct name_record others[] = {
	{ "slow.test", .a = "192.0.2.200", .ttl = 60 },
	{ "counted.test", .a = "192.0.2.200", .ttl = 60 },
};

static bool
have_server(pid_t *server)
{
	*server = -1;
	if (!name_server_world()) {
		printf("# no namespaces: names were not tried\n");
		CU_ASSERT_TRUE(true);
		return false;
	}
	*server = name_server_start("127.0.0.1", records, ARRAY_LENGTH(records));
	return true;
}

struct asker {
	struct loop *loop;
	struct resolve *resolve;
	struct loop_timer *timer;
	int told, expected;
	bool starting;
	struct resolve_call *call; /* the last one */
	enum net_error error;
	char list[1024], why[96]; /* the addresses, parted by spaces */
};

static void
on_done(
    void *arg, const union resolve_address *addresses, size_t count, const char *why)
{
	struct asker *asker = arg;

	CU_ASSERT_FALSE(asker->starting);
	CU_ASSERT_EQUAL(count == 0, why != NULL);
	CU_ASSERT_EQUAL(count == 0, addresses == NULL);
	CU_ASSERT_FATAL(count <= RESOLVE_MAX);
	asker->list[0] = asker->why[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(asker->list);
		CU_ASSERT_EQUAL(addresses[i].in.sin_port, 0);
		asker->list[len] = i == 0 ? '\0' : ' ';
		len += i > 0;
		resolve_format(
		    &addresses[i].sa, asker->list + len, sizeof(asker->list) - len);
	}
	str_copy(asker->why, sizeof(asker->why), why != NULL ? why : "");
	if (asker->expected == 1 && asker->call != NULL)
		asker->error = resolve_error(asker->call);
	if (++asker->told == asker->expected)
		loop_stop(asker->loop);
}

static void
on_time(void *arg)
{
	loop_stop(arg);
}

static void
asker_open(struct asker *asker)
{
	*asker = (struct asker){ .expected = 1 };
	asker->loop = loop_new();
	asker->resolve = resolve_new(asker->loop);
	asker->timer = loop_timer_new(asker->loop, on_time, asker->loop);
}

static void
asker_close(struct asker *asker)
{
	resolve_free(asker->resolve);
	loop_timer_free(asker->timer);
	loop_free(asker->loop);
}

static struct resolve_call *
start(struct asker *asker, const char *name)
{
	asker->starting = true;
	asker->call = resolve_start(asker->resolve, name, on_done, asker);
	asker->starting = false;
	return asker->call;
}

static void
ask(struct asker *asker, const char *name)
{
	asker->told = 0;
	start(asker, name);
	loop_timer_after(asker->timer, 10000);
	loop_run(asker->loop);
	if (asker->told == 0) /* stopped by another that waits */
		loop_run(asker->loop);
	CU_ASSERT_EQUAL(asker->told, 1);
}

static void
test_nobody_is_asked(void)
{
	static const char *const rows[][2] = {
		{ "192.0.2.9", "192.0.2.9" },
		{ "2001:db8::9", "2001:db8::9" },
		{ "localhost", "127.0.0.1 ::1" },
		{ "web.localhost", "127.0.0.1 ::1" },
	};
	struct asker asker;

	asker_open(&asker);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		ask(&asker, rows[i][0]);
		CU_ASSERT_STRING_EQUAL(asker.list, rows[i][1]);
	}
	asker_close(&asker);
	resolve_free(NULL);
	resolve_cancel(NULL);
}

static void
test_names(void)
{
	static const struct {
		const char *name, *list, *why;
	} rows[] = {
		{ "four.test", "192.0.2.4", "" }, { "four", "192.0.2.4", "" },
		{ "six.test", "2001:db8::6", "" }, { "filed", "192.0.2.77", "" },
		{ "FILED.test", "192.0.2.77", "" },
		{ "nothing.test", "", "there is no such name" },
		{ "empty.test", "", "the name has no address" },
		{ "mended.test", "", "no name server could help" },
		{ "mended.test", "192.0.2.6", "" }, /* a failure is not kept */
	};
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		ask(&asker, rows[i].name);
		CU_ASSERT_STRING_EQUAL(asker.list, rows[i].list);
		CU_ASSERT_STRING_EQUAL(asker.why, rows[i].why);
	}
	ask(&asker, "both.test");
	CU_ASSERT_TRUE(strcmp(asker.list, "192.0.2.5 2001:db8::5") == 0 ||
	    strcmp(asker.list, "2001:db8::5 192.0.2.5") == 0);
	ask(&asker, "broken.test");
	CU_ASSERT_NOT_EQUAL(asker.why[0], '\0');
	ask(&asker, "refused.test");
	CU_ASSERT_NOT_EQUAL(asker.why[0], '\0');
	name_server_stop(server);
	asker_close(&asker);
}

static void
test_all_addresses(void)
{
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	ask(&asker, "pairs.test");
	CU_ASSERT_STRING_EQUAL(asker.list,
	    strncmp(asker.list, "2001", 4) == 0
		? "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 192.0.2.3 192.0.2.4"
		: "192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2 192.0.2.3 192.0.2.4");
	ask(&asker, "crowd.test");
	CU_ASSERT_STRING_EQUAL(strrchr(asker.list, ' '), " 192.0.2.16");
	name_server_stop(server);
	asker_close(&asker);
}

static void
test_a_lost_question_is_asked_again(void)
{
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	struct pace *pace = pace_new(10, NULL, NULL);
	asker_open(&asker);
	int64_t begun = clock_raw_ms();
	ask(&asker, "late.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.6");
	CU_ASSERT_TRUE(pace_allows(pace, clock_raw_ms() - begun, 3000));
	pace_free(pace);
	name_server_stop(server);
	asker_close(&asker);
}

/* While one waits others are answered; who has cancelled is not told. */
static void
test_silence_blocks_nobody(void)
{
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	struct pace *pace = pace_new(10, NULL, NULL);
	asker_open(&asker);
	int64_t begun = clock_raw_ms();
	struct resolve_call *silent = start(&asker, "silent.test");
	ask(&asker, "four.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.4");
	CU_ASSERT_TRUE(pace_allows(pace, clock_raw_ms() - begun, 900));
	pace_free(pace);
	resolve_cancel(silent);
	resolve_cancel(start(&asker, "four.test"));
	asker.told = 0;
	run_for(asker.loop, 50);
	CU_ASSERT_EQUAL(asker.told, 0);
	start(&asker, "silent2.test");
	start(&asker, "four.test");
	name_server_stop(server);
	asker_close(&asker); /* with calls that nobody has ended */
}

static void
test_answers_are_kept(void)
{
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	for (int i = 0; i < 3; i++) {
		ask(&asker, i == 1 ? "Counted.TEST" : "counted.test");
		CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	}
	ask(&asker, "nothing.test");
	name_server_stop(server);
	ask(&asker, "counted.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	ask(&asker, "nothing.test");
	CU_ASSERT_STRING_EQUAL(asker.why, "there is no such name");
	asker_close(&asker);
}

/* It is asked again, and an old answer is no answer. */
static void
test_an_answer_expires(void)
{
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	int64_t begun = loop_now(asker.loop);
	ask(&asker, "brief.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	while (strcmp(asker.list, "192.0.2.1") == 0 &&
	    loop_now(asker.loop) - begun < LIMIT_MS) {
		run_for(asker.loop, 50);
		ask(&asker, "brief.test");
	}
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.2");
	CU_ASSERT_TRUE(loop_now(asker.loop) - begun >= 1000);
	name_server_stop(server);
	run_for(asker.loop, 1100);
	asker.told = 0;
	start(&asker, "brief.test");
	run_for(asker.loop, 100);
	CU_ASSERT_EQUAL(asker.told, 0);
	asker_close(&asker);
}

/* Who asks for what is being asked for waits for that answer, and may leave. */
static void
test_one_question_for_all(void)
{
	struct asker asker;
	struct resolve_call *calls[4];
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	asker.expected = 2;
	for (int i = 0; i < 4; i++)
		calls[i] = start(&asker, i == 2 ? "SLOW.test" : "slow.test");
	resolve_cancel(calls[0]);
	resolve_cancel(calls[3]);
	loop_timer_after(asker.timer, 10000);
	loop_run(asker.loop);
	CU_ASSERT_EQUAL(asker.told, 2);
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	name_server_stop(server);
	asker_close(&asker);
}

/* An answer that comes when nobody waits any more serves those who ask next. */
static void
test_late_for_one_in_time_for_the_next(void)
{
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	resolve_cancel(start(&asker, "slow.test"));
	run_for(asker.loop, 600);
	ask(&asker,
	    "slow.test"); /* the server counts: a second question has another answer */
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	name_server_stop(server);
	asker_close(&asker);
}

/* The answer for `name`, asked again and again until it is `list` (or as long as it may
 * take). */
static bool
ask_until(struct asker *asker, const char *name, const char *list)
{
	int64_t begun = loop_now(asker->loop);

	do {
		run_for(asker->loop, 20);
		ask(asker, name);
	} while (
	    strcmp(asker->list, list) != 0 && loop_now(asker->loop) - begun < LIMIT_MS);
	return strcmp(asker->list, list) == 0;
}

static void
test_the_hosts_file_changes(void)
{
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	ask(&asker, "filed.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.77");
	ask(&asker, "counted.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	name_server_file("/etc/hosts",
	    "192.0.2.78 filed.test\n2001:db8::78 filed.test\n"
	    "192.0.2.79 counted.test\n");
	CU_ASSERT_TRUE(ask_until(&asker, "counted.test", "192.0.2.79"));
	ask(&asker, "filed.test");
	CU_ASSERT_PTR_NOT_NULL(strstr(asker.list, "192.0.2.78"));
	CU_ASSERT_PTR_NOT_NULL(strstr(asker.list, "2001:db8::78"));
	name_server_file("/etc/hosts", "192.0.2.77 filed.test filed\n# as before\n");
	CU_ASSERT_TRUE(ask_until(&asker, "filed.test", "192.0.2.77"));
	ask(&asker, "counted.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.2"); /* asked again */
	name_server_stop(server);
	asker_close(&asker);
}

/* What the name server said before it went away holds on when the hosts file changes. */
static void
test_what_is_known_survives_the_hosts_file(void)
{
	struct asker asker;
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	ask(&asker, "filed.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.77");
	ask(&asker, "counted.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	name_server_stop(server);
	name_server_file("/etc/hosts", "192.0.2.78 filed.test\n");
	CU_ASSERT_TRUE(ask_until(&asker, "filed.test", "192.0.2.78"));
	ask(&asker, "counted.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	name_server_file("/etc/hosts", "192.0.2.77 filed.test filed\n");
	asker_close(&asker);
}

/* Who was asked before answers who asked before, and nobody else. */
static void
test_resolv_conf_changes(void)
{
	struct asker asker, before;
	pid_t server;

	if (!have_server(&server))
		return;
	pid_t other = name_server_start("127.0.0.2", others, ARRAY_LENGTH(others));
	asker_open(&asker);
	before = asker;
	before.expected = 1;
	ask(&asker, "counted.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.1");
	run_for(asker.loop, 700); /* a change is noticed after a second */
	start(&before, "slow.test");
	name_server_file("/etc/resolv.conf", "nameserver 127.0.0.2\nsearch test\n");
	CU_ASSERT_TRUE(ask_until(&asker, "counted.test", "192.0.2.200"));
	ask(&asker, "slow.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.200");
	loop_timer_after(asker.timer, 5000);
	if (before.told == 0)
		loop_run(asker.loop);
	CU_ASSERT_EQUAL(before.told, 1);
	CU_ASSERT_STRING_EQUAL(before.list, "192.0.2.1");
	ask(&asker, "slow.test");
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.200");
	name_server_file("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch test\n");
	name_server_stop(server);
	name_server_stop(other);
	asker_close(&asker);
}

/* A process without descriptors cannot ask: that says nothing of the name. */
static void
test_no_descriptor(void)
{
	struct asker asker;
	struct rlimit limit, none;
	pid_t server;

	if (!have_server(&server))
		return;
	asker_open(&asker);
	ask(&asker, "filed.test"); /* what c-ares opens once is open */
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	ask(&asker, "four.test");
	setrlimit(RLIMIT_NOFILE, &limit);
	CU_ASSERT_EQUAL(asker.error, NET_LOCAL);
	CU_ASSERT_STRING_EQUAL(asker.why, "Too many open files");
	ask(&asker, "four.test");
	CU_ASSERT_EQUAL(asker.error, NET_OK);
	CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.4");
	name_server_stop(server);
	asker_close(&asker);
}

static void
test_cancelled_before_told(void)
{
	struct asker asker;

	asker_open(&asker);
	asker.expected = 2;
	struct resolve_call *calls[4];
	for (int i = 0; i < 4; i++)
		calls[i] = start(&asker, "192.0.2.1");
	resolve_cancel(calls[1]);
	resolve_cancel(calls[3]);
	loop_timer_after(asker.timer, 100);
	loop_run(asker.loop);
	CU_ASSERT_EQUAL(asker.told, 2);
	start(&asker, "192.0.2.1");
	asker_close(&asker);
}

struct killer {
	struct asker asker;
	struct resolve_call *own;
};

static void
on_kill(
    void *arg, const union resolve_address *addresses, size_t count, const char *why)
{
	struct killer *killer = arg;

	killer->asker.told++;
	resolve_cancel(killer->own);
	resolve_free(killer->asker.resolve);
	killer->asker.resolve = NULL;
}

static void
test_freed_in_a_callback(void)
{
	struct killer killer = { 0 };
	struct asker *asker = &killer.asker;

	asker_open(asker);
	killer.own = resolve_start(asker->resolve, "127.0.0.1", on_kill, &killer);
	start(asker, "127.0.0.1");
	start(asker, "a-name.invalid");
	loop_timer_after(asker->timer, 50);
	loop_run(asker->loop);
	CU_ASSERT_EQUAL(asker->told, 1);
	asker_close(asker);
}

static const struct tap_case cases[] = {
	{ "literals", test_literals },
	{ "nobody is asked", test_nobody_is_asked },
	{ "names", test_names },
	{ "all addresses, the families in turn", test_all_addresses },
	{ "a lost question is asked again", test_a_lost_question_is_asked_again },
	{ "silence blocks nobody", test_silence_blocks_nobody },
	{ "answers are kept", test_answers_are_kept },
	{ "an answer expires", test_an_answer_expires },
	{ "one question for all who ask", test_one_question_for_all },
	{ "late for one, in time for the next",
	    test_late_for_one_in_time_for_the_next },
	{ "the hosts file changes", test_the_hosts_file_changes },
	{ "what is known survives the hosts file",
	    test_what_is_known_survives_the_hosts_file },
	{ "resolv.conf changes", test_resolv_conf_changes },
	{ "no descriptor is left", test_no_descriptor },
	{ "cancelled before told", test_cancelled_before_told },
	{ "freed in a callback", test_freed_in_a_callback },
};

TAP_MAIN_APART("resolve", cases)
