/* SPDX-License-Identifier: ISC */
/*
 * The bed in which tests of the runner's commands lie: a loop, the commands, their answers
 * in the order in which they came, and the look whether anything was left behind. A bed
 * that is delegated moves this process to a control group of its own and back.
 */
#include "tests/unit/command_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/runner/command.h"
#include "tests/unit/entries.h"
#include "tests/unit/tap.h"

static char *no_environment[] = { NULL };

static void
on_exited(void *arg, struct wire_message *message)
{
	struct bed *bed = arg;

	CU_ASSERT_FATAL(bed->count < RESULTS_MAX);
	bed->results[bed->count].exited = message->exited;
	bed->results[bed->count++].at = clock_boot_ms();
	if (bed->count == bed->wanted)
		loop_stop(bed->loop);
}

static void
on_started(void *arg, uint64_t run)
{
	struct bed *bed = arg;

	bed->waited++;
}

static void
on_limit(void *arg)
{
	struct bed *bed = arg;

	bed->late = true;
	loop_stop(bed->loop);
}

/* Where control groups (version 2) are mounted, as systemd or this machine does it. */
static const char *
group_mount(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup/unified",
		"/sys/fs/cgroup" };

	for (size_t i = 0; i < ARRAY_LENGTH(mounts); i++) {
		AUTO_FREE char *path = xasprintf("%s/cgroup.procs", mounts[i]);
		if (access(path, W_OK) == 0)
			return mounts[i];
	}
	return NULL;
}

bool
bed_can_delegate(void)
{
	return geteuid() == 0 && group_mount() != NULL;
}

static void
move_to(const char *group)
{
	AUTO_FREE char *path = xasprintf("%s/cgroup.procs", group);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(write(fd, "0", 1), 1);
}

static char *
enter_group(void)
{
	char *group = xasprintf("%s/lictor-test-%d", group_mount(), (int)getpid());

	CU_ASSERT_EQUAL_FATAL(mkdir(group, 0755), 0);
	CU_ASSERT_EQUAL_FATAL(setxattr(group, "trusted.delegate", "1", 1, 0), 0);
	move_to(group);
	return group;
}

/* What commands ran in is gone by then, but for the leaf; if not, it is ended here. */
static void
leave_group(char *group)
{
	if (group == NULL)
		return;
	AUTO_FREE char *leaf = xasprintf("%s/lictord", group);
	AUTO_FREE char *end = xasprintf("%s/cgroup.kill", group);
	move_to(group_mount());
	AUTO_CLOSE int fd = open(end, O_WRONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(write(fd, "1", 1), 1);
	CU_ASSERT_EQUAL(rmdir(leaf), 0);
	CU_ASSERT_EQUAL(rmdir(group), 0);
	free(group);
}

struct bed *
bed_new(bool delegated)
{
	struct bed *bed = xcalloc(1, sizeof(*bed));
	struct commands_out out = {
		.exited = on_exited, .started = on_started, .arg = bed
	};

	if (delegated)
		bed->group = enter_group();

	loop_free(loop_new()); /* the first loop opens what all share */
	bed->fds = count_entries("/proc/self/fd");
	bed->results = xcalloc(RESULTS_MAX, sizeof(*bed->results));
	bed->loop = loop_new();
	bed->limit = loop_timer_new(bed->loop, on_limit, bed);
	bed->commands = commands_new(bed->loop, (uint64_t)getpid(), &out);
	return bed;
}

void
bed_free(struct bed *bed)
{
	commands_free(bed->commands);
	CU_ASSERT(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	loop_timer_free(bed->limit);
	loop_free(bed->loop);
	CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), bed->fds);
	leave_group(bed->group);
	free(bed->results);
	free(bed);
}

bool
await(struct bed *bed, size_t count, int64_t limit_ms)
{
	bed->wanted = bed->count + count;
	bed->late = false;
	loop_timer_after(bed->limit, limit_ms);
	loop_run(bed->loop);
	loop_timer_stop(bed->limit);
	return !bed->late;
}

struct conf_command
shell(char *argv[4], const char *text)
{
	argv[0] = (char *)(uintptr_t) "/bin/sh";
	argv[1] = (char *)(uintptr_t) "-c";
	argv[2] = (char *)(uintptr_t)text;
	argv[3] = NULL;
	return (struct conf_command){ .argv = argv, .environment = no_environment };
}

const struct wire_exited *
run_command(struct bed *bed, const struct conf_command *command, int64_t timeout_ms)
{
	size_t before = bed->count;

	commands_run(bed->commands, 7, command, NULL, NULL, timeout_ms);
	CU_ASSERT_EQUAL(bed->count, before);
	CU_ASSERT_FATAL(await(bed, 1, timeout_ms + 20000));
	CU_ASSERT_EQUAL(bed->results[before].exited.run, 7);
	return &bed->results[before].exited;
}

const struct wire_exited *
run_shell(struct bed *bed, const char *text, int64_t timeout_ms)
{
	char *argv[4];
	struct conf_command command = shell(argv, text);

	return run_command(bed, &command, timeout_ms);
}

bool
output_is(const struct wire_exited *exited, const char *text)
{
	bool same = exited->output_len == strlen(text) &&
	    memcmp(exited->output, text, exited->output_len) == 0;

	if (!same)
		printf("# got \"%.*s\"\n", (int)exited->output_len, exited->output);
	return same;
}

bool
process_lives(pid_t pid)
{
	char path[32], state = 'X';

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	AUTO_FCLOSE FILE *file = fopen(path, "re");
	return file != NULL && fscanf(file, "%*d %*s %c", &state) == 1 && state != 'Z';
}

bool
await_death(struct bed *bed, pid_t pid, int64_t limit_ms)
{
	int64_t end = clock_boot_ms() + limit_ms;

	while (process_lives(pid) && clock_boot_ms() < end)
		await(bed, RESULTS_MAX, 20);
	return !process_lives(pid);
}
