/* SPDX-License-Identifier: ISC */
/*
 * A name server that says what a table says, over UDP, for tests of who asks it: answers
 * that are late, lost, counted, different the next time. It is a process of its own in the
 * test's namespaces, so that the test may stop it as a whole; slow answers are given by
 * children of it.
 */
#include "tests/unit/name_server.h"

#include <arpa/inet.h>
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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"

#define RECORDS_MAX 64
#define MESSAGE_MAX 1024
#define TYPE_A 1
#define TYPE_CNAME 5
#define TYPE_AAAA 28

void
name_server_file(const char *path, const char *text)
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
	char name[] = "/tmp/name_server.XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0)
		return false;
	close(fd);
	name_server_file(name, text);
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
		name_server_file("/proc/self/uid_map", uid);
	}
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    cover("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch test\n") &&
	    cover("/etc/hosts", "192.0.2.77 filed.test filed\n");
}

bool
name_server_world(void)
{
	static enum { UNTRIED, ENTERED, REFUSED } namespaces;

	if (namespaces == UNTRIED)
		namespaces = enter_namespaces() ? ENTERED : REFUSED;
	return namespaces == ENTERED;
}

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

static size_t
write_name(unsigned char *out, const char *name)
{
	size_t len = 0;

	while (*name != '\0') {
		size_t label = strcspn(name, ".");
		out[len++] = (unsigned char)label;
		memcpy(out + len, name, label);
		len += label;
		name += label + (name[label] == '.');
	}
	out[len++] = 0;
	return len;
}

/* A record whose name stands at `name_at` of the message; returns how long it is. */
static size_t
write_record(unsigned char *out, size_t name_at, unsigned char type, uint32_t ttl,
    const unsigned char *data, size_t size)
{
	uint32_t seconds = htonl(ttl);

	out[0] = (unsigned char)(0xc0 | name_at >> 8);
	out[1] = (unsigned char)name_at;
	out[2] = 0;
	out[3] = type;
	out[4] = 0;
	out[5] = 1;
	memcpy(out + 6, &seconds, 4);
	out[10] = 0;
	out[11] = (unsigned char)size;
	memcpy(out + 12, data, size);
	return 12 + size;
}

/* The addresses of `texts`, all records of `name_at`; returns the message's new length. */
static size_t
write_addresses(unsigned char *message, size_t len, size_t name_at, unsigned char type,
    const struct name_record *record, const char *texts)
{
	AUTO_FREE char *copy = xstrdup(texts);
	char *rest = copy, *text;
	unsigned char data[16];

	while ((text = strsep(&rest, " ")) != NULL) {
		inet_pton(type == TYPE_AAAA ? AF_INET6 : AF_INET, text, data);
		len += write_record(message + len, name_at, type, record->ttl, data,
		    type == TYPE_AAAA ? 16 : 4);
		message[7]++;
	}
	return len;
}

/* `message` has a question whose type stands at `type_at`; `times` it was asked. */
static size_t
reply_to(unsigned char *message, size_t type_at, const struct name_record *record,
    unsigned int times)
{
	unsigned char type = message[type_at + 1], alias[256];
	size_t len = type_at + 4, name_at = 12;
	char counted[32];

	message[2] = 0x81;
	message[3] = (unsigned char)(0x80 | (record == NULL ? 3 : record->rcode));
	memset(message + 6, 0, 6);
	if (record == NULL)
		return len;
	if (times <= record->bad_times)
		message[3] = 0x82;
	if (times <= record->bad_times || record->rcode != 0)
		return len;
	if (record->alias != NULL) {
		size_t size = write_name(alias, record->alias);
		name_at = len + 12;
		len += write_record(
		    message + len, 12, TYPE_CNAME, record->alias_ttl, alias, size);
		message[7]++;
	}
	snprintf(counted, sizeof(counted), "192.0.2.%u", times);
	const char *a = record->counts ? counted : record->a;
	const char *texts = type == TYPE_AAAA ? record->aaaa
	    : type == TYPE_A                  ? a
					      : NULL;
	return texts == NULL
	    ? len
	    : write_addresses(message, len, name_at, type, record, texts);
}

static const struct name_record *
find(const struct name_record *records, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(records[i].name, name) == 0)
			return &records[i];
	return NULL;
}

static void
serve(int fd, const struct name_record *records, size_t count)
{
	unsigned char message[MESSAGE_MAX];
	unsigned int asked[RECORDS_MAX][2] = { 0 };
	struct sockaddr_in from;
	char name[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t n =
		    recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &from_len);
		size_t at =
		    n < 17 ? 0 : read_name(message, (size_t)n, name, sizeof(name));
		if (at == 0)
			continue;
		const struct name_record *record = find(records, count, name);
		bool aaaa = message[at + 1] == TYPE_AAAA;
		unsigned int times =
		    record != NULL ? ++asked[record - records][aaaa] : 1;
		if (record != NULL && times <= record->lost)
			continue;
		bool slow = record != NULL && record->slow_ms > 0;
		if (slow && fork() != 0)
			continue;
		if (slow && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
			usleep(record->slow_ms * 1000);
		size_t len = reply_to(message, at, record, times);
		sendto(fd, message, len, 0, (struct sockaddr *)&from, from_len);
		if (slow)
			_exit(0);
	}
}

pid_t
name_server_start(const char *address, const struct name_record *records, size_t count)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(53) };

	if (count > RECORDS_MAX || inet_pton(AF_INET, address, &here.sin_addr) != 1)
		abort();
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* a slow answer of the server before may still be about */
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) != 0 ||
	    bind(fd, (struct sockaddr *)&here, sizeof(here)) != 0)
		abort();
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0)
		serve(fd, records, count);
	return pid;
}

void
name_server_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
