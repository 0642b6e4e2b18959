/* SPDX-License-Identifier: ISC */
/*
 * An agent that somebody has taken over, on its two sockets: to the real warden and to the
 * real runner it says what it likes, bytes of no sense as well as orders that are almost
 * right, with descriptors where none belong. The rule: no address but the configured ones is
 * ever there, none longer than the lease; no command but the configured ones is run, with no
 * other words than those of a hook; and both live on. The seed is printed.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "agent/runner/child.h"
#include "agent/runner/runner.h"
#include "tests/unit/netns.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"
#include "tests/unit/warden_bed.h"

#define SEED_VARIABLE "LICTOR_TEST_SEED"
#define MARKS_VARIABLE "LICTOR_TEST_MARKS"
#define MESSAGES 4000
#define SHORT_LEASE_MS 2250
#define LIFETIME_LATE_MS 1500
#ifdef LICTOR_SANITIZED
#define GROWTH_KB (1024 * 1024UL) /* what is freed is kept for a while */
#else
#define GROWTH_KB 4096UL
#endif
#define LIVES 20 /* of agents of the runner */
#define WORDS 60 /* that each of those says */

/* ---- what is said ---- */

static unsigned int state;

static uint32_t
roll(uint32_t sides)
{
	return (uint32_t)rand_r(&state) % sides;
}

static void
roll_bytes(void *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((unsigned char *)out)[i] = (unsigned char)roll(256);
}

/* Mostly one that is near what there is. */
static uint32_t
roll_index(void)
{
	return roll(4) != 0 ? roll(6) : (uint32_t)rand_r(&state) * 2;
}

static int64_t
roll_until(void)
{
	static const int64_t ends[] = { INT64_MAX, INT64_MIN, -1, 0, 1 };
	uint32_t which = roll(10);

	return which < ARRAY_LENGTH(ends)
	    ? ends[which]
	    : clock_boot_ms() + (int64_t)roll(3 * SHORT_LEASE_MS) - 500;
}

static void
roll_body(struct wire_message *message, uint32_t instance)
{
	uint32_t from = roll(5) != 0 ? instance : (uint32_t)rand_r(&state);

	roll_bytes(&message->link, 128);
	if (message->type == WIRE_HOLD)
		message->hold = (struct wire_hold){ .order = roll(1000),
			.vip = roll_index(),
			.instance = from,
			.term = roll(100),
			.until_ms = roll_until(),
			.announce = roll(2),
			.fence = roll(4) != 0 ? WIRE_FENCE_LIFETIME : roll(5) };
	else if (message->type == WIRE_DROP)
		message->drop =
		    (struct wire_drop){ roll(1000), roll_index(), from, roll(50) };
	else if (message->type == WIRE_PROBE || message->type == WIRE_ANNOUNCE)
		message->probe = (struct wire_probe){ roll(1000), roll_index(), from };
	else if (message->type == WIRE_RUN)
		message->run = (struct wire_run){ .run = roll(40),
			.command = roll(3) != 0 ? roll(2) : roll_index(),
			.state = roll(4),
			.reason = roll(3) != 0 ? roll(40) : UINT32_MAX,
			.timeout_ms = roll(3) != 0 ? 2000 : roll_until(),
			.term = (uint64_t)rand_r(&state) << 33 };
	else if (message->type == WIRE_KILL)
		message->kill.run = roll(40);
}

/* As large as one of that type is, most of the time; in one of eight no message at all. */
static size_t
roll_message(struct wire_message *message, const uint32_t *likely, size_t count,
    uint64_t generation, uint32_t instance)
{
	static const size_t sizes[] = { 16, 24, 32, 40, 48, 56 };

	if (roll(8) == 0) {
		roll_bytes(message, sizeof(*message));
		return 1 + roll(sizeof(*message));
	}
	*message =
	    (struct wire_message){ .type = roll(6) != 0 ? likely[roll((uint32_t)count)]
							: roll(WIRE_TYPES + 1),
		    .generation = roll(12) != 0 ? generation : generation + 1 };
	roll_body(message, instance);
	switch (roll(12) != 0 ? message->type : 0) {
	case WIRE_HOLD: return 16 + sizeof(message->hold);
	case WIRE_DROP: return 16 + sizeof(message->drop);
	case WIRE_PROBE:
	case WIRE_ANNOUNCE: return 16 + sizeof(message->probe);
	case WIRE_RUN: return 16 + sizeof(message->run);
	case WIRE_KILL: return 16 + sizeof(message->kill);
	default: return sizes[roll(ARRAY_LENGTH(sizes))];
	}
}

/* False: the other side has closed, or takes nothing more. */
static bool
say(int fd, const void *bytes, size_t len, bool with_fds)
{
	union {
		char bytes[CMSG_SPACE(3 * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec part = { (void *)(uintptr_t)bytes, len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	const int fds[3] = { fd, fd, fd };

	if (with_fds) {
		size_t n = (1 + roll(3)) * sizeof(int);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(n);
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(n);
		memcpy(CMSG_DATA(head), fds, n);
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* What came is thrown away; false: the other side has closed. */
static bool
hear_out(int fd)
{
	char bytes[sizeof(struct wire_message)];
	ssize_t len;

	do {
		len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (len > 0);
	return len < 0;
}

static void
set_seed(void)
{
	const char *text = getenv(SEED_VARIABLE);

	if (text != NULL)
		state = (unsigned int)strtoul(text, NULL, 10);
	else if (getrandom(&state, sizeof(state), 0) != sizeof(state))
		abort();
	printf("# " SEED_VARIABLE "=%u\n", state);
}

/* ---- to the warden ---- */

static int
link_hostile(struct bed *bed)
{
	struct wire_message message = { .type = WIRE_LINK,
		.link = { ++bed->instance } };
	int fds[2];

	CU_ASSERT_FATAL(wire_pair(fds) == 0);
	wire_send(bed->runner, &message, fds[1]);
	close(fds[1]);
	return fds[0];
}

/* Of all that is on the host. */
static void
judge_addresses(void)
{
	char text[4096];

	CU_ASSERT(netns_ip(0, "-o addr show scope global", text, sizeof(text)));
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		bool known = *line == '\0';
		for (size_t i = 0; i < VIPS; i++)
			known = known || strstr(line, texts[i]) != NULL;
		CU_ASSERT(known);
	}
	for (unsigned int vip = 0; vip < VIPS; vip++)
		CU_ASSERT(!is_there(vip) ||
		    (lifetime(vip) >= 0 && lifetime(vip) * 1000 <= SHORT_LEASE_MS));
}

static void
test_warden(void)
{
	static const uint32_t likely[] = { WIRE_HOLD, WIRE_HOLD, WIRE_DROP, WIRE_PROBE,
		WIRE_ANNOUNCE };
	struct wire_message message;
	unsigned int links = 0;
	struct bed bed;
	int fd = -1;

	set_seed();
	bed_open(&bed);
	bed.conf.lease_ms = SHORT_LEASE_MS;
	bed_start(&bed);
	wire_free(bed.agent);
	bed.agent = NULL;
	for (size_t i = 0; i < MESSAGES; i++) {
		if (fd < 0 || !hear_out(fd)) {
			cleanup_close(&fd);
			fd = link_hostile(&bed);
			links++;
		}
		size_t len = roll_message(&message, likely, ARRAY_LENGTH(likely),
		    bed.generation, bed.instance);
		if (!say(fd, &message, len, roll(20) == 0))
			run_for(bed.loop, 1);
		if (i % 200 == 0) {
			run_for(bed.loop, 5);
			judge_addresses();
		}
	}
	int64_t last = clock_boot_ms();
	struct wire_message ping = { .type = WIRE_PING };
	bed.pongs = 0;
	wire_send(bed.runner, &ping, -1);
	CU_ASSERT(until(bed.loop, pong_came, &bed, LIMIT_MS));
	judge_addresses();
	for (unsigned int vip = 0; vip < VIPS; vip++)
		CU_ASSERT(await_there(&bed, vip, false));
	int64_t took = clock_boot_ms() - last;
	int64_t limit = SHORT_LEASE_MS + LIFETIME_LATE_MS + 2 * pace_late_ms(bed.pace);
	printf(
	    "# %u links; all addresses gone after %lld ms\n", links, (long long)took);
	CU_ASSERT(took <= limit);
	CU_ASSERT(links > 10);
	close(fd);
	bed_close(&bed);
}

/* Without a pause, and for one address always with the same end. */
static void
flood(int fd, uint64_t generation, uint32_t instance, int64_t until_ms)
{
	static const uint32_t types[] = { WIRE_HOLD, WIRE_HOLD, WIRE_PROBE,
		WIRE_ANNOUNCE };
	struct pollfd room = { .fd = fd, .events = POLLIN | POLLOUT };

	for (uint64_t order = 1;; order++) {
		struct wire_message message = { .type = types[order % 4],
			.generation = generation };
		if (message.type == WIRE_HOLD)
			message.hold = (struct wire_hold){ .order = order,
				.vip = order % 8 == 1 ? V6 : V4,
				.instance = instance,
				.term = order % 8 == 1 ? order : 1,
				.until_ms = until_ms,
				.announce = 1,
				.fence = fence_kind };
		else
			message.probe = (struct wire_probe){ order, V4, instance };
		size_t size = message.type == WIRE_HOLD ? sizeof(message.hold)
							: sizeof(message.probe);
		if (!say(fd, &message, 16 + size, false))
			poll(&room, 1, 10);
		if (!hear_out(fd))
			_exit(1);
	}
}

/* Of a process, in kB. */
static unsigned long
resident(pid_t pid)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/statm", (int)pid);
	AUTO_FCLOSE FILE *file = fopen(path, "re");
	char line[128] = "";

	CU_ASSERT(file != NULL && fgets(line, sizeof(line), file) != NULL);
	return strtoul(line + strcspn(line, " "), NULL, 10) *
	    (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* The end of a lease is kept, however much is asked meanwhile, and nothing grows of it. */
static void
test_flood(void)
{
	struct wire_message ping = { .type = WIRE_PING };
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	wire_free(bed.agent);
	bed.agent = NULL;
	int fd = link_hostile(&bed);
	run_for(bed.loop, 50);
	unsigned long before = resident(bed.pid);
	int64_t end = clock_boot_ms() + BRIEF_MS;
	forget_told(&bed);
	pid_t pid = fork();
	if (pid == 0)
		flood(fd, bed.generation, bed.instance, end);
	close(fd);
	CU_ASSERT(until(bed.loop, both_set, &bed, LIMIT_MS));
	CU_ASSERT(until(bed.loop, both_removed, &bed, LIMIT_MS));
	CU_ASSERT(ended_on_time(&bed, V4, end, LATE_MS));
	CU_ASSERT(ended_on_time(&bed, V6, end, LATE_MS));
	bed.pongs = 0;
	wire_send(bed.runner, &ping, -1);
	CU_ASSERT(until(bed.loop, pong_came, &bed, LIMIT_MS));
	unsigned long after = resident(bed.pid);
	printf("# the warden had %lu kB and has %lu kB\n", before, after);
	CU_ASSERT(after < before + GROWTH_KB);
	CU_ASSERT_EQUAL(waitpid(pid, NULL, WNOHANG), 0); /* its link was not cut */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	bed_close(&bed);
}

/* ---- to the runner ---- */

/* As the runner's agent: says what it likes, then ends; the last one asks for what is right. */
static int
hostile_main(void)
{
	static const uint32_t likely[] = { WIRE_RUN, WIRE_RUN, WIRE_RUN, WIRE_KILL,
		WIRE_PONG };
	char error[CONF_ERROR_MAX];
	const struct conf *conf = conf_parse(conf_receive(CHILD_FD_CONF, error), error);
	AUTO_FREE char *lives = xasprintf("%s.lives", getenv(MARKS_VARIABLE));
	struct wire_message message;
	struct stat st;
	int fd = open(lives, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (write(fd, "x", 1) != 1 || fstat(fd, &st) != 0)
		return 9;
	state = (unsigned int)strtoul(getenv(SEED_VARIABLE), NULL, 10) +
	    (unsigned int)st.st_size;
	for (size_t i = 0; i < WORDS && st.st_size <= LIVES; i++) {
		size_t len = roll_message(
		    &message, likely, ARRAY_LENGTH(likely), conf->generation, 1);
		if (!hear_out(CHILD_FD_RUNNER) ||
		    !say(CHILD_FD_RUNNER, &message, len, roll(40) == 0))
			return 0;
		poll(NULL, 0, 1);
	}
	if (st.st_size <= LIVES)
		return 0;
	message = (struct wire_message){ .type = WIRE_RUN,
		.generation = conf->generation,
		.run = { .run = 7, .command = 0, .timeout_ms = LIMIT_MS } };
	say(CHILD_FD_RUNNER, &message, 16 + sizeof(message.run), false);
	struct pollfd more = { .fd = CHILD_FD_RUNNER, .events = POLLIN };
	while (poll(&more, 1, LIMIT_MS) == 1 &&
	    recv(CHILD_FD_RUNNER, &message, sizeof(message), 0) > 0 &&
	    message.type != WIRE_STOP)
		if (message.type == WIRE_EXITED && message.exited.run == 7 &&
		    message.exited.how == WIRE_EXIT_CODE &&
		    write(fd, "x", 1) != 1) /* it still does what it is for */
			return 9;
	return 0;
}

static struct conf *
make_commands(const char *marks)
{
	AUTO_FREE char *text = xasprintf(
	    "script \"one\" { command = {\"/bin/sh\", \"-c\", 'echo check \"$@\" >> "
	    "%s', "
	    "\"x\"} }\n"
	    "service \"web\" { script \"two\" { command = {\"/bin/true\"} } }\n"
	    "role \"db\" { services = {\"web\"} hooks { promote = {\"/bin/sh\", "
	    "\"-c\", "
	    "'echo hook \"$@\" >> %s', \"x\"} } }\n",
	    marks, marks);
	const char *service = strstr(text, "service");
	char error[CONF_ERROR_MAX] = "";
	struct bundle_file files[] = { { "environment", "", 0 },
		{ "lictor.conf", text, (size_t)(service - text) },
		{ "a.conf", service, strlen(service) } };
	struct conf *conf = conf_parse(bundle_new(files, 3), error);

	if (conf == NULL)
		printf("# %s\n", error);
	return conf;
}

/* "check", or "hook" with a role, a state, a reason of words and a number: and no more. */
static bool
is_mark(const char *line)
{
	static const char *const states[] = { "hook db master ", "hook db backup " };

	if (strcmp(line, "check ") == 0 || strcmp(line, "check") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(states); i++) {
		if (strncmp(line, states[i], strlen(states[i])) != 0)
			continue;
		const char *reason = line + strlen(states[i]);
		size_t len = strspn(reason, "abcdefghijklmnopqrstuvwxyz-");
		return len > 0 && reason[len] == ' ' &&
		    strspn(reason + len + 1, "0123456789") == strlen(reason + len + 1);
	}
	return false;
}

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void
judge_marks(const char *marks)
{
	char text[65536];
	int fd = open(marks, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, text, sizeof(text) - 1);
	char *rest = text;
	size_t count = 0;

	close(fd);
	CU_ASSERT_FATAL(len >= 0);
	text[len] = '\0';
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		bool good = *line == '\0' || is_mark(line);
		CU_ASSERT(good);
		if (!good)
			printf("# \"%s\" was run\n", line);
		count++;
	}
	printf("# %zu commands were run\n", count - 1);
}

static void
make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	CU_ASSERT_FATAL(fd >= 0 && fchmod(fd, 0666) == 0);
	close(fd);
}

static void
test_runner(void)
{
	char folder[] = "/tmp/lictor-test-XXXXXX";

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	CU_ASSERT_EQUAL(chmod(folder, 0755), 0);
	AUTO_FREE char *marks = xasprintf("%s/marks", folder);
	AUTO_FREE char *lives = xasprintf("%s/marks.lives", folder);
	AUTO_FREE char *run = xasprintf("%s/run", folder);
	AUTO_FREE char *place = xasprintf("%s/state", folder);
	set_seed();
	AUTO_FREE char *seed = xasprintf("%u", state);
	setenv(SEED_VARIABLE, seed, 1);
	setenv(MARKS_VARIABLE, marks, 1);
	setenv("RUNTIME_DIRECTORY", run, 1);
	setenv("STATE_DIRECTORY", place, 1);
	make_file(marks);
	make_file(lives);
	struct conf *conf = make_commands(marks);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	pid_t pid = fork();
	if (pid == 0) {
		struct runner_options options = { .folder = folder, .may_hold = true };
		_exit(runner_main(conf, &options));
	}
	int64_t end = clock_boot_ms() + LIMIT_MS;
	while (size_of(lives) < LIVES + 2 && clock_boot_ms() < end)
		poll(NULL, 0, 10);
	CU_ASSERT_EQUAL(size_of(lives), LIVES + 2);
	int status = -1;
	CU_ASSERT_EQUAL(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	judge_marks(marks);
	conf_free(conf);
	pid = fork();
	if (pid == 0)
		execlp("rm", "rm", "-rf", folder, (char *)NULL);
	waitpid(pid, NULL, 0);
}

static const struct tap_case cases[] = {
	{ "to the runner it can say what it likes", test_runner },
	{ "to the warden an agent can say what it likes", test_warden },
	{ "and as much as it likes", test_flood },
};

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--" CHILD_OPTION) == 0 ||
		    strncmp(
			argv[i], "--" CHILD_OPTION "=", sizeof("--" CHILD_OPTION)) == 0)
			_exit(hostile_main());
	if (!bed_enter())
		return 0;
	return tap_main(argc, argv, "wall", cases, ARRAY_LENGTH(cases));
}
