/* SPDX-License-Identifier: ISC */
/*
 * How late this machine is. A test that asks whether something happened on time sees its
 * own lateness, the tested process's and the program's own; only the last is to be judged.
 * The others are measured meanwhile, by a process that wakes up over and over, has the
 * kernel look for an address that is not there (which waits for all who change interfaces,
 * as setting one does), and keeps the longest time that this took.
 */
#include "tests/unit/pace.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/warden/netlink.h"

#define EACH_MS 5

struct pace {
	pid_t pid;
	_Atomic int64_t *late_ms; /* shared with the process */
};

static void
on_address(void *arg, const struct netlink_address *address, bool present)
{
}

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
}

static void
on_lost(void *arg)
{
}

static _Noreturn void
measure(_Atomic int64_t *late_ms)
{
	static const struct netlink_out out = {
		.address = on_address, .link = on_link, .lost = on_lost
	};
	struct netlink_address nobody = {
		.family = AF_INET, .prefix = 32, .ifindex = 1
	};
	struct netlink *netlink = netlink_new(loop_new(), &out);

	while (netlink != NULL) {
		int64_t at = clock_boot_ms() + EACH_MS;
		struct timespec when = { at / 1000, at % 1000 * 1000000 };
		clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &when, NULL);
		netlink_delete(netlink, &nobody);
		int64_t late = clock_boot_ms() - at;
		if (late > *late_ms)
			*late_ms = late;
	}
	_exit(1);
}

struct pace *
pace_new(void)
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
		measure(pace->late_ms);
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

int64_t
pace_late_ms(const struct pace *pace)
{
	return *pace->late_ms;
}
