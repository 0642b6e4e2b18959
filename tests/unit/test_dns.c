/* SPDX-License-Identifier: ISC */
/*
 * The check type `dns` against a small name server, a process of its own on loopback, over
 * UDP and TCP and in both families: what it says depends on the first label of the name.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/one_run.h"
#include "tests/unit/tap.h"

#define MESSAGE_MAX 65535

struct message {
	unsigned char bytes[MESSAGE_MAX];
	size_t len;
};

static void
add_record(
    struct message *message, unsigned char type, const void *data, unsigned char len)
{
	unsigned char head[] = { 0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, len };
	unsigned int count = (message->bytes[6] << 8 | message->bytes[7]) + 1u;

	memcpy(message->bytes + message->len, head, sizeof(head));
	memcpy(message->bytes + message->len + sizeof(head), data, len);
	message->len += sizeof(head) + len;
	message->bytes[6] = (unsigned char)(count >> 8);
	message->bytes[7] = (unsigned char)count;
}

#define RECORD(message, type, data) add_record(message, type, data, sizeof(data) - 1)

/* As many addresses as a message can have. */
static void
add_many(struct message *message)
{
	for (unsigned int i = 0; message->len + 16 <= 60000; i++) {
		unsigned char address[] = { 10, (unsigned char)(i >> 16),
			(unsigned char)(i >> 8), (unsigned char)i };
		add_record(message, 1, address, 4);
	}
}

static void
add_records(struct message *message, const char *label, unsigned char type)
{
	if (strcmp(label, "many") == 0)
		add_many(message);
	else if (strcmp(label, "broken") == 0)
		RECORD(message, type, "\x01\x02");
	else if (strcmp(label, "www") == 0 && type == 1) {
		RECORD(message, 5,
		    "\x05"
		    "other\xc0\x0c"); /* an alias on the way */
		RECORD(message, 1, "\xc0\x00\x02\x02");
		RECORD(message, 1, "\xc0\x00\x02\x01");
	} else if (strcmp(label, "www") == 0 && type == 28)
		RECORD(message, 28, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");
	else if (type == 15)
		RECORD(message, 15, "\0\x0a\x04mail\xc0\x0c");
	else if (type == 16)
		RECORD(message, 16, "\x0bHello World");
	else if (type == 12)
		RECORD(message, 12, "\x04Host\x04test\0");
	else if (type == 6)
		RECORD(message, 6,
		    "\x02ns\xc0\x0c\x01h\xc0\x0c\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0"
		    "\5");
}

/* The question in `message` becomes its answer; false: there is none. */
static bool
reply(struct message *message, bool tcp)
{
	static const struct {
		const char *label;
		int rcode;
	} faults[] = { { "nx", 3 }, { "fail", 2 }, { "no", 5 }, { "odd", 15 } };
	unsigned char *bytes = message->bytes;
	unsigned char type = bytes[message->len - 3];
	char label[64] = "";

	memcpy(label, bytes + 13, bytes[12] < 64 ? bytes[12] : 0);
	bytes[2] = 0x81;
	bytes[3] = 0x80;
	for (size_t i = 0; i < ARRAY_LENGTH(faults); i++)
		if (strcmp(label, faults[i].label) == 0)
			bytes[3] |= (unsigned char)faults[i].rcode;
	if (strcmp(label, "silent") == 0)
		return false;
	bool cut = strcmp(label, "cut") == 0 ||
	    (!tcp && (strcmp(label, "many") == 0 || strncmp(label, "tcp-", 4) == 0));
	if (cut)
		bytes[2] |= 0x02;
	else if ((bytes[3] & 15) == 0)
		add_records(
		    message, strncmp(label, "tcp-", 4) == 0 ? "www" : label, type);
	if (strcmp(label, "id") == 0 || (tcp && strcmp(label, "tcp-id") == 0))
		bytes[0] ^= 1;
	if (strcmp(label, "text") == 0)
		message->len =
		    (size_t)snprintf((char *)bytes, 64, "220 mail ESMTP\r\n");
	return !(tcp && strcmp(label, "tcp-close") == 0);
}

static void
serve_tcp(int fd)
{
	struct message message = { .len = 0 };
	unsigned char head[2];
	int peer = accept(fd, NULL, NULL);

	if (recv(peer, head, 2, MSG_WAITALL) == 2)
		message.len = (size_t)recv(
		    peer, message.bytes, (size_t)head[0] << 8 | head[1], MSG_WAITALL);
	bool drips = message.len > 12 && memcmp(message.bytes + 13, "tcp-drip", 8) == 0;
	bool half = message.len > 12 && memcmp(message.bytes + 13, "tcp-half", 8) == 0;
	if (message.len > 12 && reply(&message, true)) {
		unsigned char out[2 + MESSAGE_MAX];
		out[0] = (unsigned char)(message.len >> 8);
		out[1] = (unsigned char)message.len;
		memcpy(out + 2, message.bytes, message.len);
		size_t len = 2 + (half ? message.len / 2 : message.len);
		for (size_t at = 0; at < len; at += drips ? 1 : len) {
			send(peer, out + at, drips ? 1 : len, MSG_NOSIGNAL);
			if (drips)
				usleep(1000);
		}
	}
	close(peer);
}

static void
serve_udp(int fd)
{
	struct message message;
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n =
	    recvfrom(fd, message.bytes, 512, 0, (struct sockaddr *)&from, &from_len);

	message.len = n > 0 ? (size_t)n : 0;
	if (n > 16 && reply(&message, false))
		sendto(fd, message.bytes, message.len, 0, (struct sockaddr *)&from,
		    from_len);
}

static void
serve(int udp, int tcp)
{
	struct pollfd fds[] = { { udp, POLLIN, 0 }, { tcp, POLLIN, 0 } };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents != 0)
			serve_udp(udp);
		if (fds[1].revents != 0)
			serve_tcp(tcp);
	}
}

struct server {
	pid_t pid;
	char address[64];
};

/* Both sockets on one port, whichever is free. */
static bool
bind_both(int family, int *udp, int *tcp, unsigned int *port)
{
	for (int tries = 0; tries < 50; tries++) {
		struct sockaddr_in6 six = { .sin6_family = AF_INET6,
			.sin6_addr = IN6ADDR_LOOPBACK_INIT };
		struct sockaddr_in four = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		struct sockaddr *here = family == AF_INET ? (struct sockaddr *)&four
							  : (struct sockaddr *)&six;
		socklen_t len = family == AF_INET ? sizeof(four) : sizeof(six);
		*udp = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		*tcp = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(*udp, here, len) == 0 && getsockname(*udp, here, &len) == 0 &&
		    bind(*tcp, here, len) == 0 && listen(*tcp, 10) == 0) {
			*port =
			    ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
			return true;
		}
		close(*udp);
		close(*tcp);
	}
	return false;
}

static bool
server_open(struct server *server, int family)
{
	unsigned int port;
	int udp, tcp;

	if (!bind_both(family, &udp, &tcp, &port)) {
		printf("# family %d is not to be had\n", family);
		return false;
	}
	snprintf(server->address, sizeof(server->address),
	    family == AF_INET ? "127.0.0.1:%u" : "[::1]:%u", port);
	server->pid = fork();
	if (server->pid == 0)
		serve(udp, tcp);
	close(udp);
	close(tcp);
	return server->pid > 0;
}

static void
server_close(struct server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
}

#define OK CHECK_PASSING, CHECK_REASON_OK
#define STATUS CHECK_CRITICAL, CHECK_REASON_STATUS
#define BODY CHECK_CRITICAL, CHECK_REASON_BODY
#define PROTOCOL CHECK_CRITICAL, CHECK_REASON_PROTOCOL
#define CLOSED CHECK_CRITICAL, CHECK_REASON_CLOSED

static const struct {
	const char *options;
	enum check_status status;
	enum check_reason reason;
	const char *says;
} rows[] = {
	{ "name = 'www.test'", OK, ": answered" },
	{ "name = 'WWW.test.'", BODY, "there is no such record" },
	{ "name = 'www.test' expect = { '192.0.2.1' }", OK, "answered as expected" },
	{ "name = 'www.test' expect = { '192.0.2.2', '192.0.2.1' }", OK, "expected" },
	{ "name = 'www.test' expect = { '192.0.2.1', '192.0.2.3' }", BODY,
	    "no answer is \"192.0.2.3\"\n192.0.2.1\n192.0.2.2" },
	{ "name = 'www.test' record = 'AAAA' expect = { '2001:DB8:0::1' }", OK, "" },
	{ "name = 'www.test' record = 'AAAA' expect = { '2001:db8::2' }", BODY, "" },
	{ "name = 'www.test' record = 'CNAME'", BODY, "there is no such record" },
	{ "name = 'x.test' record = 'MX' expect = { '10 MAIL.x.test' }", OK, "" },
	{ "name = 'x.test' record = 'MX' expect = { 'mail.X.test.' }", OK, "" },
	{ "name = 'x.test' record = 'MX' expect = { 'x.test' }", BODY, "10 mail" },
	{ "name = 'x.test' record = 'MX' expect = { '10' }", BODY, "10 mail" },
	{ "name = 'x.test' record = 'TXT' expect = { 'Hello World' }", OK, "" },
	{ "name = 'x.test' record = 'TXT' expect = { 'hello World' }", BODY, "Hello" },
	{ "name = 'x.test' record = 'SOA' expect = { 'ns.x.test' }", OK, "" },
	{ "name = 'x.test' record = 'SOA' expect = { 'h.x.test' }", BODY, "1 2 3 4 5" },
	{ "name = '192.0.2.1' record = 'PTR' expect = { 'host.test' }", OK, "" },
	{ "name = '2001:db8::1' record = 'PTR' expect = { 'host.test' }", OK, "" },
	{ "name = 'x.test' record = 'A'", BODY, "there is no such record" },
	{ "name = 'nx.test'", STATUS, ": NXDOMAIN" },
	{ "name = 'fail.test'", STATUS, ": SERVFAIL" },
	{ "name = 'no.test'", STATUS, ": REFUSED" },
	{ "name = 'odd.test'", STATUS, ": code 15" },
	{ "name = 'id.test'", PROTOCOL, "wrong identifier" },
	{ "name = 'text.test'", PROTOCOL, "wrong identifier" },
	{ "name = 'broken.test'", PROTOCOL, "broken" },
	{ "name = 'many.test' expect = { '10.0.0.0', '10.0.14.0' }", OK, "" },
	{ "name = 'many.test' expect = { '10.0.255.0' }", BODY, "10.0.0.0" },
	{ "name = 'tcp-drip.test' record = 'MX'", OK, ": answered" },
	{ "name = 'tcp-close.test'", CLOSED, "" },
	{ "name = 'tcp-half.test' record = 'MX'", CLOSED, "" },
	{ "name = 'tcp-id.test' record = 'MX'", PROTOCOL, "wrong identifier" },
	{ "name = 'cut.test'", PROTOCOL, "over TCP too" },
};

static void
try_all(int family)
{
	struct one_run *bench = one_run_new();
	struct server server;
	char section[256];

	CU_ASSERT_PTR_NOT_NULL(bench);
	if (!server_open(&server, family)) {
		one_run_free(bench);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		snprintf(section, sizeof(section), "dns \"d\" { server = \"%s\" %s }",
		    server.address, rows[i].options);
		one_run_expect(
		    bench, section, rows[i].status, rows[i].reason, rows[i].says);
	}
	snprintf(section, sizeof(section),
	    "dns \"d\" { server = \"%s\" name = 'silent.test' }", server.address);
	one_run_expect_silence(bench, section);
	server_close(&server);
	one_run_expect(
	    bench, section, CHECK_CRITICAL, CHECK_REASON_REFUSED, "Connection refused");
	one_run_free(bench);
}

static void
test_ipv4(void)
{
	try_all(AF_INET);
}

static void
test_ipv6(void)
{
	try_all(AF_INET6);
}

/* A name as a question has it: each label behind its length. */
static size_t
as_labels(const char *name, char out[256])
{
	size_t at = 0;

	for (size_t len; *name; name += len + (name[len] == '.')) {
		len = strcspn(name, ".");
		out[at++] = (char)len;
		memcpy(out + at, name, len);
		at += len;
	}
	out[at++] = '\0';
	return at;
}

/* The name is asked for under the one that RFC 1035 and RFC 3596 give an address: a server
 * that is not there for it would not notice, so the question is read. */
static void
test_reverse(void)
{
	static const char *const names[][2] = {
		{ "192.0.2.1", "1.2.0.192.in-addr.arpa" },
		{ "2001:db8::1",
		    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		    "0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" },
	};
	struct one_run *bench = one_run_new();
	unsigned int port;
	int udp, tcp;

	CU_ASSERT_TRUE_FATAL(bind_both(AF_INET, &udp, &tcp, &port));
	close(tcp);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		char section[256], asked[512], labels[256];
		size_t len = as_labels(names[i][1], labels);
		snprintf(section, sizeof(section),
		    "dns \"d\" { server = \"127.0.0.1:%u\" name = '%s' record = 'PTR' "
		    "}",
		    port, names[i][0]);
		one_run_expect_silence(bench, section);
		ssize_t n = recv(udp, asked, sizeof(asked), MSG_DONTWAIT);
		CU_ASSERT_EQUAL(n, (ssize_t)(12 + len + 4));
		CU_ASSERT_EQUAL(memcmp(asked + 12, labels, len), 0);
	}
	close(udp);
	one_run_free(bench);
}

static const struct tap_case cases[] = {
	{ "over IPv4", test_ipv4 },
	{ "over IPv6", test_ipv6 },
	{ "addresses as names", test_reverse },
};

TAP_MAIN("dns", cases)
