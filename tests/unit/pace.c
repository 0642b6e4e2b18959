/* SPDX-License-Identifier: ISC */
/*
 * How late this machine is. A test that asks whether something happened on time sees its
 * own lateness, the tested process's and the program's own; only the last is to be judged.
 * The others are measured meanwhile, by a process that wakes up over and over, does what
 * cannot be had for less, and keeps the longest time that this took.
 */
#include "tests/unit/pace.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

struct pace {
	pid_t pid;
	_Atomic int64_t *late_ms; /* shared with the process */
};

static _Noreturn void
measure(_Atomic int64_t *late_ms, int64_t each_ms, void (*act)(void *arg), void *arg)
{
	for (;;) {
		int64_t at = clock_boot_ms() + each_ms;
		struct timespec when = { at / 1000, at % 1000 * 1000000 };
		clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &when, NULL);
		if (act != NULL)
			act(arg);
		int64_t late = clock_boot_ms() - at;
		if (late > *late_ms)
			*late_ms = late;
	}
}

struct pace *
pace_new(int64_t each_ms, void (*act)(void *arg), void *arg)
{
	struct pace *pace = xcalloc(1, sizeof(*pace));
	void *shared = mmap(NULL, sizeof(*pace->late_ms), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		abort();
	pace->late_ms = shared;
	pace->pid = fork();
	if (pace->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		measure(pace->late_ms, each_ms, act, arg);
	}
	return pace;
}

void
pace_free(struct pace *pace)
{
	if (pace == NULL)
		return;
	if (pace->pid > 0) {
		kill(pace->pid, SIGKILL);
		waitpid(pace->pid, NULL, 0);
	}
	munmap((void *)pace->late_ms, sizeof(*pace->late_ms));
	free(pace);
}

bool
pace_allows(const struct pace *pace, int64_t took, int64_t limit_ms)
{
	return took < limit_ms + 4 * pace_late_ms(pace);
}

int64_t
pace_late_ms(const struct pace *pace)
{
	return *pace->late_ms;
}
