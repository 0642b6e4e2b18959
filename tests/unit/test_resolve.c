/* SPDX-License-Identifier: ISC */
/*
 * Addresses as people write them, and names. The names are asked of a server of our own
 * in a network namespace with its own resolv.conf and hosts; where a namespace is not to
 * be had, those cases test what needs none.
 */
#include "agent/base/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"

static void
test_split(void)
{
	static const struct {
		const char *text, *host;
		unsigned int port;
	} rows[] = {
		{ "10.0.0.1:80", "10.0.0.1", 80 },
		{ "[::1]:80", "::1", 80 },
		{ "name:65535", "name", 65535 },
		{ "a-b.c_d.example.:1", "a-b.c_d.example.", 1 },
		{ "", NULL, 0 },
		{ ":80", NULL, 0 },
		{ "name", NULL, 0 },
		{ "name:", NULL, 0 },
		{ "name:0", NULL, 0 },
		{ "name:65536", NULL, 0 },
		{ "name:080", NULL, 0 },
		{ "name:80 ", NULL, 0 },
		{ "na me:80", NULL, 0 },
		{ "name:-1", NULL, 0 },
		{ "::1:80", NULL, 0 },
		{ "[::1]80", NULL, 0 },
		{ "[::1]", NULL, 0 },
		{ "[::1:80", NULL, 0 },
		{ "[:80", NULL, 0 },
		{ "[]:80", NULL, 0 },
		{ "[10.0.0.1]:80", NULL, 0 },
		{ "[name]:80", NULL, 0 },
		{ "name]:80", NULL, 0 },
		{ ".name:80", NULL, 0 },
		{ "a/b:80", NULL, 0 },
		{ "http://name:80", NULL, 0 },
		{ "n\x01:80", NULL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char host[64] = "old", why[96] = "";
		uint16_t port = 7;
		int error = resolve_split(
		    rows[i].text, host, sizeof(host), &port, why, sizeof(why));
		CU_ASSERT_EQUAL(error, rows[i].host != NULL ? 0 : -EINVAL);
		CU_ASSERT_STRING_EQUAL(
		    host, rows[i].host != NULL ? rows[i].host : "old");
		CU_ASSERT_EQUAL(port, rows[i].host != NULL ? rows[i].port : 7);
		CU_ASSERT_EQUAL(why[0] != '\0', rows[i].host == NULL);
	}
	char small[5] = "", why[96];
	uint16_t port;
	CU_ASSERT_EQUAL(resolve_split("four:1", small, 5, &port, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(
	    resolve_split("fives:1", small, 5, &port, why, sizeof(why)), -EINVAL);
}

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

static void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		return;
	fputs(text, file);
	fclose(file);
}

/* Puts `text` where the file `path` is, for this process and its children. */
static bool
cover(const char *path, const char *text)
{
	char name[] = "/tmp/test_resolve.XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0)
		return false;
	close(fd);
	write_file(name, text);
	bool covered = mount(name, path, NULL, MS_BIND, NULL) == 0;
	unlink(name);
	return covered;
}

static bool
enter_namespaces(void)
{
	AUTO_FREE char *uid = xasprintf("0 %u 1", (unsigned int)getuid());
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0)
			return false;
		write_file("/proc/self/uid_map", uid);
	}
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    cover("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch test\n") &&
	    cover("/etc/hosts", "192.0.2.77 filed.test filed\n");
}

struct answer {
	const char *name;
	int rcode;
	const char *a, *aaaa; /* parted by spaces */
};

/* What the server says; of "silent" it says nothing, of "late" nothing the first time. */
static const struct answer answers[] = {
	{ "four.test", 0, "192.0.2.4", NULL },
	{ "six.test", 0, NULL, "2001:db8::6" },
	{ "both.test", 0, "192.0.2.5", "2001:db8::5" },
	{ "empty.test", 0, NULL, NULL },
	{ "broken.test", 2, NULL, NULL },
	{ "refused.test", 5, NULL, NULL },
	{ "late.test", 0, "192.0.2.6", NULL },
	{ "pairs.test", 0, "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4",
	    "2001:db8::1 2001:db8::2" },
	{ "crowd.test", 0,
	    "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 "
	    "192.0.2.8 192.0.2.9 192.0.2.10 192.0.2.11 192.0.2.12 192.0.2.13 "
	    "192.0.2.14 192.0.2.15 192.0.2.16 192.0.2.17",
	    NULL },
};

/* The name of a question as text; returns where its type stands, 0 if it is malformed. */
static size_t
read_name(const unsigned char *in, size_t len, char *out, size_t size)
{
	size_t at = 12, used = 0;

	while (at < len && in[at] != 0) {
		size_t label = in[at++];
		if (label > 63 || at + label >= len || used + label + 2 > size)
			return 0;
		if (used > 0)
			out[used++] = '.';
		memcpy(out + used, in + at, label);
		used += label;
		at += label;
	}
	out[used] = '\0';
	return at + 5 <= len ? at + 1 : 0;
}

/* One record of an answer, its name and type those of the question. */
static size_t
write_record(unsigned char *out, const unsigned char *type, const char *text)
{
	bool aaaa = type[1] == 28;
	size_t size = aaaa ? 16 : 4;

	memset(out, 0, 12);
	out[0] = 0xc0; /* the name of the question, at 12 */
	out[1] = 12;
	memcpy(out + 2, type, 4);
	out[9] = 60; /* seconds to live */
	out[11] = (unsigned char)size;
	inet_pton(aaaa ? AF_INET6 : AF_INET, text, out + 12);
	return 12 + size;
}

/* `message` is 1024 bytes, of which `type_at` + 4 are the question. */
static size_t
reply_to(unsigned char *message, size_t type_at, const struct answer *answer)
{
	bool aaaa = message[type_at + 1] == 28;
	const char *found = answer == NULL ? NULL : aaaa ? answer->aaaa : answer->a;
	AUTO_FREE char *texts = xstrdup(found != NULL ? found : "");
	size_t len = type_at + 4;
	char *rest = NULL;

	message[2] = 0x81;
	message[3] = (unsigned char)(0x80 | (answer == NULL ? 3 : answer->rcode));
	memset(message + 6, 0, 6);
	for (char *text = strtok_r(texts, " ", &rest); text != NULL;
	     text = strtok_r(NULL, " ", &rest)) {
		len += write_record(message + len, message + type_at, text);
		message[7]++;
	}
	return len;
}

static void
serve(int fd)
{
	unsigned char message[1024];
	struct sockaddr_in from;
	char name[256];
	int late = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t n =
		    recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &from_len);
		const struct answer *found = NULL;
		size_t at =
		    n < 17 ? 0 : read_name(message, (size_t)n, name, sizeof(name));
		if (at == 0 || strncasecmp(name, "silent", 6) == 0)
			continue;
		if (strcasecmp(name, "late.test") == 0 && late++ < 2)
			continue; /* one question for each family */
		for (size_t i = 0; i < ARRAY_LENGTH(answers); i++)
			if (strcasecmp(name, answers[i].name) == 0)
				found = &answers[i];
		size_t len = reply_to(message, at, found);
		sendto(fd, message, len, 0, (struct sockaddr *)&from, from_len);
	}
}

/* -1: there can be no server here. Once entered, the namespaces serve all cases. */
static pid_t
server_start(void)
{
	static enum { UNTRIED, ENTERED, REFUSED } namespaces;
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(53) };

	if (namespaces == UNTRIED)
		namespaces = enter_namespaces() ? ENTERED : REFUSED;
	if (namespaces == REFUSED)
		return -1;
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	pid_t pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0)
		serve(fd);
	return pid;
}

struct asker {
	struct loop *loop;
	struct resolve *resolve;
	struct loop_timer *timer;
	int told, expected;
	bool starting;
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
	struct resolve_call *call = resolve_start(asker->resolve, name, on_done, asker);
	asker->starting = false;
	return call;
}

static void
ask(struct asker *asker, const char *name)
{
	asker->told = 0;
	start(asker, name);
	loop_timer_after(asker->timer, 10000);
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
		const char *name, *address, *why;
	} rows[] = {
		{ "four.test", "192.0.2.4", "" },
		{ "four", "192.0.2.4", "" },
		{ "six.test", "2001:db8::6", "" },
		{ "filed", "192.0.2.77", "" },
		{ "nothing.test", "", "there is no such name" },
		{ "empty.test", "", "the name has no address" },
	};
	struct asker asker;
	pid_t server = server_start();

	asker_open(&asker);
	if (server < 0)
		printf("# no namespace: names were not tried\n");
	for (size_t i = 0; server >= 0 && i < ARRAY_LENGTH(rows); i++) {
		ask(&asker, rows[i].name);
		CU_ASSERT_STRING_EQUAL(asker.list, rows[i].address);
		CU_ASSERT_STRING_EQUAL(asker.why, rows[i].why);
	}
	if (server >= 0) {
		ask(&asker, "both.test");
		CU_ASSERT_TRUE(strcmp(asker.list, "192.0.2.5 2001:db8::5") == 0 ||
		    strcmp(asker.list, "2001:db8::5 192.0.2.5") == 0);
		ask(&asker, "broken.test");
		CU_ASSERT_NOT_EQUAL(asker.why[0], '\0');
		ask(&asker, "refused.test");
		CU_ASSERT_NOT_EQUAL(asker.why[0], '\0');
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	asker_close(&asker);
	CU_ASSERT_TRUE(server != 0);
}

static void
test_all_addresses(void)
{
	struct asker asker;
	pid_t server = server_start();

	asker_open(&asker);
	if (server >= 0) {
		ask(&asker, "pairs.test");
		bool six_first = strncmp(asker.list, "2001", 4) == 0;
		CU_ASSERT_STRING_EQUAL(asker.list,
		    six_first ? "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 "
				"192.0.2.3 192.0.2.4"
			      : "192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2 "
				"192.0.2.3 192.0.2.4");
		ask(&asker, "crowd.test");
		CU_ASSERT_STRING_EQUAL(strrchr(asker.list, ' '), " 192.0.2.16");
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	asker_close(&asker);
	CU_ASSERT_TRUE(server != 0);
}

static void
test_a_lost_question_is_asked_again(void)
{
	struct asker asker;
	pid_t server = server_start();

	asker_open(&asker);
	if (server >= 0) {
		int64_t begun = clock_raw_ms();
		ask(&asker, "late.test");
		CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.6");
		CU_ASSERT_TRUE(clock_raw_ms() - begun < 3000);
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	asker_close(&asker);
	CU_ASSERT_TRUE(server != 0);
}

/* While one waits others are answered; who has cancelled is not told. */
static void
test_silence_blocks_nobody(void)
{
	struct asker asker;
	pid_t server = server_start();

	asker_open(&asker);
	if (server >= 0) {
		int64_t begun = clock_raw_ms();
		struct resolve_call *silent = start(&asker, "silent.test");
		ask(&asker, "four.test");
		CU_ASSERT_STRING_EQUAL(asker.list, "192.0.2.4");
		CU_ASSERT_TRUE(clock_raw_ms() - begun < 900);
		resolve_cancel(silent);
		resolve_cancel(start(&asker, "four.test"));
		asker.told = 0;
		loop_timer_after(asker.timer, 50);
		loop_run(asker.loop);
		CU_ASSERT_EQUAL(asker.told, 0);
		start(&asker, "silent2.test");
		start(&asker, "four.test");
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	asker_close(&asker); /* with calls that nobody has ended */
	CU_ASSERT_TRUE(server != 0);
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
	{ "addresses with a port", test_split },
	{ "literals", test_literals },
	{ "nobody is asked", test_nobody_is_asked },
	{ "names", test_names },
	{ "all addresses, the families in turn", test_all_addresses },
	{ "a lost question is asked again", test_a_lost_question_is_asked_again },
	{ "silence blocks nobody", test_silence_blocks_nobody },
	{ "cancelled before told", test_cancelled_before_told },
	{ "freed in a callback", test_freed_in_a_callback },
};

TAP_MAIN("resolve", cases)
