/* SPDX-License-Identifier: ISC */
/*
 * Real commands: how each of them ends, what it is given, what it leaves behind. The rule of
 * all cases: each run is answered once, and afterwards there are as many descriptors as
 * before and no child, neither running nor zombie.
 */
#include "agent/runner/command.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/runner/account.h"
#include "tests/unit/command_bed.h"
#include "tests/unit/tap.h"

#define LIMIT_MS 20000 /* for what must come; no test waits so long unless it fails */

static void
test_exit_codes(void)
{
	struct bed *bed = bed_new(false);
	char text[32];
	int wrong = 0;

	for (unsigned int code = 0; code < 256; code++) {
		snprintf(text, sizeof(text), "exit %u", code);
		const struct wire_exited *exited = run_shell(bed, text, LIMIT_MS);
		wrong += exited->how != WIRE_EXIT_CODE || exited->value != code ||
		    exited->output_len != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	bed_free(bed);
}

static void
test_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL,
		SIGSEGV, SIGPIPE, SIGTERM, SIGUSR1 };
	struct bed *bed = bed_new(false);
	char text[64];

	for (size_t i = 0; i < ARRAY_LENGTH(signals); i++) {
		snprintf(text, sizeof(text), "ulimit -c 0; kill -%d $$", signals[i]);
		const struct wire_exited *exited = run_shell(bed, text, LIMIT_MS);
		CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_SIGNAL);
		CU_ASSERT_EQUAL(exited->value, (uint32_t)signals[i]);
	}
	bed_free(bed);
}

static void
test_cannot_run(void)
{
	struct bed *bed = bed_new(false);
	char *argv[] = { (char *)(uintptr_t) "/nonexistent/program", NULL };
	char *no_environment[] = { NULL };
	struct conf_command command = { .argv = argv, .environment = no_environment };
	const struct wire_exited *exited = run_command(bed, &command, LIMIT_MS);

	CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_UNKNOWN);
	CU_ASSERT(output_is(exited, "cannot execute it: No such file or directory"));
	argv[0] = (char *)(uintptr_t) "/bin/true";
	command.directory = (char *)(uintptr_t) "/nonexistent";
	exited = run_command(bed, &command, LIMIT_MS);
	CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_UNKNOWN);
	CU_ASSERT(
	    output_is(exited, "cannot enter its directory: No such file or directory"));
	command.directory = NULL;
	command.user = (char *)(uintptr_t) "no-such-user-here";
	exited = run_command(bed, &command, LIMIT_MS);
	CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_UNKNOWN);
	CU_ASSERT(output_is(exited, "cannot find its user: No such file or directory"));
	bed_free(bed);
}

/* A deadline that comes after the command has said what it says first, however slow the
 * machine is: else it is tried again with twice the time, which is left in `timeout_ms`. */
static const struct wire_exited *
run_late(struct bed *bed, const char *text, int64_t *timeout_ms)
{
	const struct wire_exited *exited = NULL;

	for (*timeout_ms = 200; *timeout_ms <= 6400; *timeout_ms *= 2) {
		exited = run_shell(bed, text, *timeout_ms);
		if (exited->output_len > 0)
			return exited;
	}
	return exited;
}

/* TERM is enough for one that obeys. */
static void
test_timeout(void)
{
	struct bed *bed = bed_new(false);
	int64_t timeout_ms;
	const struct wire_exited *exited = run_late(bed,
	    "trap 'echo ended; exit' TERM; echo begun; sleep 100 & wait", &timeout_ms);

	CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_TIMEOUT);
	CU_ASSERT(output_is(exited, "begun\nended\n"));
	bed_free(bed);
}

/* Neither the process nor what it started obeys TERM: KILL of the group, two seconds on. */
static void
test_timeout_stubborn(void)
{
	struct bed *bed = bed_new(false);
	int64_t timeout_ms, began = clock_boot_ms();
	const struct wire_exited *exited = run_late(bed,
	    "trap '' TERM; sleep 100 & echo $!; wait; sleep 100; sleep 100",
	    &timeout_ms);

	CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_TIMEOUT);
	CU_ASSERT(clock_boot_ms() - began >= timeout_ms + 1950);
	pid_t child = (pid_t)strtol(exited->output, NULL, 10);
	CU_ASSERT(child > 1);
	CU_ASSERT(await_death(bed, child, LIMIT_MS));
	bed_free(bed);
}

/* The process obeys, its child does not: the answer is not delayed, the child is killed. It
 * tells its number itself, once TERM does nothing to it. */
static void
test_timeout_child_left(void)
{
	struct bed *bed = bed_new(false);
	int64_t timeout_ms;
	const struct wire_exited *exited = run_late(bed,
	    "sh -c \"trap '' TERM; echo \\$\\$; sleep 100; sleep 100\" & wait",
	    &timeout_ms);

	CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_TIMEOUT);
	pid_t child = (pid_t)strtol(exited->output, NULL, 10);
	CU_ASSERT_FATAL(child > 1);
	CU_ASSERT(process_lives(child));
	CU_ASSERT(await_death(bed, child, LIMIT_MS));
	bed_free(bed);
}

static void
test_output_tail(void)
{
	struct bed *bed = bed_new(false);
	static char text[1200000];
	size_t len = 0;

	for (int i = 1; i <= 160000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%d\n", i);
	CU_ASSERT(len > 1000000);
	const struct wire_exited *exited = run_shell(bed, "seq 1 160000", 20000);
	CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_CODE);
	CU_ASSERT(output_is(exited, text + len - WIRE_OUTPUT_MAX));

	char *argv[4];
	struct conf_command command = shell(argv, "echo to stdout; echo to stderr >&2");
	exited = run_command(bed, &command, LIMIT_MS);
	CU_ASSERT(output_is(exited, "to stdout\nto stderr\n"));
	bed_free(bed);
}

/* What was left in the background keeps the pipe open. A check's is killed, a hook's lives
 * on, and neither delays the answer. */
static void
test_background(void)
{
	struct bed *bed = bed_new(false);
	char *argv[4];
	struct conf_command command = shell(argv, "sleep 60 & echo $!; exit 3");

	for (int hook = 0; hook < 2; hook++) {
		int64_t began = clock_boot_ms();
		command.kind = hook ? CONF_COMMAND_HOOK : CONF_COMMAND_CHECK;
		const struct wire_exited *exited = run_command(bed, &command, 40000);
		CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_CODE);
		CU_ASSERT_EQUAL(exited->value, 3);
		CU_ASSERT(clock_boot_ms() - began < 20000);
		pid_t child = (pid_t)strtol(exited->output, NULL, 10);
		CU_ASSERT_FATAL(child > 1);
		if (hook) {
			CU_ASSERT_FALSE(await_death(bed, child, 100));
			kill(child, SIGKILL);
		}
		CU_ASSERT(await_death(bed, child, LIMIT_MS));
	}
	bed_free(bed);
}

/* No descriptor, no signal disposition, no group of ours gets through. */
static void
test_given(void)
{
	struct bed *bed = bed_new(false);
	int open_fd = fcntl(0, F_DUPFD, 20); /* not close-on-exec, on purpose */
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	CU_ASSERT(
	    output_is(run_shell(bed, "cd /proc/$$/fd; echo *", LIMIT_MS), "0 1 2 3\n"));
	CU_ASSERT(
	    output_is(run_shell(bed, "readlink /proc/$$/fd/0; cat; pwd", LIMIT_MS),
		"/dev/null\n/\n"));
	/* glibc's posix_spawn (make starts tests with it) leaves its own signals 32 and 33
	 * ignored, which nobody can undo. */
	CU_ASSERT(output_is(run_shell(bed,
				"grep -E '^Sig(Blk|Ign):' /proc/$$/status | cut -f2 | "
				"sed s/00000001800/00000000000/",
				LIMIT_MS),
	    "0000000000000000\n0000000000000000\n"));
	CU_ASSERT(
	    output_is(run_shell(bed,
			  "read -r p a b c g s x < /proc/$$/stat; "
			  "test $p = $$ && test $g = $$ && test $s = $$ && echo own",
			  LIMIT_MS),
		"own\n"));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGPIPE, SIG_DFL);
	close(open_fd);
	bed_free(bed);
}

static void
test_arguments(void)
{
	struct bed *bed = bed_new(false);
	char *argv[] = { (char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c",
		(char *)(uintptr_t) "echo \"$0|$1|$2|$A|$B|$PATH|$LANG\"",
		(char *)(uintptr_t) "own", NULL };
	char *environment[] = { (char *)(uintptr_t) "A=1", (char *)(uintptr_t) "B=2",
		(char *)(uintptr_t) "PATH=/bin", NULL };
	struct conf_command command = { .argv = argv, .environment = environment };

	{ /* copied: gone before the command runs */
		char more[] = "x y", set[] = "B=3";
		const char *arguments[] = { more, "", NULL }, *extra[] = { set, NULL };
		commands_run(bed->commands, 1, &command, arguments, extra, LIMIT_MS);
		more[0] = set[2] = '?';
	}
	CU_ASSERT(await(bed, 1, LIMIT_MS));
	CU_ASSERT(output_is(&bed->results[0].exited, "own|x y||1|3|/bin|C.UTF-8\n"));
	bed_free(bed);
}

/* Whoever commands run as that say nothing: root where the machine has no such account. */
static const struct passwd *
usual_user(void)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam(ACCOUNT_DEFAULT) : NULL;

	return user != NULL ? user : getpwuid(geteuid());
}

/* To those, who may not touch what another has made in /tmp. */
static void
give(const char *path)
{
	const struct passwd *user = usual_user();

	if (user != NULL)
		CU_ASSERT_EQUAL(chown(path, user->pw_uid, user->pw_gid), 0);
}

static void
test_user(void)
{
	struct bed *bed = bed_new(false);
	char *argv[4];
	struct conf_command command = shell(argv,
	    "echo $(id -un) $(id -ru) $(id -rg) $(id -G) $USER $LOGNAME $HOME; "
	    "grep -c 'CapEff:.0000000000000000' /proc/$$/status");
	char want[256];

	if (geteuid() != 0) {
		command.user = (char *)(uintptr_t) "root";
		const struct wire_exited *exited = run_command(bed, &command, LIMIT_MS);
		CU_ASSERT_EQUAL(exited->how, WIRE_EXIT_UNKNOWN);
		bed_free(bed);
		return;
	}
	gid_t groups[] = { 1, 2, 3 }; /* ours, which the command must not keep */
	CU_ASSERT_EQUAL(setgroups(ARRAY_LENGTH(groups), groups), 0);
	command.user = (char *)(uintptr_t) "nobody";
	snprintf(want, sizeof(want),
	    "nobody 65534 65534 65534 nobody nobody /nonexistent\n1\n");
	CU_ASSERT(output_is(run_command(bed, &command, LIMIT_MS), want));
	CU_ASSERT_EQUAL(geteuid(), 0);
	CU_ASSERT_EQUAL(setgroups(0, NULL), 0);
	command.user = NULL;
	const struct passwd *usual = usual_user();
	snprintf(want, sizeof(want), "%s %u %u ", usual->pw_name, usual->pw_uid,
	    usual->pw_gid);
	CU_ASSERT_NSTRING_EQUAL(
	    run_command(bed, &command, LIMIT_MS)->output, want, strlen(want));
	bed_free(bed);
}

static void
test_no_overlap(void)
{
	struct bed *bed = bed_new(false);
	char *argv[4];
	struct conf_command check = shell(argv, "sleep 0.3");

	commands_run(bed->commands, 1, &check, NULL, NULL, LIMIT_MS);
	commands_run(bed->commands, 2, &check, NULL, NULL, LIMIT_MS);
	CU_ASSERT(await(bed, 2, LIMIT_MS));
	CU_ASSERT(bed->results[1].at - bed->results[0].at >= 290);
	bed_free(bed);
}

/* The first and the third, of two roles, end only if they meet; the second is the first's, as
 * another configuration has it. */
static void
test_hooks_overlap(void)
{
	struct bed *bed = bed_new(false);
	char names[2][4] = { "db", "web" };
	const struct conf_role roles[3] = { { .name = names[0] }, { .name = names[0] },
		{ .name = names[1] } };
	char *argv[3][4], text[2][96], fifo[64];
	struct conf_command hooks[3] = { shell(argv[0], text[0]),
		shell(argv[1], "sleep 0.3"), shell(argv[2], text[1]) };

	snprintf(fifo, sizeof(fifo), "/tmp/lictor-test-%d", (int)getpid());
	snprintf(text[0], sizeof(text[0]), "read word < %s", fifo);
	snprintf(text[1], sizeof(text[1]), "echo word > %s", fifo);
	CU_ASSERT_EQUAL(mkfifo(fifo, 0600), 0);
	give(fifo);
	for (size_t i = 0; i < 3; i++) {
		hooks[i].kind = CONF_COMMAND_HOOK;
		hooks[i].role = &roles[i];
		commands_run(bed->commands, i, &hooks[i], NULL, NULL, LIMIT_MS);
	}
	CU_ASSERT(await(bed, 3, 2 * LIMIT_MS));
	int64_t met = 0;
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT(bed->results[i].exited.how == WIRE_EXIT_CODE &&
		    bed->results[i].exited.value == 0);
		if (bed->results[i].exited.run == 0)
			met = bed->results[i].at;
	}
	CU_ASSERT_EQUAL(bed->results[2].exited.run, 1);
	CU_ASSERT(bed->results[2].at - met >= 290);
	/* what an agent does when one has ended needs its time */
	CU_ASSERT_TRUE(commands_run_hooks(bed->commands));
	int64_t end = clock_boot_ms() + LIMIT_MS;
	while (commands_run_hooks(bed->commands) && clock_boot_ms() < end)
		await(bed, RESULTS_MAX, 20);
	CU_ASSERT_FALSE(commands_run_hooks(bed->commands));
	CU_ASSERT(clock_boot_ms() - bed->results[2].at >= 900);
	unlink(fifo);
	bed_free(bed);
}

static bool
await_size(struct bed *bed, int fd, off_t size)
{
	int64_t end = clock_boot_ms() + LIMIT_MS;
	struct stat st;

	while (fstat(fd, &st) == 0 && st.st_size < size && clock_boot_ms() < end)
		await(bed, RESULTS_MAX, 20);
	return st.st_size == size;
}

/* 64 at once. One that waits for longer than its timeout is unknown, one that may wait runs
 * when another has ended. */
static void
test_turns(void)
{
	struct bed *bed = bed_new(false);
	char *argv[4] = { NULL }, *brief_argv[4] = { NULL }, text[64],
	     file[] = "/tmp/lictor-test-XXXXXX";
	struct conf_command *all = xcalloc(80, sizeof(*all));
	size_t unknown = 0, ended = 0, ok = 0;
	int fd = mkstemp(file);

	give(file);
	snprintf(text, sizeof(text), "echo >> %s; exec sleep 100", file);
	for (uint64_t i = 0; i < 80; i++) {
		all[i] = shell(i < 72 ? argv : brief_argv, i < 72 ? text : "exit 0");
		if (i == 64)
			CU_ASSERT(await_size(bed, fd, 64)); /* all of them have begun */
		commands_run(bed->commands, i, &all[i], NULL, NULL,
		    i >= 64 && i < 72 ? 500 : 2 * LIMIT_MS);
	}
	CU_ASSERT(await(bed, 8, LIMIT_MS));
	for (size_t i = 0; i < 64; i++)
		commands_kill(bed->commands, i);
	CU_ASSERT(await(bed, 72, LIMIT_MS));
	for (size_t i = 0; i < 80; i++) {
		const struct wire_exited *exited = &bed->results[i].exited;
		unknown += exited->how == WIRE_EXIT_UNKNOWN && exited->run >= 64 &&
		    exited->run < 72 && i < 8 &&
		    output_is(exited, "not started in time: others were before it");
		ended += exited->how == WIRE_EXIT_SIGNAL && exited->run < 64;
		ok += exited->how == WIRE_EXIT_CODE && exited->run >= 72;
	}
	CU_ASSERT_EQUAL(unknown, 8);
	CU_ASSERT_EQUAL(ended, 64);
	CU_ASSERT_EQUAL(ok, 8);
	CU_ASSERT(bed->waited >= 8);
	close(fd);
	unlink(file);
	free(all);
	bed_free(bed);
}

/* The second has to wait for at least 1 s of its 2.5 s, and still has all of them. */
static void
test_deadline(void)
{
	struct bed *bed = bed_new(false);
	char *argv[2][4];
	struct conf_command command = shell(argv[0], "sleep 1");
	int64_t began = clock_boot_ms();

	shell(argv[1], "exec sleep 100");
	commands_run(bed->commands, 1, &command, NULL, NULL, LIMIT_MS);
	CU_ASSERT_FALSE(await(bed, 1, 10)); /* the first has begun */
	command.argv = argv[1];
	commands_run(bed->commands, 2, &command, NULL, NULL, 2500);
	CU_ASSERT(await(bed, 2, 2 * LIMIT_MS));
	CU_ASSERT(bed->waited >= 1);
	CU_ASSERT_EQUAL(bed->results[1].exited.run, 2);
	CU_ASSERT_EQUAL(bed->results[1].exited.how, WIRE_EXIT_TIMEOUT);
	CU_ASSERT(bed->results[1].at - began >= 1000 + 2500 - 10);
	bed_free(bed);
}

static void
test_kill(void)
{
	struct bed *bed = bed_new(false);
	char *argv[4];
	struct conf_command command = shell(argv, "exec sleep 100");

	commands_run(bed->commands, 1, &command, NULL, NULL, 50000);
	commands_run(bed->commands, 2, &command, NULL, NULL, 50000);
	CU_ASSERT_FALSE(await(bed, 1, 100));
	commands_kill(bed->commands, 2);
	CU_ASSERT(await(bed, 1, LIMIT_MS));
	CU_ASSERT_EQUAL(bed->results[0].exited.run, 2);
	CU_ASSERT_EQUAL(bed->results[0].exited.how, WIRE_EXIT_UNKNOWN);
	commands_kill(bed->commands, 3); /* nobody's */
	commands_kill(bed->commands, 1);
	commands_kill(bed->commands, 1);
	CU_ASSERT(await(bed, 1, LIMIT_MS));
	CU_ASSERT_EQUAL(bed->results[1].exited.how, WIRE_EXIT_SIGNAL);
	CU_ASSERT_EQUAL(bed->results[1].exited.value, SIGTERM);
	bed_free(bed);
}

/* The checks of an agent that died are ended, a hook goes on; nobody is told. */
static void
test_orphan(void)
{
	struct bed *bed = bed_new(false);
	char *argv[3][4], text[2][192], file[] = "/tmp/lictor-test-XXXXXX";
	struct conf_command check = shell(argv[0], text[0]),
			    hook = shell(argv[1], text[1]);
	struct conf_command next = shell(argv[2], "echo new");

	int fd = mkstemp(file);
	give(file);
	snprintf(text[0], sizeof(text[0]),
	    "trap 'echo ended >> %s; exit' TERM; echo check >> %s; sleep 100 & wait",
	    file, file);
	/* until the file's mode tells it to go on */
	snprintf(text[1], sizeof(text[1]),
	    "echo hook >> %s; until test -x %s; do sleep 0.05; done; echo on >> %s",
	    file, file, file);
	hook.kind = CONF_COMMAND_HOOK;
	commands_run(bed->commands, 1, &check, NULL, NULL, 2 * LIMIT_MS);
	commands_run(bed->commands, 2, &hook, NULL, NULL, 2 * LIMIT_MS);
	CU_ASSERT(await_size(bed, fd, sizeof("check\nhook\n") - 1));
	commands_orphan(bed->commands);
	/* a number used again */
	commands_run(bed->commands, 1, &next, NULL, NULL, LIMIT_MS);
	CU_ASSERT(await(bed, 1, LIMIT_MS));
	CU_ASSERT(output_is(&bed->results[0].exited, "new\n"));
	CU_ASSERT(await_size(bed, fd, sizeof("check\nhook\nended\n") - 1));
	fchmod(fd, 0700);
	CU_ASSERT(await_size(bed, fd, sizeof("check\nhook\nended\non\n") - 1));
	CU_ASSERT_FALSE(await(bed, 1, 200));
	CU_ASSERT_EQUAL(bed->count, 1);
	close(fd);
	unlink(file);
	bed_free(bed);
}

/* A hook of a dead agent keeps its role's lane until it has ended; the next one's time counts
 * from its own start. Should they meet, the folder is there already. */
static void
test_orphan_lane(void)
{
	struct bed *bed = bed_new(false);
	char name[] = "db", *argv[2][4], text[2][160];
	const struct conf_role role = { .name = name };
	struct conf_command hooks[2] = { shell(argv[0], text[0]),
		shell(argv[1], text[1]) };
	char file[] = "/tmp/lictor-test-XXXXXX";
	int fd = mkstemp(file);

	give(file);
	for (size_t i = 0; i < 2; i++) {
		snprintf(text[i], sizeof(text[i]),
		    "mkdir %s.%d || exit 9; echo >> %s; sleep 1.5; rmdir %s.%d", file,
		    (int)getpid(), file, file, (int)getpid());
		hooks[i].kind = CONF_COMMAND_HOOK;
		hooks[i].role = &role;
	}
	commands_run(bed->commands, 1, &hooks[0], NULL, NULL, LIMIT_MS);
	CU_ASSERT(await_size(bed, fd, 1));
	commands_orphan(bed->commands);
	/* more than either takes, less than both */
	commands_run(bed->commands, 1, &hooks[1], NULL, NULL, 2900);
	CU_ASSERT(await(bed, 1, LIMIT_MS));
	CU_ASSERT(bed->results[0].exited.how == WIRE_EXIT_CODE &&
	    bed->results[0].exited.value == 0);
	CU_ASSERT(await_size(bed, fd, 2));
	CU_ASSERT_EQUAL(bed->count, 1);
	close(fd);
	unlink(file);
	bed_free(bed);
}

/* Ended by commands_free, whatever state they are in. */
static void
test_free(void)
{
	struct bed *bed = bed_new(false);
	char *argv[2][4];
	struct conf_command first = shell(argv[0], "echo $$; trap '' TERM; sleep 100"),
			    second = shell(argv[1], "sleep 100");

	commands_run(bed->commands, 1, &first, NULL, NULL, 100);
	commands_run(bed->commands, 2, &first, NULL, NULL, 50000);
	commands_run(bed->commands, 3, &second, NULL, NULL, 50000);
	CU_ASSERT_FALSE(await(bed, 1, 300));
	bed_free(bed);
	commands_free(NULL);
}

static const struct tap_case cases[] = {
	{ "each exit status is told as it is", test_exit_codes },
	{ "each signal is told as it is", test_signals },
	{ "what cannot be run is unknown, with the reason", test_cannot_run },
	{ "a timeout ends the command", test_timeout },
	{ "a timeout ends a command that ignores TERM, and its children",
	    test_timeout_stubborn },
	{ "a timeout ends children that ignore TERM", test_timeout_child_left },
	{ "the tail of the output is kept", test_output_tail },
	{ "a process left in the background delays nothing", test_background },
	{ "descriptors, signals and session are the command's own", test_given },
	{ "arguments and environment of the order are added", test_arguments },
	{ "the command runs as its user", test_user },
	{ "a command never overlaps itself", test_no_overlap },
	{ "a role's hooks never overlap, those of two roles may", test_hooks_overlap },
	{ "not more than 64 run at once", test_turns },
	{ "a deadline counts from the start", test_deadline },
	{ "a run can be ended", test_kill },
	{ "an agent's checks end with it", test_orphan },
	{ "a dead agent's hook keeps the next one waiting", test_orphan_lane },
	{ "nothing is left behind at the end", test_free },
};

TAP_MAIN_APART("command", cases)
