/* SPDX-License-Identifier: ISC */
/*
 * Real interfaces for unit tests: the test process moves into a network namespace of its
 * own, where it may do as it likes, and asks ip(8) to build and to look. What it leaves
 * there goes with its last process.
 */
#include "tests/unit/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"

#define WORDS_MAX 32

static bool
write_file(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool
unshare_as_user(void)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %u 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
	    write_file("/proc/self/setgroups", "deny") &&
	    write_file("/proc/self/uid_map", uid) &&
	    write_file("/proc/self/gid_map", gid);
}

bool
netns_enter(void)
{
	if ((unshare(CLONE_NEWNET) == 0 || unshare_as_user()) &&
	    netns_ip(0, "link set lo up", NULL, 0))
		return true;
	puts("1..0 # SKIP no network namespace can be made here");
	return false;
}

pid_t
netns_neighbour(void)
{
	int ready[2];
	char byte;

	if (pipe(ready) != 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) == 0 && write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	bool there = read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	return there ? pid : -1;
}

void
netns_leave(pid_t neighbour)
{
	if (neighbour <= 0)
		return;
	kill(neighbour, SIGKILL);
	waitpid(neighbour, NULL, 0);
}

static void
exec_tool(pid_t where, const char *tool, const char *words, int output)
{
	char path[64], *argv[WORDS_MAX + 2] = { xstrdup(tool) }, *text = xstrdup(words);
	size_t count = 1;

	if (where != 0) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)where);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
			return;
	}
	for (char *word = strsep(&text, " "); word != NULL && count <= WORDS_MAX;
	     word = strsep(&text, " "))
		argv[count++] = word;
	dup2(output, 1);
	dup2(output, 2);
	execvp(tool, argv);
}

bool
netns_run(pid_t where, const char *tool, const char *words, char *out, size_t size)
{
	int output[2], status;
	char rest[512];
	size_t len = 0;
	ssize_t got;

	if (pipe(output) != 0)
		return false;
	pid_t pid = fork();
	if (pid == 0) {
		exec_tool(where, tool, words, output[1]);
		_exit(127);
	}
	close(output[1]);
	while ((got = read(output[0], rest, sizeof(rest))) > 0) {
		size_t some = (size_t)got;
		if (out != NULL && len + some >= size)
			some = size - 1 - len;
		if (out != NULL)
			memcpy(out + len, rest, some);
		len += out != NULL ? some : 0;
	}
	close(output[0]);
	if (out != NULL)
		out[len] = '\0';
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0;
}

bool
netns_ip(pid_t where, const char *words, char *out, size_t size)
{
	return netns_run(where, "ip", words, out, size);
}
