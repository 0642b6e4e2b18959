/* SPDX-License-Identifier: ISC */
/*
 * Work in other threads: the workers themselves, the runs that order it (check_work), and
 * the types of check that look at files and processes with it, on a real file system and a
 * real /proc, with options that came through the configuration.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/worker.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "checks/check.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 10000
#define MANY 200

/* --- workers --- */

struct job {
	pthread_mutex_t *gate; /* NULL: none */
	unsigned int worked, *done;
};

static void
work(void *arg)
{
	struct job *job = arg;

	if (job->gate != NULL) {
		pthread_mutex_lock(job->gate);
		pthread_mutex_unlock(job->gate);
	}
	job->worked++;
}

static void
done(void *arg)
{
	struct job *job = arg;

	++*job->done;
}

static bool
all_done(void *arg)
{
	return *(unsigned int *)arg == MANY;
}

static void
every_order_is_done_once(void)
{
	struct loop *loop = loop_new();
	struct workers *workers = workers_new(loop);
	struct job jobs[MANY];
	unsigned int count = 0;

	for (size_t i = 0; i < MANY; i++) {
		jobs[i] = (struct job){ .done = &count };
		workers_start(workers, work, done, &jobs[i]);
	}
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT(until(loop, all_done, &count, LIMIT_MS));
	for (size_t i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(jobs[i].worked, 1);
	CU_ASSERT(workers_free(workers));
	loop_free(loop);
}

static bool
one_done(void *arg)
{
	return *(unsigned int *)arg > 0;
}

/* Those that hang take a thread each, the next one still has its own. */
static void
what_hangs_holds_up_nobody(void)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct loop *loop = loop_new();
	struct workers *workers = workers_new(loop);
	struct job hanging[10], quick;
	unsigned int hung = 0, count = 0;

	pthread_mutex_lock(&gate);
	for (size_t i = 0; i < ARRAY_LENGTH(hanging); i++) {
		hanging[i] = (struct job){ .gate = &gate, .done = &hung };
		workers_start(workers, work, done, &hanging[i]);
	}
	quick = (struct job){ .done = &count };
	workers_start(workers, work, done, &quick);
	CU_ASSERT(until(loop, one_done, &count, LIMIT_MS));
	CU_ASSERT_EQUAL(hung, 0);
	pthread_mutex_unlock(&gate);
	CU_ASSERT(workers_free(workers));
	CU_ASSERT_EQUAL(hung, 0); /* nobody is told after that */
	loop_free(loop);
}

/* --- runs --- */

struct bench {
	struct loop *loop;
	struct runs *runs;
	struct conf *conf;
	unsigned int ended;
	enum check_status status;
	enum check_reason reason;
	char text[512];
	struct run_metric metric; /* the last one */
	size_t n_metrics;
};

static void
on_done(void *owner, const struct run_outcome *outcome)
{
	struct bench *b = owner;

	b->ended++;
	b->status = outcome->status;
	b->reason = outcome->reason;
	str_copy(b->text, sizeof(b->text), outcome->text);
	b->n_metrics = outcome->n_metrics;
	if (outcome->n_metrics > 0)
		b->metric = outcome->metrics[outcome->n_metrics - 1];
}

static void
bench_init(struct bench *b, const char *checks)
{
	static const struct runs_out out = { .done = on_done };
	const struct bundle_file files[] = {
		{ "environment", "", 0 },
		{ "lictor.conf", checks, strlen(checks) },
	};
	struct run_servants servants = { .loop = loop_new() };
	char error[CONF_ERROR_MAX] = "";

	*b = (struct bench){ .loop = servants.loop };
	b->runs = runs_new(&servants, &out);
	b->conf = conf_parse(bundle_new(files, ARRAY_LENGTH(files)), error);
	CU_ASSERT_STRING_EQUAL(error, "");
}

static bool
has_ended(void *arg)
{
	return ((struct bench *)arg)->ended > 0;
}

static void
bench_clear(struct bench *b)
{
	CU_ASSERT(runs_free(b->runs));
	loop_free(b->loop);
	conf_free(b->conf);
}

/* What one run of the only check of a configuration comes to. */
static void
try(const char *checks, enum check_status status, enum check_reason reason,
    const char *text)
{
	struct bench b;

	bench_init(&b, checks);
	if (b.conf == NULL)
		return;
	struct check_run *run = run_new(b.runs, b.conf->checks[0], LIMIT_MS, &b);
	run_begin(run);
	CU_ASSERT(until(b.loop, has_ended, &b, LIMIT_MS));
	if (b.status != status || b.reason != reason || strcmp(b.text, text) != 0) {
		printf("# %s\n# is %s, %s: %s\n", checks, check_status_name(b.status),
		    check_reason_name(b.reason), b.text);
		CU_FAIL("another outcome");
	}
	CU_ASSERT_EQUAL(b.ended, 1);
	bench_clear(&b);
}

/* A class whose work waits for a gate. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int in_work, works;

static void
slow_work(const void *conf, void *state)
{
	__atomic_add_fetch(&in_work, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&works, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	*(unsigned int *)state = 7;
	__atomic_sub_fetch(&in_work, 1, __ATOMIC_SEQ_CST);
}

static void
slow_worked(struct check_run *run)
{
	const unsigned int *state = check_state(run);

	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "%u", *state);
}

static void
slow_start(struct check_run *run)
{
	check_work(run, slow_work, slow_worked);
}

static bool
is_in_work(void *arg)
{
	return __atomic_load_n(&in_work, __ATOMIC_SEQ_CST) > 0;
}

/* Of a check that hangs only one thread ever works; a run that was cancelled says nothing,
 * one that was not gets its answer when the one before has let go. */
static void
runs_of_a_check_take_turns(void)
{
	static const struct check_class class = {
		.name = "slow", .run_size = sizeof(unsigned int), .start = slow_start
	};
	struct conf_check check = { .class = &class };
	struct bench b;

	works = 0;
	bench_init(&b, "");
	pthread_mutex_lock(&gate);
	struct check_run *run = run_new(b.runs, &check, 100, &b);
	run_begin(run);
	CU_ASSERT(until(b.loop, is_in_work, NULL, LIMIT_MS));
	run_cancel(run);
	for (int i = 0; i < 3; i++) {
		run = run_new(b.runs, &check, 100, &b);
		run_begin(run);
		if (i < 2)
			run_cancel(run);
	}
	CU_ASSERT_EQUAL(__atomic_load_n(&works, __ATOMIC_SEQ_CST), 1);
	pthread_mutex_unlock(&gate);
	CU_ASSERT(until(b.loop, has_ended, &b, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(b.text, "7");
	CU_ASSERT_EQUAL(b.ended, 1);
	CU_ASSERT_EQUAL(works, 2);
	bench_clear(&b);
}

/* --- what a type says --- */

struct said {
	int status, reason;
};

static void
say(struct check_run *run)
{
	const struct said *said = check_conf(run);

	check_done(run, (enum check_status)said->status,
	    (enum check_reason)said->reason, "said");
}

/* Whatever its numbers are, the outcome is one that has words. */
static void
an_outcome_that_there_is_not_is_unknown(void)
{
	static const struct check_class class = { .name = "odd", .start = say };
	static const int odd[] = { INT_MIN, -1, 99, INT_MAX };
	struct said said;
	struct conf_check check = { .class = &class, .options = &said };
	struct bench b;

	bench_init(&b, "");
	for (int i = 0; i <= CHECK_UNKNOWN + 1 + 4; i++)
		for (int j = 0; j <= CHECK_REASONS + 4; j++) {
			bool there = i <= CHECK_UNKNOWN && j < CHECK_REASONS;
			int more = i - CHECK_UNKNOWN - 2,
			    beyond = j - CHECK_REASONS - 1;
			said.status = more >= 0 ? odd[more] : i;
			said.reason = beyond >= 0 ? odd[beyond] : j;
			run_begin(run_new(b.runs, &check, 100, &b));
			CU_ASSERT_EQUAL((int)b.status, there ? i : CHECK_UNKNOWN);
			CU_ASSERT_EQUAL((int)b.reason, there ? j : CHECK_REASON_LOCAL);
			CU_ASSERT_EQUAL(strcmp(b.text, "said") == 0, there);
		}
	CU_ASSERT_PTR_NOT_NULL(strstr(b.text, "the type of check odd gave the status"));
	bench_clear(&b);
}

static void
measure(struct check_run *run)
{
	static const double values[] = { 1.5, NAN, INFINITY, -INFINITY, 2.5, -NAN };

	for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
		check_metric(run, "a\033b", values[i], "\n");
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "measured");
}

/* JSON has no word for the others. */
static void
figures_are_finite_and_printable(void)
{
	static const struct check_class class = { .name = "meter", .start = measure };
	struct conf_check check = { .class = &class };
	struct bench b;

	bench_init(&b, "");
	run_begin(run_new(b.runs, &check, 100, &b));
	CU_ASSERT_EQUAL(b.n_metrics, 2);
	CU_ASSERT_EQUAL(b.metric.value, 2.5);
	CU_ASSERT_STRING_EQUAL(b.metric.name, "a\\x1bb");
	CU_ASSERT_STRING_EQUAL(b.metric.unit, "\\n");
	bench_clear(&b);
}

/* --- files --- */

static void
write_file(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void
make_old(const char *path, int seconds)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };

	clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_sec -= seconds;
	CU_ASSERT_EQUAL(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
files(void)
{
	enum check_status good = CHECK_PASSING, bad = CHECK_CRITICAL;
	enum check_reason ok = CHECK_REASON_OK, condition = CHECK_REASON_STATE,
			  body = CHECK_REASON_BODY;
	char folder[] = "/tmp/test_work.XXXXXX";
	CU_ASSERT_PTR_NOT_NULL(mkdtemp(folder));
	CU_ASSERT_EQUAL(chdir(folder), 0);
	unlink("/tmp/test_work");
	CU_ASSERT_EQUAL(symlink(folder, "/tmp/test_work"), 0);
	write_file("mark", "job 17: done\n");
	make_old("mark", 50);
	mkfifo("pipe", 0600);
#define FILE_CHECK(rest) "file \"f\" { path = \"/tmp/test_work/" rest " }"
	try(FILE_CHECK("mark\""), good, ok, "/tmp/test_work/mark is there");
	try(FILE_CHECK("mark\" fresh = 1m"), good, ok, "/tmp/test_work/mark is fresh");
	try(FILE_CHECK("mark\" fresh = 40s"), bad, condition,
	    "/tmp/test_work/mark was not written within the last 40s");
	try(FILE_CHECK("mark\" contains = '^job \\d+: done$'"), good, ok,
	    "/tmp/test_work/mark is as expected");
	try(FILE_CHECK("mark\" contains = 'failed'"), bad, body,
	    "/tmp/test_work/mark does not contain what is expected");
	try(FILE_CHECK("none\""), bad, condition,
	    "/tmp/test_work/none cannot be found: No such file or directory");
	try(FILE_CHECK("\" fresh = 1h"), good, ok, "/tmp/test_work/ is fresh");
	try(FILE_CHECK("pipe\" contains = 'x'"), bad, condition,
	    "/tmp/test_work/pipe is no regular file, so it contains nothing");
	/* who may not look knows nothing */
	CU_ASSERT_EQUAL(chmod("mark", 0), 0);
	bool root = geteuid() == 0 && seteuid(65534) == 0;
	try(FILE_CHECK("mark\" contains = 'x'"), CHECK_UNKNOWN, CHECK_REASON_LOCAL,
	    root ? "/tmp/test_work/mark cannot be found: Permission denied"
		 : "/tmp/test_work/mark cannot be read: Permission denied");
	CU_ASSERT(!root || seteuid(0) == 0);
	unlink("mark");
	unlink("pipe");
	unlink("/tmp/test_work");
	CU_ASSERT_EQUAL(chdir("/"), 0);
	rmdir(folder);
}

/* --- processes --- */

static pid_t
start_process(const char *name)
{
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, name);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	AUTO_FREE char *path = xasprintf("/proc/%d/comm", (int)pid);
	char comm[32] = "";
	for (int i = 0; i < LIMIT_MS && strncmp(comm, name, 15) != 0; i++) {
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
		CU_ASSERT(read(fd, comm, sizeof(comm) - 1) > 0);
	}
	return pid;
}

static void
processes(void)
{
	enum check_status good = CHECK_PASSING, bad = CHECK_CRITICAL;
	enum check_reason ok = CHECK_REASON_OK, condition = CHECK_REASON_STATE;
	pid_t one = start_process("lictor-probe");
	AUTO_FREE char *number = xasprintf("  %d\n", (int)one);
	static const char pid_file[] = "/tmp/test_work.pid";

	try("process \"p\" { name = \"lictor-probe\" }", good, ok, "lictor-probe runs");
	try("process \"p\" { name = \"lictor-prob\" }", bad, condition,
	    "lictor-prob does not run");
	try("process \"p\" { name = \"lictor-probe\" minimum = 2 }", bad, condition,
	    "fewer than 2 processes of lictor-probe run");
	pid_t two = start_process("lictor-probe");
	try("process \"p\" { name = \"lictor-probe\" minimum = 2 }", good, ok,
	    "lictor-probe runs");
	try("process \"p\" { name = \"test_work\" }", good, ok, "test_work runs");
	write_file(pid_file, number);
	try("process \"p\" { pid-file = \"/tmp/test_work.pid\" }", good, ok,
	    "/tmp/test_work.pid runs");
	try("process \"p\" { pid-file = \"/tmp/test_work.pid\" name = \"lictor-probe\" "
	    "}",
	    good, ok, "lictor-probe runs");
	try("process \"p\" { pid-file = \"/tmp/test_work.pid\" name = \"other\" }", bad,
	    condition, "other does not run");
	kill(one, SIGKILL);
	siginfo_t info;
	CU_ASSERT_EQUAL(waitid(P_PID, (id_t)one, &info, WEXITED | WNOWAIT), 0);
	try("process \"p\" { pid-file = \"/tmp/test_work.pid\" }", bad, condition,
	    "/tmp/test_work.pid does not run"); /* a zombie */
	waitpid(one, NULL, 0);
	try("process \"p\" { pid-file = \"/tmp/test_work.pid\" }", bad, condition,
	    "/tmp/test_work.pid does not run");
	write_file(pid_file, "../1");
	try("process \"p\" { pid-file = \"/tmp/test_work.pid\" }", bad, condition,
	    "/tmp/test_work.pid does not hold the number of a process");
	unlink(pid_file);
	try("process \"p\" { pid-file = \"/tmp/test_work.pid\" }", bad, condition,
	    "there is no /tmp/test_work.pid");
	kill(two, SIGKILL);
	waitpid(two, NULL, 0);
}

/* A real systemd is asked in tests/net; here there is none. */
static void
units(void)
{
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	try("unit \"u\" { unit = \"cron.service\" }", CHECK_UNKNOWN, CHECK_REASON_LOCAL,
	    "cron.service: systemd cannot be asked: No such file or directory");
}

static const struct tap_case cases[] = {
	{ "every order is done once", every_order_is_done_once },
	{ "what hangs holds up nobody", what_hangs_holds_up_nobody },
	{ "the runs of one check take turns", runs_of_a_check_take_turns },
	{ "an outcome that there is not is unknown",
	    an_outcome_that_there_is_not_is_unknown },
	{ "figures are finite and printable", figures_are_finite_and_printable },
	{ "file looks at files", files },
	{ "process looks at processes", processes },
	{ "unit says that there is no systemd", units },
};
TAP_MAIN("work", cases)
