/* SPDX-License-Identifier: ISC */
/*
 * An upgrade in place, of this very program: as the binary that is tried (-t) it says what the
 * test wants it to, as the successor it looks at what it was handed. What a start believes of
 * its environment is tried with everything that may stand there.
 */
#include "agent/runner/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define SAYS "LICTOR_TEST_SAYS"
#define HEIR "LICTOR_TEST_HEIR"
#define LIMIT_MS 20000

static const char *const no_debug[] = { NULL };

/* ---- the binary that is tried ---- */

static int
act_as_tried(const char *says)
{
	for (int i = 0; strcmp(says, "much") == 0 && i < 2000; i++)
		fputs("warning: it will not go well on this host\n", stderr);
	if (strcmp(says, "good") == 0 || strcmp(says, "much") == 0)
		puts("configuration ok: 1 service");
	else if (strcmp(says, "bad") == 0)
		fputs("db.conf:7: nonsense\nmore\n", stderr);
	else if (strcmp(says, "dies") == 0)
		raise(SIGKILL);
	return strcmp(says, "bad") == 0 ? 1 : 0;
}

struct bed {
	struct loop *loop;
	struct upgrade *upgrade;
	unsigned int due, answers;
	bool ok;
	char why[512];
	bool begins; /* as soon as it is due */
};

static void
on_due(void *arg)
{
	struct bed *bed = arg;

	bed->due++;
	if (bed->begins)
		upgrade_begin(bed->upgrade);
	loop_stop(bed->loop);
}

static void
on_answer(void *arg, uint64_t request, bool ok, const char *why)
{
	struct bed *bed = arg;

	CU_ASSERT(request == 7 || request == 8);
	bed->answers++;
	bed->ok = ok;
	str_copy(bed->why, sizeof(bed->why), why);
	loop_stop(bed->loop);
}

static void
set_up(struct bed *bed)
{
	*bed = (struct bed){ .loop = loop_new() };
	bed->upgrade = upgrade_new(bed->loop, "/nowhere", no_debug,
	    &(struct upgrade_out){ on_due, on_answer, bed });
}

static void
tear_down(struct bed *bed)
{
	upgrade_free(bed->upgrade);
	loop_free(bed->loop);
}

static void
on_time(void *arg)
{
	CU_FAIL("nothing came of it");
	loop_stop(arg);
}

static void
run(struct bed *bed)
{
	struct loop_timer *limit = loop_timer_new(bed->loop, on_time, bed->loop);

	loop_timer_after(limit, LIMIT_MS);
	loop_run(bed->loop);
	loop_timer_free(limit);
}

static void
test_tried(void)
{
	static const struct {
		const char *says, *why;
	} rows[] = {
		{ "bad", "-t ends with status 1: db.conf:7: nonsense" },
		{ "nothing", "is no lictord" },
		{ "dies", "-t was killed by signal 9" },
	};
	struct bed bed;

	set_up(&bed);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		setenv(SAYS, rows[i].says, 1);
		upgrade_ask(bed.upgrade, 7);
		run(&bed);
		CU_ASSERT(bed.answers == i + 1 && !bed.ok && bed.due == 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(bed.why, rows[i].why));
		CU_ASSERT_PTR_NULL(strstr(bed.why, "more"));
	}
	upgrade_nudge(bed.upgrade);
	bed.begins = true;
	setenv(SAYS, "good", 1);
	upgrade_ask(bed.upgrade, 7);
	upgrade_ask(bed.upgrade, 8);
	run(&bed);
	CU_ASSERT(bed.due == 1 && bed.answers == ARRAY_LENGTH(rows) + 2 && bed.ok);
	tear_down(&bed);
	upgrade_free(NULL);
}

/* A warning for each address, and there are many. */
static void
test_warned(void)
{
	struct bed bed;

	set_up(&bed);
	setenv(SAYS, "much", 1);
	upgrade_ask(bed.upgrade, 7);
	run(&bed);
	CU_ASSERT(bed.due == 1 && bed.answers == 0);
	tear_down(&bed);
}

/* Asked again until it begins, and not after that. */
static void
test_nudged(void)
{
	struct bed bed;

	set_up(&bed);
	setenv(SAYS, "good", 1);
	upgrade_ask(bed.upgrade, 0);
	for (unsigned int i = 1; i <= 3; i++) {
		bed.begins = i == 3;
		run(&bed);
		CU_ASSERT_EQUAL(bed.due, i);
		upgrade_nudge(bed.upgrade);
	}
	loop_stop(bed.loop);
	loop_run(bed.loop);
	CU_ASSERT_EQUAL(bed.due, 3);
	tear_down(&bed);
}

/* What has passed and waits for its turn is not what is there by then. */
static void
test_newer(void)
{
	struct bed bed;
	struct stat st;

	set_up(&bed);
	setenv(SAYS, "good", 1);
	upgrade_ask(bed.upgrade, 7);
	run(&bed);
	CU_ASSERT(bed.due == 1 && bed.answers == 0);
	setenv(SAYS, "bad", 1);
	upgrade_ask(bed.upgrade, 8);
	upgrade_nudge(bed.upgrade);
	run(&bed);
	CU_ASSERT(bed.due == 2 && bed.answers == 0);
	CU_ASSERT_EQUAL(stat("/proc/self/exe", &st), 0);
	CU_ASSERT_EQUAL(chmod("/proc/self/exe", st.st_mode & 07777), 0);
	upgrade_ask(bed.upgrade, 8);
	upgrade_nudge(bed.upgrade);
	run(&bed);
	CU_ASSERT(bed.due == 2 && bed.answers == 3 && !bed.ok);
	tear_down(&bed);
}

/* ---- the successor ---- */

static bool
is_locked(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static bool
is_pending(int signum)
{
	sigset_t set;

	return sigpending(&set) == 0 && sigismember(&set, signum) == 1;
}

/* 0, or the number of what is not as it should be. */
static int
act_as_heir(const char *lock, int argc, char **argv)
{
	static const char *const options[] = { "-c", "/nowhere", "-d", "role" };
	struct upgrade_kept kept;

	if (argc != 5)
		return 2;
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], options[i - 1]) != 0)
			return 3;
	if (!upgrade_take(&kept) || getenv("LICTOR_UPGRADE") != NULL)
		return 4;
	if (!is_pending(SIGTERM) || !is_pending(SIGHUP))
		return 5;
	if (!is_locked(lock) || flock(kept.lock_fd, LOCK_EX | LOCK_NB) != 0)
		return 6;
	if (fcntl(kept.control_fd + 1, F_GETFD) >= 0)
		return 7;
	AUTO_CLOSE int client = accept(kept.control_fd, NULL, NULL);
	return client >= 0 && fcntl(kept.lock_fd, F_GETFD) == FD_CLOEXEC &&
		fcntl(kept.control_fd, F_GETFD) == FD_CLOEXEC
	    ? 0
	    : 8;
}

static int
listen_anywhere(struct sockaddr_un *address, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*len = sizeof(*address);
	if (bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)) != 0 ||
	    listen(fd, 4) != 0 || getsockname(fd, (struct sockaddr *)address, len) != 0)
		_exit(90);
	return fd;
}

/* In a child: an earlier version, with a client that waits and signals that come late. */
static _Noreturn void
act_as_old(const char *lock)
{
	static const char *const debug[] = { "role", NULL };
	struct bed bed = { .loop = loop_new() };
	struct sockaddr_un address;
	socklen_t len;
	struct upgrade_kept kept = { open(lock, O_RDWR | O_CLOEXEC), -1 };
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	kept.control_fd = listen_anywhere(&address, &len);
	if (flock(kept.lock_fd, LOCK_EX | LOCK_NB) != 0 ||
	    connect(client, (struct sockaddr *)&address, len) != 0)
		_exit(91);
	bed.begins = true;
	bed.upgrade = upgrade_new(bed.loop, "/nowhere", debug,
	    &(struct upgrade_out){ on_due, on_answer, &bed });
	setenv(SAYS, "good", 1);
	upgrade_ask(bed.upgrade, 0);
	run(&bed);
	setenv(HEIR, lock, 1);
	upgrade_hold_signals(true);
	raise(SIGTERM);
	raise(SIGHUP);
	upgrade_exec(bed.upgrade, &kept);
	_exit(92);
}

static void
test_executed(void)
{
	char lock[] = "/tmp/lictor-test-XXXXXX";
	int status = -1, fd = mkstemp(lock);

	CU_ASSERT_FATAL(fd >= 0);
	close(fd);
	pid_t pid = fork();
	if (pid == 0)
		act_as_old(lock);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
	if (status != 0)
		printf("# it says %d\n", WEXITSTATUS(status));
	unlink(lock);
}

/* ---- what stands in the environment ---- */

/* In a child, which has two descriptors: `%p` is its id, `%l` of a listening socket, `%f` of a
 * file. */
static bool
believes(const char *form)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct sockaddr_un address;
		socklen_t len;
		struct upgrade_kept kept = { 9, 9 };
		int socket_fd = listen_anywhere(&address, &len);
		int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
		char text[128] = "";

		for (const char *at = form; *at != '\0'; at++) {
			size_t used = strlen(text);
			int number = at[1] == 'p' ? (int)getpid()
			    : at[1] == 'l'        ? socket_fd
						  : file;
			if (*at == '%')
				snprintf(
				    text + used, sizeof(text) - used, "%d", number);
			else
				snprintf(text + used, sizeof(text) - used, "%c", *at);
			at += *at == '%';
		}
		setenv("LICTOR_UPGRADE", text, 1);
		bool taken = upgrade_take(&kept);
		bool closed = fcntl(socket_fd, F_GETFD) < 0 || taken;
		bool told = taken ? kept.lock_fd >= 0 && kept.control_fd >= 0
				  : kept.lock_fd == -1 && kept.control_fd == -1;
		_exit(closed && told ? taken : 2);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void
test_environment(void)
{
	static const char *const wrong[] = { "", "x", "%p", "%p %f", "1 %f %l",
		"%p %l %f", "%p %f 900", "%p 900 %l", "%p -1 %l", "%p %f -1", "%p x %l",
		"%p %f 99999999999", "-%p %f %l" };

	CU_ASSERT(believes("%p %f %l"));
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		CU_ASSERT_FALSE(believes(wrong[i]));
}

static const struct tap_case cases[] = {
	{ "only a binary that says so is good", test_tried },
	{ "and it is, however much it warns of", test_warned },
	{ "it waits for its turn", test_nudged },
	{ "a newer one is tried in its place", test_newer },
	{ "the successor has what it needs", test_executed },
	{ "the environment is not believed lightly", test_environment },
};

int
main(int argc, char **argv)
{
	const char *says = getenv(SAYS), *heir = getenv(HEIR);

	if (argc > 1 && strcmp(argv[1], "-t") == 0 && says != NULL)
		return act_as_tried(says);
	if (heir != NULL)
		return act_as_heir(heir, argc, argv);
	return tap_main(argc, argv, "upgrade", cases, ARRAY_LENGTH(cases));
}
