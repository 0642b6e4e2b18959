/* SPDX-License-Identifier: ISC */
/*
 * Processes as proc(5) shows them, for the sweep, which judges them. What is read here may be
 * wrong a moment later: processes end, and their numbers are used again. The time of
 * birth tells two of one number apart, and a descriptor holds on to one.
 */
#include "agent/runner/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/util.h"

#define CHILDREN_MAX ((size_t)1 << 20)

/* The field of that number of /proc/PID/stat, of which `state` is the third. */
static uint64_t
read_field(const char *state, int number)
{
	const char *at = state;

	for (int i = 3; i < number && at != NULL; i++) {
		at = strchr(at, ' ');
		at = at != NULL ? at + 1 : NULL;
	}
	return at != NULL ? strtoull(at, NULL, 10) : 0;
}

/* The name in parentheses may hold anything, also parentheses. */
bool
procfs_read(pid_t pid, struct procfs_process *process)
{
	char path[48], text[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return false;
	text[len] = '\0';
	const char *name_end = strrchr(text, ')');
	if (name_end == NULL || strlen(name_end) < 3)
		return false;
	const char *state = name_end + 2;
	*process = (struct procfs_process){
		.pid = pid,
		.state = *state,
		.parent = (pid_t)read_field(state, 4),
		.session = (pid_t)read_field(state, 6),
		.born = read_field(state, 22),
	};
	return true;
}

/* Of a line that ends in the soft limit, the hard limit and the unit. To read a limit,
 * unlike an environment, never waits for the process's memory. */
uint64_t
procfs_mark(pid_t pid)
{
	static const char name[] = "Max realtime timeout";
	char path[48], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	const char *at = strstr(text, name);
	if (at == NULL)
		return 0;
	at += sizeof(name) - 1;
	at += strspn(at, " ");
	at += strcspn(at, " ");
	at += strspn(at, " ");
	return *at == 'u' ? UINT64_MAX : strtoull(at, NULL, 10);
}

void
procfs_signal(const struct procfs_process *process, int signum)
{
	struct procfs_process now;
	AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);

	if (fd >= 0 && procfs_read(process->pid, &now) && now.born == process->born)
		syscall(SYS_pidfd_send_signal, fd, signum, NULL, 0);
}

int
procfs_open_children(void)
{
	return open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
}

char *
procfs_children(int fd)
{
	struct buf text = { .limit = CHILDREN_MAX };
	char data[4096];
	ssize_t got;

	if (fd < 0)
		return NULL;
	do { /* what is short is the end */
		got = pread(fd, data, sizeof(data), (off_t)text.len);
		if (got < 0)
			break;
		buf_add(&text, data, (size_t)got);
	} while (got > (ssize_t)sizeof(data) / 2);
	return text.data;
}
