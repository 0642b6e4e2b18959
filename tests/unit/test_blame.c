/* SPDX-License-Identifier: ISC */
/*
 * Whose fault the end of an agent was: what processes that really crash, in this thread or
 * another, leave in the blackbox, and what the runner makes of it.
 */
#include "agent/runner/blame.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/blackbox.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/worker.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "agent/runner/process.h"
#include "tests/unit/tap.h"

static const struct process_end crash = { "signal 11 (Segmentation fault)", true,
	SIGSEGV };
static const struct process_end killed = { "signal 9 (Killed)", false, SIGKILL };
static const struct process_end ended = { "exit status 1", true, 0 };

/* ---- the page, and processes that die ---- */

static const int fatal[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL };

struct death {
	struct blackbox *box;
	int signum; /* 0: exit status 3 */
};

/* Really by the signal: the sanitizers would make an exit of the bad address. */
__attribute__((no_sanitize("undefined"))) static void
die(int signum)
{
	volatile int *volatile nowhere = NULL;

	prctl(PR_SET_DUMPABLE, 0);
	if (signum == SIGSEGV)
		*nowhere = 0; /* cppcheck-suppress nullPointer */
	if (signum == SIGABRT)
		abort();
	if (signum != 0)
		kill(getpid(), signum);
	_exit(3);
}

static struct blackbox *
open_again(int fd)
{
	return blackbox_open(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* What a process leaves that notes, and does `act`, and dies. */
static struct blackbox_note
left_by(void (*act)(struct blackbox *box, int signum), int signum, int *status)
{
	struct blackbox *box = blackbox_new();
	struct blackbox_orders orders = { 0 };

	blackbox_reset(box, &orders);
	pid_t pid = fork();
	if (pid == 0) {
		/* what the sanitizers would say of it is not of interest */
		for (size_t i = 0; i < ARRAY_LENGTH(fatal); i++)
			signal(fatal[i], SIG_DFL);
		struct blackbox *own = open_again(blackbox_fd(box));
		act(own, signum);
		_exit(9);
	}
	waitpid(pid, status, 0);
	struct blackbox_note note = blackbox_read(box);
	blackbox_free(box);
	return note;
}

static void
in_a_check(struct blackbox *box, int signum)
{
	struct blackbox_note note = { BLACKBOX_CHECK, 7 };

	blackbox_enter(box, note);
	die(signum);
}

static void
after_a_check(struct blackbox *box, int signum)
{
	struct blackbox_note note = { BLACKBOX_CHECK, 7 };

	blackbox_leave(box, blackbox_enter(box, note));
	die(signum);
}

/* A check within a check, as a callback may begin the next: the outer one again. */
static void
between_checks(struct blackbox *box, int signum)
{
	struct blackbox_note outer = { BLACKBOX_CHECK, 7 },
			     inner = { BLACKBOX_PLUGIN, 3 };

	blackbox_enter(box, outer);
	blackbox_leave(box, blackbox_enter(box, inner));
	die(signum);
}

static void
every_end_in_a_check_is_known(void)
{
	static const int signals[] = { 0, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL,
		SIGKILL };

	for (size_t i = 0; i < ARRAY_LENGTH(signals); i++) {
		int status;
		struct blackbox_note note = left_by(in_a_check, signals[i], &status);
		CU_ASSERT_EQUAL(note.place, BLACKBOX_CHECK);
		CU_ASSERT_EQUAL(note.index, 7);
		/* the handler changes nothing of how it ends */
		bool same = signals[i] == 0
		    ? WIFEXITED(status) && WEXITSTATUS(status) == 3
		    : WIFSIGNALED(status) && WTERMSIG(status) == signals[i];
		CU_ASSERT(same);
		note = left_by(after_a_check, signals[i], &status);
		CU_ASSERT_EQUAL(note.place, BLACKBOX_OURS);
		note = left_by(between_checks, signals[i], &status);
		CU_ASSERT_EQUAL(note.place, BLACKBOX_CHECK);
		CU_ASSERT_EQUAL(note.index, 7);
	}
}

static void *
in_a_thread(void *arg)
{
	struct death *death = arg;
	struct blackbox_note note = { BLACKBOX_CHECK, 5 };

	blackbox_enter_thread(death->box, note);
	die(death->signum);
	return NULL;
}

/* The main thread is in another check meanwhile: it is not to blame. */
static void
beside_a_check(struct blackbox *box, int signum)
{
	struct blackbox_note note = { BLACKBOX_CHECK, 7 };
	struct death death = { box, signum };
	pthread_t thread;

	blackbox_enter(box, note);
	pthread_create(&thread, NULL, in_a_thread, &death);
	pthread_join(thread, NULL);
}

static void *
in_no_check(void *arg)
{
	const struct death *death = arg;

	die(death->signum);
	return NULL;
}

static void
beside_all(struct blackbox *box, int signum)
{
	struct blackbox_note note = { BLACKBOX_CHECK, 7 };
	struct death death = { box, signum };
	pthread_t thread;

	blackbox_enter(box, note);
	pthread_create(&thread, NULL, in_no_check, &death);
	pthread_join(thread, NULL);
}

static void
the_thread_that_crashes_is_known(void)
{
	int status;
	struct blackbox_note note = left_by(beside_a_check, SIGSEGV, &status);

	CU_ASSERT_EQUAL(note.place, BLACKBOX_CHECK);
	CU_ASSERT_EQUAL(note.index, 5);
	note = left_by(beside_a_check, SIGABRT, &status);
	CU_ASSERT_EQUAL(note.index, 5);
	note = left_by(beside_all, SIGSEGV, &status);
	CU_ASSERT_EQUAL(note.place, BLACKBOX_OURS);
}

/* By the new indexes the old ones; in the second the check 5 is no more. */
static const uint32_t from_all[] = { 7, 3, 5 }, from_none[] = { 6, 3 };

static void *
in_a_turned_thread(void *arg)
{
	const struct death *death = arg;
	struct blackbox_note note = { BLACKBOX_CHECK, 5 };
	bool stays = death->signum == SIGSEGV;

	blackbox_enter_thread(death->box, note);
	blackbox_turn(death->box, stays ? from_all : from_none, stays ? 3 : 2);
	die(death->signum);
	return NULL;
}

static void
over_a_reload(struct blackbox *box, int signum)
{
	struct death death = { box, signum };
	pthread_t thread;

	pthread_create(&thread, NULL, in_a_turned_thread, &death);
	pthread_join(thread, NULL);
}

static void
a_reload_changes_what_was_noted(void)
{
	int status;
	struct blackbox_note note = left_by(over_a_reload, SIGSEGV, &status);

	CU_ASSERT_EQUAL(note.place, BLACKBOX_CHECK);
	CU_ASSERT_EQUAL(note.index, 2);
	note = left_by(over_a_reload, SIGABRT, &status);
	CU_ASSERT_EQUAL(note.place, BLACKBOX_OURS);
	blackbox_turn(NULL, from_all, 3);
}

static int fall(int n);
static int (*volatile fall_again)(int n) = fall;

static int
fall(int n)
{
	volatile char much[1024] = { (char)n };

	return fall_again(n + 1) + much[n & 1023];
}

static void
fall_in_a_thread(void *arg)
{
	struct blackbox_note note = { BLACKBOX_CHECK, 5 };

	blackbox_enter_thread(arg, note);
	fall(0);
}

static void
nothing_comes(void *arg)
{
}

/* A thread of check_work that uses its stack up. */
static void
beyond_the_stack(struct blackbox *box, int signum)
{
	struct loop *loop = loop_new();
	struct workers *workers = workers_new(loop);

	workers_start(workers, fall_in_a_thread, nothing_comes, box);
	loop_run(loop);
}

static void
a_thread_without_a_stack_is_known(void)
{
	int status;
	struct blackbox_note note = left_by(beyond_the_stack, 0, &status);

	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CU_ASSERT_EQUAL(note.place, BLACKBOX_CHECK);
	CU_ASSERT_EQUAL(note.index, 5);
}

static void
a_thread_has_its_row_as_long_as_it_needs_it(void)
{
	struct blackbox *box = blackbox_new();
	struct blackbox *own = open_again(blackbox_fd(box));
	struct blackbox_note note = { BLACKBOX_CHECK, 1 };
	unsigned int first = blackbox_enter_thread(own, note);

	CU_ASSERT(first > 0);
	for (int i = 0; i < 1000; i++) {
		unsigned int next = blackbox_enter_thread(own, note);
		CU_ASSERT(next > 0 && next != first);
		blackbox_leave_thread(own, next);
	}
	for (int i = 0; i < 1000; i++) /* more than there are */
		blackbox_enter_thread(own, note);
	blackbox_leave_thread(own, first);
	CU_ASSERT_EQUAL(blackbox_enter_thread(own, note), first);
	blackbox_free(own);
	blackbox_free(box);
}

static void
the_page_cannot_be_taken_away(void)
{
	struct blackbox *box = blackbox_new();

	CU_ASSERT_EQUAL(ftruncate(blackbox_fd(box), 0), -1);
	CU_ASSERT_EQUAL(ftruncate(blackbox_fd(box), 1 << 20), -1);
	blackbox_free(box);
	CU_ASSERT_PTR_NULL(blackbox_open(open("/dev/null", O_RDWR | O_CLOEXEC)));
	CU_ASSERT_PTR_NULL(blackbox_open(-1));
}

static void
without_a_page_nothing_is_noted(void)
{
	struct blackbox_note note = { BLACKBOX_CHECK, 1 };
	struct blackbox_orders orders = { .left_out = 1 };

	blackbox_leave(NULL, blackbox_enter(NULL, note));
	blackbox_leave_thread(NULL, blackbox_enter_thread(NULL, note));
	blackbox_reset(NULL, &orders);
	CU_ASSERT_EQUAL(blackbox_read(NULL).place, BLACKBOX_OURS);
	blackbox_orders(NULL, &orders);
	CU_ASSERT_EQUAL(orders.left_out, 0);
	CU_ASSERT_EQUAL(blackbox_fd(NULL), -1);
	blackbox_free(NULL);
}

/* ---- what the runner makes of it ---- */

static struct conf *
parse(const char *text)
{
	struct bundle_file files[] = { { "environment", "", 0 },
		{ "lictor.conf", text, strlen(text) } };
	char error[CONF_ERROR_MAX];
	struct conf *conf = conf_parse(bundle_new(files, 2), error);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	return conf;
}

static struct conf *
make_conf(void)
{
	return parse("plugins = {\"one\", \"two\"}\n"
		     "two \"x\" { }\n"
		     "service \"db\" {\n"
		     "  one \"y\" { }\n"
		     "  tcp \"z\" { address = \"127.0.0.1:1\" }\n"
		     "}\n");
}

/* An agent that was in that, and how it ended. */
static void
agent_ends(struct blame *blame, struct blackbox_note note,
    const struct process_end *end, int64_t now, char where[128])
{
	struct blackbox *own = open_again(blame_fd(blame));

	blackbox_enter(own, note);
	blackbox_free(own);
	blame_end(blame, end, now, where, 128);
}

static struct blackbox_orders
orders_of(struct blame *blame)
{
	struct blackbox *own = open_again(blame_fd(blame));
	struct blackbox_orders orders;

	blackbox_orders(own, &orders);
	blackbox_free(own);
	return orders;
}

static void
the_words_name_the_check(void)
{
	static const struct {
		struct blackbox_note note;
		const char *where;
	} rows[] = {
		{ { BLACKBOX_OURS, 0 }, "" },
		{ { BLACKBOX_PLUGIN, 1 }, " in the plugin two, while it was loaded" },
		{ { BLACKBOX_PLUGIN, 2 }, "" },
		{ { BLACKBOX_CHECK, 0 }, " in the plugin two, in the check x" },
		{ { BLACKBOX_CHECK, 1 }, " in the plugin one, in the check db/y" },
		{ { BLACKBOX_CHECK, 2 },
		    " in the type of check tcp, in the check db/z" },
		{ { BLACKBOX_CHECK, 3 }, "" },
		{ { BLACKBOX_CHECK, 0x3fffffff }, "" },
	};
	struct conf *conf = make_conf();
	char where[128];

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct blame *blame = blame_new(conf);
		agent_ends(blame, rows[i].note, &crash, 0, where);
		CU_ASSERT_STRING_EQUAL(where, rows[i].where);
		bool check = rows[i].note.place == BLACKBOX_CHECK && where[0] != '\0';
		CU_ASSERT_STRING_EQUAL(orders_of(blame).how, check ? crash.how : "");
		CU_ASSERT(!check || orders_of(blame).check == rows[i].note.index);
		/* what others did to it is no check's fault */
		agent_ends(blame, rows[i].note, &killed, 0, where);
		CU_ASSERT_STRING_EQUAL(where, "");
		CU_ASSERT_STRING_EQUAL(orders_of(blame).how, "");
		blame_free(blame);
	}
	conf_free(conf);
}

/* Four crashes with every combination of these pauses: left out is who had three of them
 * within a minute, from the third of them on. */
static void
three_within_a_minute_are_too_many(void)
{
	static const int64_t pauses[] = { 0, 1, 29999, 30000, 30001, 60000, 60001 };
	const size_t n = ARRAY_LENGTH(pauses);
	struct blackbox_note one = { BLACKBOX_CHECK, 1 }, two = { BLACKBOX_PLUGIN, 1 };
	struct conf *conf = make_conf();
	char where[128];

	for (size_t i = 0; i < n * n * n; i++) {
		int64_t a = pauses[i % n], b = pauses[i / n % n], c = pauses[i / n / n];
		struct blame *blame = blame_new(conf);
		agent_ends(blame, one, &crash, 1000, where);
		agent_ends(blame, two, &crash, 1000, where);
		agent_ends(blame, one, &crash, 1000 + a, where);
		CU_ASSERT_EQUAL(orders_of(blame).left_out, 0);
		agent_ends(blame, one, &crash, 1000 + a + b, where);
		CU_ASSERT_EQUAL(orders_of(blame).left_out, a + b <= 60000);
		agent_ends(blame, one, &crash, 1000 + a + b + c, where);
		CU_ASSERT_EQUAL(
		    orders_of(blame).left_out, a + b <= 60000 || b + c <= 60000);
		blame_free(blame);
	}
	conf_free(conf);
}

static void
lictors_own_types_are_never_left_out(void)
{
	struct blackbox_note tcp = { BLACKBOX_CHECK, 2 };
	struct conf *conf = make_conf();
	struct blame *blame = blame_new(conf);
	char where[128];

	for (int i = 0; i < 10; i++)
		agent_ends(blame, tcp, &crash, i, where);
	CU_ASSERT_EQUAL(orders_of(blame).left_out, 0);
	blame_free(blame);
	conf_free(conf);
}

/* Three ends of every kind in no check: only a crash may have been a plugin's. */
static void
crashes_of_nobody_leave_all_plugins_out(void)
{
	static const struct process_end *const ends[] = { &crash, &killed, &ended };
	const size_t n = ARRAY_LENGTH(ends);
	struct blackbox_note ours = { BLACKBOX_OURS, 0 };
	struct conf *conf = make_conf();
	char where[128];

	for (size_t i = 0; i < n * n * n * 2; i++) {
		size_t kinds[] = { i % n, i / n % n, i / n / n % n };
		int64_t pause = i < n * n * n ? 30000 : 30001;
		struct blame *blame = blame_new(conf);
		for (size_t j = 0; j < 3; j++) {
			CU_ASSERT_EQUAL(orders_of(blame).left_out, 0);
			agent_ends(
			    blame, ours, ends[kinds[j]], (int64_t)j * pause, where);
			CU_ASSERT_STRING_EQUAL(where, "");
		}
		bool all = kinds[0] + kinds[1] + kinds[2] == 0 && pause == 30000;
		CU_ASSERT_EQUAL(orders_of(blame).left_out, all ? UINT64_MAX : 0);
		CU_ASSERT_EQUAL(orders_of(blame).nobody_knows, all);
		blame_free(blame);
	}
	conf_free(conf);
}

/* Whatever had happened before it, and wherever the plugin stands now. An end while the agent
 * turns, whose note may mean another check, is nobody's. */
static void
records_cross_a_reload(void)
{
	static const char moved[] =
	    "plugins = {\"three\", \"two\", \"one\"}\nthree \"b\" {}\none \"a\" {}\n";
	static const char *const texts[] = {
		"plugins = {\"one\", \"two\"}\none \"a\" { }\n",
		moved,
		"plugins = {\"two\"}\ntwo \"a\" { }\n",
	};
	static const uint32_t check[] = { 0, 1 };
	const uint64_t one_in_second = 4;
	char where[128];

	for (int ends = 0; ends <= 3; ends++)
		for (int way = 0; way < 3; way++) {
			struct conf *confs[] = { parse(texts[0]), parse(texts[1]),
				parse(texts[2]) };
			struct blame *blame = blame_new(confs[0]);
			struct blackbox_note note = { BLACKBOX_CHECK, check[0] };
			for (int i = 0; i < ends; i++)
				agent_ends(blame, note, &crash, i, where);
			blame_turn(blame, confs[1], way != 0);
			if (way == 1)
				blame_turned(blame);
			else if (way == 2)
				agent_ends(blame, note, &crash, 3, where);
			CU_ASSERT(way != 2 || where[0] == '\0');
			CU_ASSERT(way == 1 ||
			    orders_of(blame).left_out ==
				(ends == 3 ? one_in_second : 0));
			note.index = check[1];
			agent_ends(blame, note, &crash, 4, where);
			CU_ASSERT_STRING_EQUAL(
			    where, " in the plugin one, in the check a");
			CU_ASSERT_EQUAL(
			    orders_of(blame).left_out, ends >= 2 ? one_in_second : 0);
			blame_turn(blame, confs[2], false);
			CU_ASSERT_EQUAL(orders_of(blame).left_out, 0);
			blame_free(blame);
			for (size_t i = 0; i < ARRAY_LENGTH(confs); i++)
				conf_free(confs[i]);
		}
}

static const struct tap_case cases[] = {
	{ "every end in a check is known", every_end_in_a_check_is_known },
	{ "the thread that crashes is known", the_thread_that_crashes_is_known },
	{ "a reload changes what was noted", a_reload_changes_what_was_noted },
	{ "a thread without a stack is known", a_thread_without_a_stack_is_known },
	{ "a thread has its row as long as it needs it",
	    a_thread_has_its_row_as_long_as_it_needs_it },
	{ "the page cannot be taken away", the_page_cannot_be_taken_away },
	{ "without a page nothing is noted", without_a_page_nothing_is_noted },
	{ "the words name the check", the_words_name_the_check },
	{ "three within a minute are too many", three_within_a_minute_are_too_many },
	{ "lictor's own types are never left out",
	    lictors_own_types_are_never_left_out },
	{ "crashes of nobody leave all plugins out",
	    crashes_of_nobody_leave_all_plugins_out },
	{ "records cross a reload", records_cross_a_reload },
};

TAP_MAIN("blame", cases)
