/* SPDX-License-Identifier: ISC */
/*
 * Questions to the host that the configuration raises: is the program there and safe from
 * others, is there such a user, does the host own that address already. Asked only where
 * the files are read (the runner, lictord -t), never by who got the bytes over the wall:
 * a file that vanished must not keep a respawned process from starting. Whether the agent
 * will be able to read a file is found out with its rights. Nothing is changed here.
 */
#include "agent/conf/host.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/identity.h"
#include "agent/base/util.h"

#define LINKS_MAX 16 /* symbolic links on one path */

static int say(char *why, size_t why_size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
say(char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return -1;
}

static int
check_absolute(const char *path, char *why, size_t why_size)
{
	if (path[0] == '/' && strlen(path) < PATH_MAX)
		return 0;
	return say(
	    why, why_size, "\"%.100s\" is no absolute path, expected one from /", path);
}

static int
check_there(const char *path, struct stat *st, char *why, size_t why_size)
{
	if (stat(path, st) == 0)
		return 0;
	return say(why, why_size, "\"%.200s\" cannot be used: %s, expected it to exist",
	    path, strerror(errno));
}

/* A runner that its unit made the user "lictor" has the agent's number, and runs commands as
 * others: then what that user could write is not ours. */
static bool
is_ours(const struct stat *st)
{
	return st->st_uid == 0 || (st->st_uid == geteuid() && !identity_may_change());
}

/* One component of a path: the folder, file or link itself. */
static int
check_component(const char *path, const struct stat *st, char *why, size_t why_size)
{
	bool open = !S_ISLNK(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
	    !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0);

	if (is_ours(st) && !open)
		return 0;
	return say(why, why_size,
	    "\"%.200s\" could be written by another user, expected owner root or ours "
	    "and no write permission for group and others",
	    path);
}

static int check_path_safe(const char *path, int links, char *why, size_t why_size);

static int
check_link(const char *path, int links, char *why, size_t why_size)
{
	char target[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	if (len < 0 || links >= LINKS_MAX)
		return say(why, why_size,
		    "\"%.200s\" cannot be followed: %s, expected a program", path,
		    len < 0 ? strerror(errno) : "too many symbolic links");
	target[len] = '\0';
	if (target[0] == '/')
		return check_path_safe(target, links + 1, why, why_size);
	snprintf(whole, sizeof(whole), "%.*s/%s", (int)(strrchr(path, '/') - path),
	    path, target);
	return check_path_safe(whole, links + 1, why, why_size);
}

/* Every component from the root down, and where links lead. */
static int
check_path_safe(const char *path, int links, char *why, size_t why_size)
{
	AUTO_FREE char *part = xstrdup(path);
	struct stat st;

	for (size_t end = 0, len = strlen(path); end <= len; end++) {
		if (end > 0 && path[end] != '/' && path[end] != '\0')
			continue;
		memcpy(part, path, end);
		memcpy(part + end, end == 0 ? "/" : "", end == 0 ? 2 : 1);
		if (end > 0 && path[end - 1] == '/')
			continue;
		if (lstat(part, &st) != 0)
			return say(why, why_size,
			    "\"%.200s\" cannot be used: %s, expected it to exist", part,
			    strerror(errno));
		if (check_component(part, &st, why, why_size) != 0 ||
		    (S_ISLNK(st.st_mode) &&
			check_link(part, links, why, why_size) != 0))
			return -1;
	}
	return 0;
}

int
host_check_command(const char *path, char *why, size_t why_size)
{
	struct stat st;

	if (check_absolute(path, why, why_size) != 0 ||
	    check_there(path, &st, why, why_size) != 0)
		return -1;
	if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
		return say(why, why_size,
		    "\"%.200s\" is not executable, expected a program", path);
	return check_path_safe(path, 0, why, why_size);
}

static int
check_secret(const char *path, const struct stat *st, char *why, size_t why_size)
{
	const char *fault = (st->st_mode & (S_IROTH | S_IWOTH)) != 0
	    ? "can be read by others"
	    : "could be written by its group";

	if ((st->st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) == 0)
		return 0;
	return say(
	    why, why_size, "\"%.200s\" %s, expected mode 0640 or less", path, fault);
}

void
host_begin(struct host *host)
{
	*host = (struct host){ 0 };
	if (identity_may_change() && identity_find(IDENTITY_AGENT, &host->agent) == 0)
		host->other = host->agent.uid != geteuid();
}

void
host_end(struct host *host)
{
	identity_cleanup(&host->agent);
}

/* Files are opened with that user's rights, by this thread alone. False: with mixed ones. */
static bool
take_rights(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
	if (syscall(SYS_setgroups, n_groups, groups) != 0)
		return false;
	syscall(SYS_setfsgid, gid);
	syscall(SYS_setfsuid, uid);
	return (uid_t)syscall(SYS_setfsuid, -1) == uid &&
	    (gid_t)syscall(SYS_setfsgid, -1) == gid;
}

/* A container may not have that user: then nobody knows, and it is let pass. Our own rights
 * must be back after it. */
static bool
agent_can_open(const struct host *host, const char *path)
{
	int n_groups = getgroups(0, NULL), error = 0;
	AUTO_FREE gid_t *groups = xcalloc((size_t)n_groups + 1, sizeof(*groups));
	const struct identity *agent = &host->agent;

	n_groups = getgroups(n_groups, groups);
	assert(n_groups >= 0);
	if (take_rights(agent->uid, agent->gid, agent->groups, agent->n_groups)) {
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		error = fd < 0 ? errno : 0;
	}
	if (!take_rights(geteuid(), getegid(), groups, (size_t)n_groups) &&
	    (uid_t)syscall(SYS_setfsuid, -1) != geteuid())
		abort();
	errno = error;
	return error == 0;
}

/* Asked by opening it: who may what is for the kernel to say. */
static int
check_readable(const struct host *host, const char *path, char *why, size_t why_size)
{
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
		return say(why, why_size,
		    "\"%.200s\" cannot be read: %s, expected a readable file", path,
		    strerror(errno));
	if (host == NULL || !host->other || agent_can_open(host, path))
		return 0;
	return say(why, why_size,
	    "\"%.200s\" cannot be read by the user " IDENTITY_AGENT
	    ", who needs it: %s, expected a file that its group may read",
	    path, strerror(errno));
}

int
host_check_file(
    const struct host *host, const char *path, bool secret, char *why, size_t why_size)
{
	struct stat st;

	if (check_absolute(path, why, why_size) != 0 ||
	    check_there(path, &st, why, why_size) != 0)
		return -1;
	if (!S_ISREG(st.st_mode))
		return say(
		    why, why_size, "\"%.200s\" is no regular file, expected one", path);
	if (secret && check_secret(path, &st, why, why_size) != 0)
		return -1;
	return check_readable(host, path, why, why_size);
}

int
host_check_plugin(const struct host *host, const char *path, char *why, size_t why_size)
{
	if (host_check_file(host, path, false, why, why_size) != 0)
		return -1;
	return check_path_safe(path, 0, why, why_size);
}

int
host_check_configuration(const char *path, char *why, size_t why_size)
{
	char folder[PATH_MAX];

	if (path[0] == '/')
		return check_path_safe(path, 0, why, why_size);
	if (getcwd(folder, sizeof(folder)) == NULL)
		return say(why, why_size,
		    "the folder we are in cannot be found: %s, expected a path from /",
		    strerror(errno));
	AUTO_FREE char *whole = xasprintf("%s/%s", folder, path);
	return check_path_safe(whole, 0, why, why_size);
}

int
host_check_directory(const char *path, char *why, size_t why_size)
{
	struct stat st;

	if (check_absolute(path, why, why_size) != 0 ||
	    check_there(path, &st, why, why_size) != 0)
		return -1;
	if (!S_ISDIR(st.st_mode))
		return say(
		    why, why_size, "\"%.200s\" is no folder, expected one", path);
	return 0;
}

int
host_check_user(const char *name, char *why, size_t why_size)
{
	if (getpwnam(name) != NULL)
		return 0;
	return say(why, why_size,
	    "user \"%.100s\" does not exist, expected a user of this host", name);
}

/* Is it that address, and there to stay? One message of a dump. */
static bool
is_permanent(const struct nlmsghdr *message, const unsigned char *wanted, size_t size)
{
	const struct ifaddrmsg *head = NLMSG_DATA(message);
	uint32_t flags = head->ifa_flags;
	bool same = false;
	int left = (int)IFA_PAYLOAD(message);

	for (const struct rtattr *a = IFA_RTA(head); RTA_OK(a, left);
	     a = RTA_NEXT(a, left)) {
		bool local = a->rta_type == IFA_LOCAL ||
		    (a->rta_type == IFA_ADDRESS && head->ifa_family == AF_INET6);
		if (a->rta_type == IFA_FLAGS && RTA_PAYLOAD(a) == sizeof(flags))
			memcpy(&flags, RTA_DATA(a), sizeof(flags));
		if (local && RTA_PAYLOAD(a) == size)
			same = same || memcmp(RTA_DATA(a), wanted, size) == 0;
	}
	return same && (flags & IFA_F_PERMANENT) != 0;
}

/* The interface that has the address, 0 for none (or an end of the dump: *ended). */
static unsigned int
search_dump(const char *bytes, ssize_t len, const unsigned char *wanted, size_t size,
    bool *ended)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)bytes;

	for (unsigned int left = (unsigned int)len; NLMSG_OK(message, left);
	     message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_type == NLMSG_DONE ||
		    message->nlmsg_type == NLMSG_ERROR)
			*ended = true;
		else if (message->nlmsg_type == RTM_NEWADDR &&
		    is_permanent(message, wanted, size))
			return ((const struct ifaddrmsg *)NLMSG_DATA(message))
			    ->ifa_index;
	}
	return 0;
}

/* getifaddrs does not tell a lifetime, so rtnetlink(7) is asked. */
static unsigned int
find_permanent(int family, const unsigned char *wanted)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg body;
	} dump = { { .nlmsg_len = sizeof(dump),
		       .nlmsg_type = RTM_GETADDR,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		{ .ifa_family = (unsigned char)family } };
	AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	_Alignas(struct nlmsghdr) char bytes[32768];
	size_t size = family == AF_INET ? 4 : 16;
	unsigned int found = 0;
	bool ended = fd < 0 || send(fd, &dump, sizeof(dump), 0) < 0;

	while (!ended && found == 0) {
		ssize_t len = recv(fd, bytes, sizeof(bytes), 0);
		if (len <= 0)
			break;
		found = search_dump(bytes, len, wanted, size, &ended);
	}
	return found;
}

int
host_check_address(int family, const unsigned char *address, char *why, size_t why_size)
{
	unsigned int ifindex = find_permanent(family, address);
	char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];

	if (ifindex == 0)
		return 0;
	inet_ntop(family, address, text, sizeof(text));
	if (if_indextoname(ifindex, name) == NULL)
		str_copy(name, sizeof(name), "an interface");
	return say(why, why_size,
	    "%s is a permanent address of this host (on %s), expected one that only "
	    "lictor sets",
	    text, name);
}

static bool
is_within(const struct identity *user, gid_t first, gid_t last)
{
	bool within = user->gid >= first && user->gid <= last;

	for (size_t i = 0; i < user->n_groups && !within; i++)
		within = user->groups[i] >= first && user->groups[i] <= last;
	return within;
}

/* The kernel's rule (ping_init_sock), for a user that we are not. */
static bool
agent_may_ping(const struct identity *agent)
{
	AUTO_FCLOSE FILE *fp = fopen("/proc/sys/net/ipv4/ping_group_range", "re");
	char line[64], *rest = NULL;
	uint64_t first, last;

	if (fp == NULL || fgets(line, sizeof(line), fp) == NULL)
		return true;
	const char *low = strtok_r(line, " \t\n", &rest);
	const char *high = strtok_r(NULL, " \t\n", &rest);
	if (low == NULL || high == NULL ||
	    parse_uint(low, 0, UINT32_MAX, &first) != 0 ||
	    parse_uint(high, 0, UINT32_MAX, &last) != 0)
		return true;
	return is_within(agent, (gid_t)first, (gid_t)last);
}

static bool
we_may_ping(void)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);

	return fd >= 0 || errno != EACCES;
}

int
host_check_ping(const struct host *host, char *why, size_t why_size)
{
	if (host->other ? agent_may_ping(&host->agent) : we_may_ping())
		return 0;
	return say(why, why_size,
	    "none of %s groups may send echoes, expected one of them to be within "
	    "net.ipv4.ping_group_range",
	    host->other ? "the user " IDENTITY_AGENT "'s" : "our");
}
