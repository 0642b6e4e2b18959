/* SPDX-License-Identifier: ISC */
/*
 * The check type `process`: enough processes of a name run, or the one whose number stands in
 * a file does. Read from /proc (proc(5)), without starting anything. A zombie does not count,
 * nor does a process that got the number of a dead one, if the name is given too.
 * Looked at in another thread: a host may have very many processes, and a pid file may be
 * anywhere.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "checks/builtin.h"
#include "checks/check.h"

#define COMM_MAX 15 /* TASK_COMM_LEN of linux/sched.h, without the NUL */
#define COMMAND_MAX 4096

struct process_check {
	char *name, *pid_file;
	uint64_t minimum;
};

struct process_run {
	int error;
	const char *unreadable; /* with error: what could not be read */
	bool no_number; /* the pid file holds none */
	uint64_t count;
};

static const struct check_option options[] = {
	{ "name", CHECK_OPTION_TEXT, offsetof(struct process_check, name) },
	{ "pid-file", CHECK_OPTION_TEXT, offsetof(struct process_check, pid_file) },
	{ "minimum", CHECK_OPTION_UINT, offsetof(struct process_check, minimum),
	    .value = "1", .min = 1, .max = 1000000 },
	{ NULL },
};

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct process_check *check = conf;

	*option = "name";
	if (check->name == NULL && check->pid_file == NULL) {
		snprintf(why, why_size, "it is missing, expected it or pid-file");
		return -1;
	}
	if (check->name != NULL && strchr(check->name, '/') != NULL) {
		snprintf(why, why_size,
		    "it has a slash, expected the name of a program without its "
		    "folder");
		return -1;
	}
	*option = "pid-file";
	if (check->pid_file != NULL && check->pid_file[0] != '/') {
		snprintf(why, why_size, "no absolute path, expected one from /");
		return -1;
	}
	*option = "minimum";
	if (check->pid_file != NULL && check->minimum > 1) {
		snprintf(why, why_size, "a pid-file names one process, expected 1");
		return -1;
	}
	return 0;
}

/* At most size - 1 bytes, and a NUL; -errno. */
static ssize_t
read_some(int folder, const char *path, char *out, size_t size)
{
	AUTO_CLOSE int fd =
	    openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t len = fd < 0 ? -1 : read(fd, out, size - 1);

	if (len < 0)
		return -errno;
	out[len] = '\0';
	return len;
}

/* "PID (comm) STATE …"; a comm may hold anything. A process that ends just now is none. */
static bool
runs(int proc, const char *pid, char comm[COMM_MAX + 1])
{
	char path[64], stat[256];

	snprintf(path, sizeof(path), "%s/stat", pid);
	if (read_some(proc, path, stat, sizeof(stat)) <= 0)
		return false;
	char *begin = strchr(stat, '('), *end = strrchr(stat, ')');
	if (begin == NULL || end == NULL || end < begin || end[1] != ' ')
		return false;
	*end = '\0';
	str_copy(comm, COMM_MAX + 1, begin + 1);
	return strchr("ZXx", end[2]) == NULL;
}

/* By its comm, which the kernel cuts, or by the last part of its argv[0]. */
static bool
has_name(int proc, const char *pid, const char *comm, const char *name)
{
	char path[64], command[COMMAND_MAX];

	if (strcmp(comm, name) == 0)
		return true;
	snprintf(path, sizeof(path), "%s/cmdline", pid);
	if (read_some(proc, path, command, sizeof(command)) <= 0)
		return false;
	const char *slash = strrchr(command, '/');
	return strcmp(slash != NULL ? slash + 1 : command, name) == 0;
}

static bool
counts(const struct process_check *check, int proc, const char *pid)
{
	char comm[COMM_MAX + 1];

	return runs(proc, pid, comm) &&
	    (check->name == NULL || has_name(proc, pid, comm, check->name));
}

static void
look_at_number(const struct process_check *check, struct process_run *process, int proc)
{
	char text[64];
	uint64_t pid;
	ssize_t len = read_some(AT_FDCWD, check->pid_file, text, sizeof(text));

	if (len < 0) {
		process->error = (int)-len;
		process->unreadable = check->pid_file;
		return;
	}
	char *begin = text + strspn(text, " \t\r\n");
	begin[strcspn(begin, " \t\r\n")] = '\0';
	if (parse_uint(begin, 1, INT32_MAX, &pid) != 0)
		process->no_number = true;
	else
		process->count = counts(check, proc, begin);
}

static void
look_at_all(const struct process_check *check, struct process_run *process, DIR *proc)
{
	const struct dirent *entry;

	while (process->count < check->minimum && (entry = readdir(proc)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			process->count += counts(check, dirfd(proc), entry->d_name);
}

/* In another thread. */
static void
look(const void *conf, void *state)
{
	const struct process_check *check = conf;
	struct process_run *process = state;
	DIR *proc = opendir("/proc");

	if (proc == NULL) {
		process->error = errno;
		process->unreadable = "/proc";
		return;
	}
	if (check->pid_file != NULL)
		look_at_number(check, process, dirfd(proc));
	else
		look_at_all(check, process, proc);
	closedir(proc);
}

static void
judge(struct check_run *run, const struct process_check *check,
    const struct process_run *process)
{
	const char *what = check->name != NULL ? check->name : check->pid_file;

	if (process->no_number)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE,
		    "%s does not hold the number of a process", check->pid_file);
	else if (process->count >= check->minimum)
		check_done(run, CHECK_PASSING, CHECK_REASON_OK, "%s runs", what);
	else if (process->count == 0)
		check_done(
		    run, CHECK_CRITICAL, CHECK_REASON_STATE, "%s does not run", what);
	else
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE,
		    "fewer than %llu processes of %s run",
		    (unsigned long long)check->minimum, what);
}

static void
looked(struct check_run *run)
{
	const struct process_check *check = check_conf(run);
	const struct process_run *process = check_state(run);

	if (process->error == 0)
		judge(run, check, process);
	else if (process->error == ENOENT)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE, "there is no %s",
		    process->unreadable);
	else
		check_done(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL,
		    "%s cannot be read: %s", process->unreadable,
		    strerror(process->error));
}

static void
start(struct check_run *run)
{
	check_work(run, look, looked);
}

const struct check_class check_process_class = {
	.abi = CHECK_ABI,
	.name = "process",
	.help = "counts the processes of a name, or looks for the one of a pid file",
	.conf_size = sizeof(struct process_check),
	.run_size = sizeof(struct process_run),
	.options = options,
	.prepare = prepare,
	.start = start,
};
