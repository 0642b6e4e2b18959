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
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define CHILDREN_MAX ((size_t)1 << 20)
#define BEGINNING_S 10 /* nothing stays within exec for longer */

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

char *
procfs_variable(pid_t pid, const char *name)
{
	char path[48];
	AUTO_FREE char *text = NULL;
	size_t size = 0, len = strlen(name);

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	AUTO_FCLOSE FILE *file = fopen(path, "re");
	while (file != NULL && getdelim(&text, &size, '\0', file) > 0)
		if (strncmp(text, name, len) == 0)
			return xstrdup(text + len);
	return NULL;
}

bool
procfs_begins(pid_t pid)
{
	struct procfs_process process;
	struct timespec now;
	char path[48], byte;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &byte, 1) != 0 || !procfs_read(pid, &process))
		return false;
	clock_gettime(CLOCK_BOOTTIME, &now);
	uint64_t born_s = process.born / (uint64_t)sysconf(_SC_CLK_TCK);
	return (uint64_t)now.tv_sec < born_s + BEGINNING_S;
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
