/* SPDX-License-Identifier: ISC */
/*
 * Commands that try to get away, each once in a control group and once without. The rules of
 * all: it is answered in time; soon after, no process of it lives, whatever session, parent or
 * environment that has; the check beside it was not late; descriptors and children of the
 * runner are as before.
 */
#include "agent/runner/job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/runner/command.h"
#include "agent/runner/procfs.h"
#include "tests/unit/command_bed.h"
#include "tests/unit/entries.h"
#include "tests/unit/tap.h"

#define DEADLINE_MS 300
#define KILL_MS 2000
#define SLACK_MS 1500
#define BESIDE_MS 500 /* the most that the check beside may take */
#define STARTS 8 /* it may have to wait for as many, as long as the longest */
#define LIMIT_MS 30000 /* for what must come; no test waits so long unless it fails */
#define MIB ((int64_t)1048576)
#ifdef LICTOR_SANITIZED /* what is freed is kept for a while */
#define MEMORY_TOLD false
#else
#define MEMORY_TOLD true
#endif

/* Its arguments hold our own number: what those bear in this test that lose the mark. */
static bool
is_told(pid_t pid)
{
	char path[48], data[4096], told[32];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	snprintf(told, sizeof(told), "1000.%d", (int)getpid());
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, data, sizeof(data));
	return len > 0 && memmem(data, (size_t)len, told, strlen(told)) != NULL;
}

/* The place of this test's beds is its own number. */
static bool
is_marked(pid_t pid)
{
	uint64_t mark = procfs_mark(pid);

	return mark >> 62 == 1 && (uint32_t)(mark >> 28) == (uint32_t)getpid();
}

static size_t
count_left(void)
{
	const struct dirent *entry;
	DIR *dir = opendir("/proc");
	size_t count = 0;

	while ((entry = readdir(dir)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0 && (is_marked(pid) || is_told(pid)) && process_lives(pid))
			count++;
	}
	closedir(dir);
	return count;
}

/* Three looks, for one that is another process all the time may be missed by one. */
static bool
nothing_left(struct bed *bed, int64_t limit_ms)
{
	int64_t end = clock_boot_ms() + limit_ms;
	size_t left = 1;

	for (int looks = 0; looks < 3 && clock_boot_ms() < end; looks++) {
		left = count_left();
		if (left > 0)
			looks = -1;
		await(bed, RESULTS_MAX, 20);
	}
	if (left > 0)
		printf("# %zu processes are left\n", left);
	return left == 0;
}

/* What died is reaped too. One that is about to die shows no arguments any more, so it may be
 * a child still when nothing is left. */
static bool
all_reaped(struct bed *bed)
{
	int64_t end = clock_boot_ms() + LIMIT_MS;
	siginfo_t info;
	int got;

	while ((got = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT)) == 0 &&
	    clock_boot_ms() < end)
		await(bed, RESULTS_MAX, 20);
	return got != 0 && errno == ECHILD;
}

static int64_t
resident(void)
{
	char text[64] = "";
	AUTO_CLOSE int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char *rest;

	CU_ASSERT(read(fd, text, sizeof(text) - 1) > 0);
	strtol(text, &rest, 10);
	return strtol(rest, NULL, 10) * sysconf(_SC_PAGESIZE);
}

struct hostile {
	const char *name, *text; /* %s: the mark, a number of seconds */
	int64_t timeout_ms;
	bool obeys; /* TERM ends its first process */
	enum wire_exit how;
	uint64_t processes;
	const char *user; /* if we are root */
};

static const struct hostile hostiles[] = {
	{ "ignores TERM", "trap '' TERM; while :; do sleep %s; done", DEADLINE_MS,
	    false, WIRE_EXIT_TIMEOUT, 0 },
	{ "a child in a session of its own", "setsid sleep %s & wait", DEADLINE_MS,
	    true, WIRE_EXIT_TIMEOUT, 0 },
	{ "one that ignores TERM",
	    "setsid sh -c \"trap '' TERM; sleep %s; sleep 9\" & wait", DEADLINE_MS,
	    true, WIRE_EXIT_TIMEOUT, 0 },
	{ "forks twice", "(setsid sleep %s &); sleep 9", DEADLINE_MS, true,
	    WIRE_EXIT_TIMEOUT, 0 },
	{ "forks twice and ends", "(setsid sleep %s &); exit 0", 5000, true,
	    WIRE_EXIT_CODE, 0 },
	{ "leaves its parents one after the other",
	    "(setsid sh -c '(setsid sh -c \"(setsid sleep %s &)\" &)' &); sleep 0.2",
	    5000, true, WIRE_EXIT_CODE, 0 },
	{ "clears its environment as well",
	    "(env -i /usr/bin/setsid /bin/sleep %s &); exit 0", 5000, true,
	    WIRE_EXIT_CODE, 0 },
	{ "loses the mark as well",
	    "(prlimit --rttime=99999999 env -i /usr/bin/setsid /bin/sleep %s &); exit "
	    "0",
	    5000, true, WIRE_EXIT_CODE, 0 },
	{ "a grandchild holds the pipe", "(sleep %s &); exit 0", 5000, true,
	    WIRE_EXIT_CODE, 0 },
	{ "closes its output and sleeps", "exec >&- 2>&-; sleep %s", DEADLINE_MS, true,
	    WIRE_EXIT_TIMEOUT, 0 },
	{ "stops itself", "kill -STOP $$; sleep %s", DEADLINE_MS, true,
	    WIRE_EXIT_TIMEOUT, 0 },
	{ "stops itself in a session of its own",
	    "setsid sh -c 'kill -STOP $$; sleep %s' & wait", DEADLINE_MS, true,
	    WIRE_EXIT_TIMEOUT, 0 },
	{ "writes without end", "cat /dev/zero", DEADLINE_MS, true, WIRE_EXIT_TIMEOUT,
	    0 },
	{ "writes without end beside its parent",
	    "setsid cat /dev/zero & setsid cat /dev/zero & wait", DEADLINE_MS, true,
	    WIRE_EXIT_TIMEOUT, 0 },
	/* Should they get away, they end by themselves some time. A user each, for the limit
	 * counts the user's processes; and none needs a fork to reach its deadline. */
	{ "forks without end", "exec perl -e 'fork while time < $^T + 20'", DEADLINE_MS,
	    true, WIRE_EXIT_TIMEOUT, 40, "nobody" },
	{ "forks sessions without end, which ignore TERM",
	    "exec perl -MPOSIX -e 'my $pid = fork; "
	    "if (!defined $pid || $pid) { sleep 9; exit } $SIG{TERM} = \"IGNORE\"; "
	    "while (time < $^T + 20) { fork; POSIX::setsid() }'",
	    DEADLINE_MS, true, WIRE_EXIT_TIMEOUT, 40, "games" },
	{ "is another process and session all the time",
	    "exec perl -MPOSIX -e 'my $pid = fork; "
	    "if (!defined $pid || $pid) { sleep 9; exit } "
	    "while (time < $^T + 20) { exit if fork; POSIX::setsid() }'",
	    DEADLINE_MS, true, WIRE_EXIT_TIMEOUT, 40, "mail" },
};

#define HOSTILES ARRAY_LENGTH(hostiles)
#define BESIDE (HOSTILES + 1)

/* A process that does what lictord does, start a shell and wait for its end, and nothing
 * else: the longest that it took says how slow the machine is. */
struct meter {
	pid_t pid;
	struct {
		_Atomic int64_t worst;
		_Atomic bool over;
	} * shared;
};

static void
meter_loop(struct meter *meter)
{
	while (!meter->shared->over) {
		int64_t began = clock_boot_ms();
		pid_t pid = fork();
		if (pid == 0) {
			execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
		int64_t took = clock_boot_ms() - began;
		if (took > meter->shared->worst)
			meter->shared->worst = took;
		poll(NULL, 0, 20);
	}
	_exit(0);
}

static void
meter_start(struct meter *meter)
{
	meter->shared = mmap(NULL, sizeof(*meter->shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(meter->shared != MAP_FAILED);
	fflush(stdout);
	meter->pid = fork();
	if (meter->pid != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	meter_loop(meter);
}

static int64_t
meter_end(struct meter *meter)
{
	meter->shared->over = true;
	waitpid(meter->pid, NULL, 0);
	int64_t worst = meter->shared->worst;
	munmap(meter->shared, sizeof(*meter->shared));
	return worst;
}

/* All of them at the same time, and the check beside, again and again. */
struct crowd {
	struct meter meter;
	struct bed *bed;
	struct conf_command commands[HOSTILES], beside;
	char *argv[BESIDE][4], *text[HOSTILES];
	const struct result *results[HOSTILES];
	int64_t ordered[HOSTILES], beside_began, worst;
	bool is_beside; /* it runs */
	int64_t slack; /* that the machine needs to start them all */
};

static void
run_beside(struct crowd *crowd)
{
	crowd->is_beside = true;
	crowd->beside_began = clock_boot_ms();
	commands_run(
	    crowd->bed->commands, BESIDE, &crowd->beside, NULL, NULL, LIMIT_MS);
}

static void
crowd_order(struct crowd *crowd, size_t i)
{
	crowd->ordered[i] = clock_boot_ms();
	commands_run(crowd->bed->commands, i, &crowd->commands[i], NULL, NULL,
	    hostiles[i].timeout_ms);
}

/* On a busy machine its turn may come too late, as with any check: then it has another. */
static bool
was_not_started(const struct result *result)
{
	return result->exited.how == WIRE_EXIT_UNKNOWN &&
	    strncmp(result->exited.output, "not started in time", 19) == 0;
}

static void
crowd_start(struct crowd *crowd, bool delegated)
{
	char text[512], mark[32];

	snprintf(mark, sizeof(mark), "1000.%d", (int)getpid());
	crowd->bed = bed_new(delegated);
	meter_start(&crowd->meter);
	for (size_t i = 0; i < HOSTILES; i++) {
		struct conf_command *command = &crowd->commands[i];
		snprintf(text, sizeof(text), hostiles[i].text, mark);
		crowd->text[i] = xstrdup(text);
		*command = shell(crowd->argv[i], crowd->text[i]);
		command->processes = hostiles[i].processes;
		if (geteuid() == 0)
			command->user = (char *)(uintptr_t)hostiles[i].user;
		crowd_order(crowd, i);
	}
	crowd->beside = shell(crowd->argv[HOSTILES], "exit 0");
	run_beside(crowd);
}

/* Until each was answered, the check beside too. */
static void
crowd_watch(struct crowd *crowd, int64_t limit_ms)
{
	struct bed *bed = crowd->bed;
	int64_t end = clock_boot_ms() + limit_ms;

	for (size_t answers = 0, at = 0;
	     (answers < HOSTILES || crowd->is_beside) && clock_boot_ms() < end;) {
		await(bed, 1, 100);
		for (; at < bed->count; at++) {
			const struct result *result = &bed->results[at];
			bool room = at + 2 * HOSTILES < RESULTS_MAX;
			if (result->exited.run < HOSTILES && room &&
			    was_not_started(result)) {
				crowd_order(crowd, result->exited.run);
				continue;
			}
			if (result->exited.run < HOSTILES) {
				crowd->results[result->exited.run] = result;
				answers++;
				continue;
			}
			int64_t took = result->at - crowd->beside_began;
			crowd->worst = took > crowd->worst ? took : crowd->worst;
			crowd->is_beside = false;
			if (room && answers < HOSTILES)
				run_beside(crowd);
		}
	}
}

static void
judge(const struct crowd *crowd, size_t i)
{
	const struct hostile *hostile = &hostiles[i];
	const struct result *result = crowd->results[i];
	int64_t most = hostile->how == WIRE_EXIT_CODE ? 0 : hostile->timeout_ms;

	most += (hostile->obeys ? 0 : KILL_MS) + SLACK_MS + crowd->slack;
	CU_ASSERT_PTR_NOT_NULL(result);
	if (result == NULL || result->exited.how != hostile->how ||
	    result->at - crowd->ordered[i] > most)
		printf("# %s: how %d after %d ms, \"%.*s\"\n", hostile->name,
		    result == NULL ? -1 : (int)result->exited.how,
		    result == NULL ? 0 : (int)(result->at - crowd->ordered[i]),
		    result == NULL ? 0 : (int)result->exited.output_len,
		    result == NULL ? "" : result->exited.output);
	if (result == NULL)
		return;
	CU_ASSERT_EQUAL(result->exited.how, hostile->how);
	CU_ASSERT(result->at - crowd->ordered[i] <= most);
}

static void
try_hostile(bool delegated)
{
	struct crowd crowd = { .bed = NULL };
	int64_t before = resident();

	crowd_start(&crowd, delegated);
	crowd_watch(&crowd, LIMIT_MS);
	CU_ASSERT(nothing_left(crowd.bed, LIMIT_MS));
	crowd.slack = STARTS * meter_end(&crowd.meter);
	CU_ASSERT(all_reaped(crowd.bed));
	CU_ASSERT(!MEMORY_TOLD || resident() - before < 4 * MIB);
	printf("# the check beside took %d ms at most, the machine needs %d\n",
	    (int)crowd.worst, (int)crowd.slack);
	CU_ASSERT(crowd.worst < BESIDE_MS + crowd.slack);
	for (size_t i = 0; i < HOSTILES; i++) {
		judge(&crowd, i);
		free(crowd.text[i]);
	}
	bed_free(crowd.bed);
	CU_ASSERT_EQUAL(count_left(), 0);
}

static void
test_hostile(void)
{
	try_hostile(false);
}

static void
test_hostile_delegated(void)
{
	if (!bed_can_delegate()) {
		printf("# not seen: no control groups of version 2 here\n");
		CU_PASS("skipped");
		return;
	}
	try_hostile(true);
}

/* What a hook starts stays when the hook has ended, also while checks come and go; what it
 * has started when it is late does not. */
static void
try_hook(bool delegated)
{
	struct bed *bed = bed_new(delegated);
	char *argv[4], text[128];
	static const char *const ways[] = { "sleep", "setsid sleep",
		"env -i /usr/bin/setsid /bin/sleep",
		"prlimit --rttime=99999999 env -i /usr/bin/setsid /bin/sleep" };

	for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
		snprintf(text, sizeof(text), "(%s 1000.%d >/dev/null 2>&1 & echo $!)",
		    ways[i], (int)getpid());
		struct conf_command hook = shell(argv, text);
		hook.kind = CONF_COMMAND_HOOK;
		const struct wire_exited *exited = run_command(bed, &hook, 5000);
		pid_t pid = (pid_t)strtol(exited->output, NULL, 10);
		CU_ASSERT_FATAL(pid > 1);
		for (int k = 0; k < 3; k++)
			run_shell(bed, "(sleep 9 & setsid sleep 9 &); exit 0", 5000);
		int64_t end = clock_boot_ms() + LIMIT_MS;
		while (count_left() != 1 && clock_boot_ms() < end)
			await(bed, RESULTS_MAX, 20);
		CU_ASSERT_FALSE(await_death(bed, pid, 100));
		CU_ASSERT_EQUAL(count_left(), 1);
		kill(pid, SIGKILL);
		CU_ASSERT(await_death(bed, pid, LIMIT_MS));
	}
	snprintf(
	    text, sizeof(text), "(setsid sleep 1000.%d &); sleep 9", (int)getpid());
	struct conf_command late = shell(argv, text);
	late.kind = CONF_COMMAND_HOOK;
	CU_ASSERT_EQUAL(run_command(bed, &late, DEADLINE_MS)->how, WIRE_EXIT_TIMEOUT);
	CU_ASSERT(nothing_left(bed, LIMIT_MS));
	CU_ASSERT(all_reaped(bed));
	bed_free(bed);
}

static void
test_hook(void)
{
	try_hook(false);
	if (bed_can_delegate())
		try_hook(true);
}

/* Limits are what the command finds; a hook has none of them. */
static void
try_limits(bool delegated)
{
	struct bed *bed = bed_new(delegated);
	char *argv[4];
	struct conf_command command = shell(argv, "ulimit -n; ulimit -v; ulimit -c");

	command.files = 57;
	command.memory = (uint64_t)(100 * MIB);
	CU_ASSERT(output_is(run_command(bed, &command, 5000), "57\n102400\n0\n"));
	command.kind = CONF_COMMAND_HOOK;
	command.files = command.memory = 0;
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	char want[64];
	snprintf(want, sizeof(want), "%llu\nunlimited\n",
	    (unsigned long long)files.rlim_cur);
	const struct wire_exited *exited = run_command(bed, &command, 5000);
	CU_ASSERT_EQUAL(strncmp(exited->output, want, strlen(want)), 0);

	struct conf_command few = shell(argv, "ulimit -p");
	few.processes = 57;
	exited = run_command(bed, &few, 5000);
	CU_ASSERT(exited->how == WIRE_EXIT_CODE);
	CU_ASSERT(output_is(exited, "57\n") || delegated);
	bed_free(bed);
}

static void
test_limits(void)
{
	try_limits(false);
	if (bed_can_delegate())
		try_limits(true);
}

static void
nobody_waits(void *arg, uint64_t run)
{
}

/* A runner in a process of its own, which runs the command and is then killed. */
static void
predecessor(const char *text, uint64_t place)
{
	struct loop *loop = loop_new();
	struct commands_out out = { .started = nobody_waits };
	struct commands *commands = commands_new(loop, place, &out);
	char *argv[4];
	struct conf_command command = shell(argv, text);
	char *no_environment[] = { NULL };

	command.environment = no_environment;
	commands_run(commands, 1, &command, NULL, NULL, 60000);
	loop_run(loop);
	_exit(0);
}

/* The first process of a check dies with the runner; what it had started, with the
 * successor's start. */
static void
test_predecessor(void)
{
	char text[128];
	uint64_t place = (uint64_t)getpid();
	int64_t end = clock_boot_ms() + LIMIT_MS;

	snprintf(text, sizeof(text), "setsid sleep 1000.%d & exec sleep 1000.%d",
	    (int)getpid(), (int)getpid());
	pid_t pid = fork();
	if (pid == 0)
		predecessor(text, place);
	while (count_left() != 2 && clock_boot_ms() < end)
		poll(NULL, 0, 10);
	CU_ASSERT_EQUAL(count_left(), 2);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (count_left() != 1 && clock_boot_ms() < end)
		poll(NULL, 0, 10);
	CU_ASSERT_EQUAL(count_left(), 1);
	struct bed *bed = bed_new(false);
	CU_ASSERT(nothing_left(bed, LIMIT_MS));
	bed_free(bed);
}

/* Whatever became of those before, the next ones run. */
static void
test_next(void)
{
	int modes = bed_can_delegate() ? 2 : 1;

	for (int delegated = 0; delegated < modes; delegated++) {
		struct bed *bed = bed_new(delegated);
		for (int i = 0; i < 5; i++) {
			run_shell(bed, "(setsid sleep 1000 &); exit 0", 5000);
			run_shell(bed, "sleep 1000", 20);
			CU_ASSERT(nothing_left(bed, LIMIT_MS));
			const struct wire_exited *exited =
			    run_shell(bed, "exit 3", LIMIT_MS);
			CU_ASSERT(exited->how == WIRE_EXIT_CODE && exited->value == 3);
		}
		bed_free(bed);
	}
}

/* As in an old container: a filter that does not know clone3. */
static bool
forbid_clone3(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_LENGTH(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int
without_clone3(bool delegated)
{
	unsigned int before = CU_get_number_of_failures();
	struct bed *bed = bed_new(delegated);

	if (!forbid_clone3())
		return 1;
	signal(SIGPIPE, SIG_IGN);
	const struct wire_exited *exited =
	    run_shell(bed, "grep SigIgn /proc/self/status; exit 5", 5000);
	CU_ASSERT(exited->how == WIRE_EXIT_CODE && exited->value == 5);
	CU_ASSERT(memmem(exited->output, exited->output_len, "1000\n", 5) == NULL);
	run_shell(bed, "(setsid sleep 9 &); exit 0", 5000);
	CU_ASSERT(nothing_left(bed, LIMIT_MS));
	bed_free(bed);
	return CU_get_number_of_failures() != before;
}

static void
test_without_clone3(void)
{
	int modes = bed_can_delegate() ? 2 : 1;

	for (int delegated = 0; delegated < modes; delegated++) {
		int status = -1;
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0)
			_exit(without_clone3(delegated));
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_EQUAL(status, 0);
	}
}

/* Checks that exit at once, thousands of times: memory and descriptors stay as they are. */
static void
try_many(bool delegated)
{
	struct bed *bed = bed_new(delegated);
	char *argv[] = { (char *)(uintptr_t) "/bin/true", NULL }, *none[] = { NULL };
	struct conf_command *all = xcalloc(200, sizeof(*all));
	int64_t early = 0;
	int fds = 0;

	for (int round = 0; round < 4; round++) {
		bed->count = 0;
		for (uint64_t i = 0; i < 200; i++) {
			all[i] =
			    (struct conf_command){ .argv = argv, .environment = none };
			commands_run(bed->commands, i, &all[i], NULL, NULL, 20000);
		}
		CU_ASSERT(await(bed, 200, 20000));
		for (size_t i = 0; i < bed->count; i++)
			CU_ASSERT(bed->results[i].exited.how == WIRE_EXIT_CODE &&
			    bed->results[i].exited.value == 0);
		await(bed, RESULTS_MAX, 20);
		if (round == 1) {
			early = resident();
			fds = count_entries("/proc/self/fd");
		}
	}
	CU_ASSERT(!MEMORY_TOLD || resident() - early < MIB / 2);
	/* two for each control group, of which there are as many as ran at once */
	CU_ASSERT(count_entries("/proc/self/fd") <= fds + (delegated ? 2 * 64 : 0));
	free(all);
	bed_free(bed);
}

static void
test_many(void)
{
	try_many(false);
	if (bed_can_delegate())
		try_many(true);
}

/* Where no descriptor is left a run is unknown, and the next one is not when there are. */
static void
test_no_descriptors(void)
{
	struct bed *bed = bed_new(false);
	struct rlimit before, few;

	run_shell(bed, "exit 0", 5000);
	getrlimit(RLIMIT_NOFILE, &before);
	int used = count_entries("/proc/self/fd") - 1; /* the folder itself */
	for (int more = -2; more < 8; more++) {
		few = (struct rlimit){ (rlim_t)(used + more), before.rlim_max };
		setrlimit(RLIMIT_NOFILE, &few);
		const struct wire_exited *exited = run_shell(bed, "exit 4", 5000);
		setrlimit(RLIMIT_NOFILE, &before);
		CU_ASSERT(exited->how == WIRE_EXIT_UNKNOWN ||
		    (exited->how == WIRE_EXIT_CODE && exited->value == 4));
		CU_ASSERT(more >= 0 || exited->how == WIRE_EXIT_UNKNOWN);
		CU_ASSERT(more < 7 || exited->how == WIRE_EXIT_CODE);
	}
	bed_free(bed);
}

static const struct tap_case cases[] = {
	{ "nobody gets away", test_hostile },
	{ "nobody gets away from a control group", test_hostile_delegated },
	{ "what a hook starts may stay", test_hook },
	{ "limits are set", test_limits },
	{ "what a dead runner's checks left ends", test_predecessor },
	{ "the next run is not hurt by the end of those before", test_next },
	{ "it goes without clone3", test_without_clone3 },
	{ "thousands of runs leave nothing", test_many },
	{ "without descriptors a run is unknown", test_no_descriptors },
};

TAP_MAIN("job", cases)
