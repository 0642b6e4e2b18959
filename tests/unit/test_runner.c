/* SPDX-License-Identifier: ISC */
/*
 * The real runner, which starts this very program again as its agent and its warden:
 * puppets, which tell the test over a socket what they hear from the runner and say to it
 * what the test wants said.
 */
#include "agent/runner/runner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/runner/child.h"
#include "tests/unit/tap.h"

#define SOCKET_VARIABLE "LICTOR_TEST_SOCKET"
#define FENCE_VARIABLE "LICTOR_TEST_FENCE" /* set: a warden says nothing of its fence */
#define PAUSE_MS 100 /* before one that died early is started again */
#define LIMIT_MS 20000 /* for what must come; no test waits so long unless it fails */

/* What the test says beside the wire's own types. */
#define SHORT_LIFE_MS 1000 /* process.c */

enum { SAY_DEAF = 1000, SAY_EXIT, SAY_CROSS };

/* What a puppet tells: its start (type 0), then each message that it hears. */
struct told {
	enum wire_process kind;
	pid_t pid;
	uint64_t generation; /* that it runs */
	bool fd_works;
	struct wire_message message;
};

/* ---- the puppet ---- */

struct puppet {
	enum wire_process kind;
	struct wire *runner;
	struct loop *loop;
	int test_fd;
	uint64_t generation;
	bool deaf;
	bool crosses; /* it asks for its first command just before it turns */
};

static void
tell(struct puppet *puppet, const struct wire_message *message, bool fd_works)
{
	struct told told = { .kind = puppet->kind,
		.pid = getpid(),
		.generation = puppet->generation,
		.fd_works = fd_works };

	if (message != NULL)
		told.message = *message;
	if (send(puppet->test_fd, &told, sizeof(told), MSG_NOSIGNAL) < 0)
		_exit(9);
}

/* The two puppets say a word to each other over the link. */
static bool
try_link(int fd)
{
	struct pollfd word = { .fd = fd, .events = POLLIN };
	char byte = 'x';

	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && poll(&word, 1, LIMIT_MS) == 1 &&
	    recv(fd, &byte, 1, 0) == 1;
}

/* A configuration came, the one that was promised. */
static bool
try_conf(int fd, uint64_t next)
{
	char error[CONF_ERROR_MAX];
	struct conf_bundle *bundle = conf_receive(fd, error);
	struct conf *conf = bundle == NULL ? NULL : conf_parse(bundle, error);
	bool works = conf != NULL && conf->generation == next;

	conf_free(conf);
	return works;
}

static void
puppet_turns(struct puppet *puppet, uint64_t next)
{
	struct wire_message order = { .type = WIRE_RUN,
		.run = { .run = 4, .command = 0, .timeout_ms = LIMIT_MS } };

	if (puppet->crosses)
		wire_send(puppet->runner, &order, -1);
	puppet->generation = next;
	wire_turn(puppet->runner, next);
}

/* What it is asked for it has, unless the test speaks for it. */
static void
puppet_has_fence(struct puppet *puppet, const struct wire_fence_kind *asked)
{
	struct wire_message message = { .type = WIRE_FENCED,
		.fenced = {
		    .kind = asked->fixed != 0 ? asked->kind : WIRE_FENCE_LIFETIME,
		    .ok = 1 } };

	if (puppet->kind == WIRE_WARDEN && getenv(FENCE_VARIABLE) == NULL)
		wire_send(puppet->runner, &message, -1);
}

static void
puppet_hears(void *arg, const struct wire_message *message, int fd)
{
	struct puppet *puppet = arg;
	struct wire_message pong = { .type = WIRE_PONG };
	bool works = message->type == WIRE_LINK && try_link(fd);

	if (message->type == WIRE_PREPARE)
		works = try_conf(fd, message->prepare.next);
	if (fd >= 0)
		close(fd);
	if (message->type == WIRE_COMMIT)
		puppet_turns(puppet, message->step.next);
	if (message->type == WIRE_PING && !puppet->deaf)
		wire_send(puppet->runner, &pong, -1);
	if (message->type == WIRE_FENCE)
		puppet_has_fence(puppet, &message->fence);
	tell(puppet, message, works);
}

static void
puppet_is_left(void *arg, const char *why)
{
	_exit(0);
}

static void
puppet_is_told(void *arg, unsigned int events)
{
	struct puppet *puppet = arg;
	struct wire_message message;

	if (recv(puppet->test_fd, &message, sizeof(message), 0) != sizeof(message))
		_exit(8);
	if (message.type == SAY_EXIT)
		_exit(3);
	if (message.type == SAY_DEAF) {
		puppet->deaf = true;
		tell(puppet, &message, false);
	} else if (message.type == SAY_CROSS) {
		puppet->crosses = true;
	} else if (message.type == WIRE_HOLD) { /* what it must not say to the runner */
		send(CHILD_FD_RUNNER, &message, 16, 0);
	} else {
		wire_send(puppet->runner, &message, -1);
	}
}

static int
connect_test(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	str_copy(address.sun_path, sizeof(address.sun_path), getenv(SOCKET_VARIABLE));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		_exit(7);
	return fd;
}

static int
puppet_main(const char *name)
{
	char error[CONF_ERROR_MAX];
	struct conf *conf = conf_parse(conf_receive(CHILD_FD_CONF, error), error);
	struct puppet puppet = { .loop = loop_new(),
		.test_fd = connect_test(),
		.generation = conf->generation,
		.kind = strcmp(name, "agent") == 0 ? WIRE_AGENT : WIRE_WARDEN };
	struct wire_out out = {
		.message = puppet_hears, .closed = puppet_is_left, .arg = &puppet
	};

	puppet.runner = wire_new(puppet.loop, CHILD_FD_RUNNER, puppet.kind, WIRE_RUNNER,
	    conf->generation, &out);
	struct loop_io *io =
	    loop_io_new(puppet.loop, puppet.test_fd, puppet_is_told, &puppet);
	loop_io_watch(io, LOOP_READ);
	tell(&puppet, NULL, false);
	loop_run(puppet.loop);
	return 0;
}

/* ---- the test ---- */

struct bed {
	char folder[32], *notify_path, *control_path;
	bool has_pins; /* the warden can pin */
	struct conf *conf;
	int listen_fd, notify_fd;
	pid_t runner;
	int agent_fd, warden_fd;
	pid_t agent, warden;
	uint64_t request;
};

static void
write_file(const char *folder, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);
	AUTO_FCLOSE FILE *file = fopen(path, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(text, file);
}

static struct conf *
make_conf(const char *folder, const char *options)
{
	AUTO_FREE char *services = xasprintf("%s/services.d", folder);
	char error[CONF_ERROR_MAX] = "";

	CU_ASSERT_FATAL(mkdir(services, 0755) == 0);
	AUTO_FREE char *node = xasprintf("node = \"n1\"\n%s\n", options);
	write_file(folder, "lictor.conf", node);
	write_file(services, "a.conf",
	    "service \"web\" {\n"
	    "  script \"hello\" { command = {\"/bin/echo\", \"hello\"} }\n"
	    "}\n"
	    "role \"db\" {\n"
	    "  services = {\"web\"}\n"
	    "  vip \"10.9.0.100\" { interface = \"va\" }\n"
	    "  hooks { promote = {\"/bin/sh\", \"-c\", 'echo \"$@\" $LICTOR_ROLE "
	    "$LICTOR_STATE $LICTOR_REASON $LICTOR_TERM', \"hook\"} timeout = 2s }\n"
	    "}\n");
	struct conf *conf = conf_parse(conf_read(folder, error), error);
	if (conf == NULL)
		printf("# %s\n", error);
	return conf;
}

static int
bind_at(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	str_copy(address.sun_path, sizeof(address.sun_path), path);
	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static pid_t
start_runner(const struct bed *bed)
{
	static const char *const debug[] = { "conf", NULL };
	struct runner_options options = {
		.folder = bed->folder, .debug = debug, .may_hold = true
	};
	pid_t pid = fork();

	if (pid == 0)
		_exit(runner_main(bed->conf, &options));
	return pid;
}

static bool
can_read(int fd, int64_t limit_ms)
{
	struct pollfd more = { .fd = fd, .events = POLLIN };

	return poll(&more, 1, (int)limit_ms) == 1;
}

/* The next process that the runner starts. */
static bool
meet(struct bed *bed, struct told *told, int64_t limit_ms)
{
	if (!can_read(bed->listen_fd, limit_ms))
		return false;
	int fd = accept4(bed->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (recv(fd, told, sizeof(*told), 0) != sizeof(*told)) {
		close(fd);
		return false;
	}
	int *place = told->kind == WIRE_AGENT ? &bed->agent_fd : &bed->warden_fd;
	cleanup_close(place);
	*place = fd;
	*(told->kind == WIRE_AGENT ? &bed->agent : &bed->warden) = told->pid;
	return true;
}

/* The next message of that type which the puppet hears. */
static bool
hears(int fd, uint32_t type, struct told *told, int64_t limit_ms)
{
	int64_t end = clock_boot_ms() + limit_ms;

	for (;;) {
		int64_t left = end - clock_boot_ms();
		if (left < 0 || !can_read(fd, left) ||
		    recv(fd, told, sizeof(*told), 0) != sizeof(*told))
			return false;
		if (told->message.type == type)
			return true;
	}
}

static void
say(int fd, const struct wire_message *message)
{
	CU_ASSERT(
	    send(fd, message, sizeof(*message), MSG_NOSIGNAL) == sizeof(*message));
}

static void
say_type(int fd, uint32_t type)
{
	struct wire_message message = { .type = type };

	say(fd, &message);
}

static bool
notified(struct bed *bed, const char *want, int64_t limit_ms)
{
	int64_t end = clock_boot_ms() + limit_ms;
	char text[64];

	while (
	    clock_boot_ms() < end && can_read(bed->notify_fd, end - clock_boot_ms())) {
		ssize_t len = recv(bed->notify_fd, text, sizeof(text) - 1, 0);
		text[len < 0 ? 0 : len] = '\0';
		if (strcmp(text, want) == 0)
			return true;
	}
	return false;
}

static int
exit_status(pid_t pid, int64_t limit_ms)
{
	int64_t end = clock_boot_ms() + limit_ms;
	int status;

	while (clock_boot_ms() < end) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		poll(NULL, 0, 5);
	}
	return -2;
}

/* Both hear of a fresh link, which works. */
static bool
both_linked(struct bed *bed, uint32_t instance)
{
	struct told agent, warden;

	return hears(bed->agent_fd, WIRE_LINK, &agent, LIMIT_MS) && agent.fd_works &&
	    hears(bed->warden_fd, WIRE_LINK, &warden, LIMIT_MS) && warden.fd_works &&
	    agent.message.link.instance == instance &&
	    warden.message.link.instance == instance;
}

/* A bpf file system of the test's own, for what the warden pins; without one the runner would
 * look for one on this machine, and where there is none ask no warden. */
static bool
mount_pins(const char *run)
{
	AUTO_FREE char *path = xasprintf("%s/bpf", run);

	return mkdir(run, 0755) == 0 && mkdir(path, 0755) == 0 &&
	    mount("bpf", path, "bpf", 0, NULL) == 0;
}

/* Its two processes run. */
static void
bed_begin(struct bed *bed, const char *options)
{
	struct told told = { 0 };

	*bed = (struct bed){
		.folder = "/tmp/lictor-test-XXXXXX", .agent_fd = -1, .warden_fd = -1
	};
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(bed->folder));
	AUTO_FREE char *run = xasprintf("%s/run", bed->folder);
	AUTO_FREE char *state = xasprintf("%s/state", bed->folder);
	AUTO_FREE char *puppets = xasprintf("%s/puppets", bed->folder);
	bed->notify_path = xasprintf("%s/notify", bed->folder);
	bed->control_path = xasprintf("%s/run/lictor.sock", bed->folder);
	bed->has_pins = mount_pins(run);
	setenv("RUNTIME_DIRECTORY", run, 1);
	setenv("STATE_DIRECTORY", state, 1);
	setenv(SOCKET_VARIABLE, puppets, 1);
	setenv("NOTIFY_SOCKET", bed->notify_path, 1);
	bed->conf = make_conf(bed->folder, options);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->conf);
	bed->notify_fd = bind_at(bed->notify_path, SOCK_DGRAM);
	bed->listen_fd = bind_at(puppets, SOCK_SEQPACKET);
	chmod(bed->folder, 0755); /* the puppets may be other users */
	chmod(puppets, 0666);
	listen(bed->listen_fd, 8);
	bed->runner = start_runner(bed);
	CU_ASSERT(meet(bed, &told, LIMIT_MS));
	CU_ASSERT(meet(bed, &told, LIMIT_MS));
	CU_ASSERT_FATAL(bed->agent != 0 && bed->warden != 0);
}

static void
bed_open(struct bed *bed)
{
	bed_begin(bed, "");
	CU_ASSERT(both_linked(bed, 1));
}

static void
remove_all(const char *folder)
{
	AUTO_FREE char *pins = xasprintf("%s/run/bpf", folder);

	umount2(pins, MNT_DETACH);
	pid_t pid = fork();

	if (pid == 0)
		execlp("rm", "rm", "-rf", folder, (char *)NULL);
	waitpid(pid, NULL, 0);
}

static void
bed_close(struct bed *bed)
{
	if (bed->runner > 0) {
		kill(bed->runner, SIGKILL);
		waitpid(bed->runner, NULL, 0);
	}
	cleanup_close(&bed->agent_fd);
	cleanup_close(&bed->warden_fd);
	close(bed->listen_fd);
	close(bed->notify_fd);
	conf_free(bed->conf);
	free(bed->notify_path);
	free(bed->control_path);
	remove_all(bed->folder);
}

static bool
wait_past_short_life(struct bed *bed)
{
	poll(NULL, 0, 1100);
	return kill(bed->agent, 0) == 0 && kill(bed->warden, 0) == 0;
}

/* Kills it and meets its successor: how long that took. */
static int64_t
replace(struct bed *bed, enum wire_process kind)
{
	pid_t victim = kind == WIRE_AGENT ? bed->agent : bed->warden;
	struct told told = { 0 };
	int64_t died = clock_boot_ms();

	kill(victim, SIGKILL);
	CU_ASSERT_FATAL(meet(bed, &told, LIMIT_MS));
	int64_t took = clock_boot_ms() - died;
	CU_ASSERT(told.kind == kind && told.pid != victim);
	return took;
}

/* Started again at once, with a link to the other; a new agent counts one more. A slow machine
 * may take its time once or twice, but a pause would be there each time. */
static void
test_respawn(void)
{
	struct bed bed;
	uint32_t instance = 1;

	bed_open(&bed);
	for (int round = 0; round < 2; round++) {
		enum wire_process kind = round == 0 ? WIRE_AGENT : WIRE_WARDEN;
		int64_t shortest = PAUSE_MS;
		for (int i = 0; i < 10 && shortest >= PAUSE_MS; i++) {
			CU_ASSERT(wait_past_short_life(&bed));
			int64_t took = replace(&bed, kind);
			shortest = took < shortest ? took : shortest;
			instance += kind == WIRE_AGENT;
			CU_ASSERT(both_linked(&bed, instance));
		}
		CU_ASSERT(shortest < PAUSE_MS);
	}
	bed_close(&bed);
}

static void
say_fenced(struct bed *bed, uint32_t kind, bool ok)
{
	struct wire_message message = { .type = WIRE_FENCED,
		.fenced = { .kind = kind, .ok = ok, .why = "so it is" } };

	say(bed->warden_fd, &message);
}

/* The agent is told of the fence, and before a link. */
static bool
hears_fence(struct bed *bed, uint32_t kind, bool ok)
{
	struct told told = { 0 };

	while (told.message.type != WIRE_FENCE && told.message.type != WIRE_LINK)
		if (!can_read(bed->agent_fd, LIMIT_MS) ||
		    recv(bed->agent_fd, &told, sizeof(told), 0) != sizeof(told))
			return false;
	return told.message.type == WIRE_FENCE && told.message.fence.kind == kind &&
	    told.message.fence.fixed == 1 && (told.message.fence.ok != 0) == ok;
}

/* The warden is asked to find out, or for this one. */
static bool
asked_for_fence(struct bed *bed, uint32_t kind)
{
	struct told told = { 0 };

	return hears(bed->warden_fd, WIRE_FENCE, &told, LIMIT_MS) &&
	    told.message.fence.kind == kind &&
	    told.message.fence.fixed == (kind != WIRE_FENCE_UNKNOWN);
}

/* What the first warden says is what there is, whatever becomes of whom. */
static void
test_fence_found(void)
{
	static const uint32_t kinds[] = { WIRE_FENCE_BPF, WIRE_FENCE_LIFETIME };

	setenv(FENCE_VARIABLE, "silent", 1);
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		struct bed bed;
		struct told told = { 0 };
		bed_begin(&bed, "");
		if (!bed.has_pins) {
			CU_PASS("no bpf file system can be mounted here");
			bed_close(&bed);
			continue;
		}
		CU_ASSERT(asked_for_fence(&bed, WIRE_FENCE_UNKNOWN));
		CU_ASSERT_FALSE(hears(bed.agent_fd, WIRE_LINK, &told, 50));
		say_fenced(&bed, kinds[i], true);
		CU_ASSERT(hears_fence(&bed, kinds[i], true));
		CU_ASSERT(both_linked(&bed, 1));
		replace(&bed, WIRE_AGENT);
		CU_ASSERT(hears_fence(&bed, kinds[i], true));
		CU_ASSERT(both_linked(&bed, 2));
		replace(&bed, WIRE_WARDEN);
		CU_ASSERT(asked_for_fence(&bed, kinds[i]));
		CU_ASSERT_FALSE(hears(bed.agent_fd, WIRE_LINK, &told, 50));
		say_fenced(&bed, kinds[i], false);
		CU_ASSERT(hears_fence(&bed, kinds[i], false));
		CU_ASSERT(both_linked(&bed, 2));
		say_fenced(&bed, kinds[i], true);
		CU_ASSERT(hears_fence(&bed, kinds[i], true));
		bed_close(&bed);
	}
	unsetenv(FENCE_VARIABLE);
}

/* What is configured need not be found out, but there is no link before the warden has it. */
static void
test_fence_configured(void)
{
	static const struct {
		uint32_t kind;
		const char *options;
	} rows[] = {
#ifdef HAVE_BPF
		{ WIRE_FENCE_BPF, "failover { fence = bpf }" },
#endif
		{ WIRE_FENCE_LIFETIME, "failover { fence = lifetime }" },
	};

	setenv(FENCE_VARIABLE, "silent", 1);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct bed bed;
		struct told told = { 0 };
		bed_begin(&bed, rows[i].options);
		CU_ASSERT(asked_for_fence(&bed, rows[i].kind));
		CU_ASSERT(hears_fence(&bed, rows[i].kind, true));
		CU_ASSERT_FALSE(hears(bed.agent_fd, WIRE_LINK, &told, 50));
		say_fenced(&bed, rows[i].kind, true);
		CU_ASSERT(both_linked(&bed, 1));
		bed_close(&bed);
	}
	unsetenv(FENCE_VARIABLE);
}

/* The link broke though both live: they get another one, which is no new agent. */
static void
test_unlinked(void)
{
	struct bed bed;

	bed_open(&bed);
	say_type(bed.agent_fd, WIRE_UNLINKED);
	CU_ASSERT(both_linked(&bed, 1));
	bed_close(&bed);
}

/* One that dies at each start is not started without pause, and both ways to die count. */
static void
test_early_deaths(void)
{
	struct bed bed;
	struct told told = { 0 };
	int64_t shortest = LIMIT_MS, before = clock_boot_ms();

	bed_open(&bed);
	for (int i = 0; i < 8 || (i < 40 && shortest >= 4 * PAUSE_MS); i++) {
		int64_t died = clock_boot_ms();
		if (i % 2 == 0)
			say_type(bed.agent_fd, SAY_EXIT);
		else
			kill(bed.agent, SIGKILL);
		CU_ASSERT(meet(&bed, &told, LIMIT_MS) && told.kind == WIRE_AGENT);
		int64_t took = clock_boot_ms() - died;
		if (died + took - before <
		    SHORT_LIFE_MS) /* it cannot have been older */
			CU_ASSERT(took >= PAUSE_MS - 5);
		before = died;
		if (i >= 4 && took < shortest)
			shortest = took;
	}
	CU_ASSERT(shortest < 4 * PAUSE_MS); /* the pause does not grow */
	bed_close(&bed);
}

static void
test_systemd(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	CU_ASSERT_FALSE(notified(&bed, "READY=1", 50));
	say_type(bed.agent_fd, WIRE_READY);
	CU_ASSERT(notified(&bed, "READY=1", LIMIT_MS));
	CU_ASSERT(notified(&bed, "WATCHDOG=1", LIMIT_MS));
	kill(bed.runner, SIGTERM);
	CU_ASSERT(notified(&bed, "STOPPING=1", LIMIT_MS));
	CU_ASSERT(hears(bed.agent_fd, WIRE_STOP, &told, LIMIT_MS));
	bed_close(&bed);
}

/* No watchdog while one does not answer; after ten pings it is killed. */
static void
test_deaf(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	int64_t began = clock_boot_ms();
	say_type(bed.warden_fd, SAY_DEAF);
	CU_ASSERT(hears(bed.warden_fd, SAY_DEAF, &told, LIMIT_MS));
	/* with the first ping that it does not answer the last word to systemd goes out */
	CU_ASSERT(hears(bed.warden_fd, WIRE_PING, &told, LIMIT_MS));
	CU_ASSERT(hears(bed.warden_fd, WIRE_PING, &told, LIMIT_MS));
	while (can_read(bed.notify_fd, 0))
		recv(bed.notify_fd, &told, sizeof(told), 0);
	CU_ASSERT_FALSE(notified(&bed, "WATCHDOG=1", 8000));
	CU_ASSERT(meet(&bed, &told, LIMIT_MS) && told.kind == WIRE_WARDEN);
	CU_ASSERT(clock_boot_ms() - began >= 9500);
	CU_ASSERT(both_linked(&bed, 1));
	CU_ASSERT(notified(&bed, "WATCHDOG=1", LIMIT_MS));
	bed_close(&bed);
}

static void
test_stop(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	CU_ASSERT_EQUAL(access(bed.control_path, W_OK), 0);
	kill(bed.runner, SIGTERM);
	CU_ASSERT(hears(bed.agent_fd, WIRE_STOP, &told, LIMIT_MS));
	kill(bed.runner, SIGTERM); /* no second time */
	CU_ASSERT_FALSE(hears(bed.agent_fd, WIRE_STOP, &told, 200));
	CU_ASSERT_EQUAL(
	    kill(bed.warden, 0), 0); /* it is needed until the agent is done */
	say_type(bed.agent_fd, WIRE_DONE);
	say_type(bed.agent_fd, SAY_EXIT);
	CU_ASSERT_EQUAL(exit_status(bed.runner, LIMIT_MS), 0);
	bed.runner = -1;
	CU_ASSERT(kill(bed.agent, 0) == -1 && kill(bed.warden, 0) == -1);
	CU_ASSERT(access(bed.control_path, F_OK) == -1 && errno == ENOENT);
	bed_close(&bed);
}

static void
test_killed(void)
{
	struct bed bed;
	char byte;

	bed_open(&bed);
	kill(bed.runner, SIGKILL);
	waitpid(bed.runner, NULL, 0);
	bed.runner = -1;
	while (can_read(bed.agent_fd, LIMIT_MS) && recv(bed.agent_fd, &byte, 1, 0) > 0)
		;
	while (
	    can_read(bed.warden_fd, LIMIT_MS) && recv(bed.warden_fd, &byte, 1, 0) > 0)
		;
	CU_ASSERT(recv(bed.agent_fd, &byte, 1, MSG_DONTWAIT) == 0); /* it has ended */
	CU_ASSERT(recv(bed.warden_fd, &byte, 1, MSG_DONTWAIT) == 0);
	CU_ASSERT_EQUAL(access(bed.control_path, F_OK), 0);
	bed.runner = start_runner(&bed); /* replaces the socket that was left */
	struct told told = { 0 };
	CU_ASSERT(meet(&bed, &told, LIMIT_MS) && meet(&bed, &told, LIMIT_MS));
	CU_ASSERT(both_linked(&bed, 1));
	bed_close(&bed);
}

static void
test_second(void)
{
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT_EQUAL(exit_status(start_runner(&bed), LIMIT_MS), 1);
	CU_ASSERT_EQUAL(access(bed.control_path, F_OK), 0);
	bed_close(&bed);
}

static struct wire_message
run_message(const struct bed *bed, enum conf_command_kind kind)
{
	struct wire_message message = { .type = WIRE_RUN,
		.run = { .run = 77,
		    .state = WIRE_HOOK_MASTER,
		    .timeout_ms = 5000,
		    .reason = 1,
		    .term = 18446744073709551615u } };

	for (uint32_t i = 0; i < bed->conf->n_commands; i++)
		if (bed->conf->commands[i]->kind == kind)
			message.run.command = i;
	return message;
}

static void
test_commands(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	struct wire_message message = run_message(&bed, CONF_COMMAND_CHECK);
	say(bed.agent_fd, &message);
	CU_ASSERT(hears(bed.agent_fd, WIRE_EXITED, &told, LIMIT_MS));
	const struct wire_exited *exited = &told.message.exited;
	CU_ASSERT(
	    exited->run == 77 && exited->how == WIRE_EXIT_CODE && exited->value == 0);
	CU_ASSERT(exited->output_len == 6 && memcmp(exited->output, "hello\n", 6) == 0);

	static const char want[] = "db master start 18446744073709551615 "
				   "db master start 18446744073709551615\n";
	message = run_message(&bed, CONF_COMMAND_HOOK);
	say(bed.agent_fd, &message);
	CU_ASSERT(hears(bed.agent_fd, WIRE_EXITED, &told, LIMIT_MS));
	CU_ASSERT(exited->output_len == strlen(want) &&
	    memcmp(exited->output, want, strlen(want)) == 0);
	bed_close(&bed);
}

/* A command that is not in the configuration; a message that an agent may not send. */
static void
test_misbehaviour(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	struct wire_message message = run_message(&bed, CONF_COMMAND_CHECK);
	message.run.command = (uint32_t)bed.conf->n_commands;
	say(bed.agent_fd, &message);
	CU_ASSERT(meet(&bed, &told, LIMIT_MS) && told.kind == WIRE_AGENT);
	CU_ASSERT(both_linked(&bed, 2));
	say_type(bed.agent_fd, WIRE_HOLD);
	CU_ASSERT(meet(&bed, &told, LIMIT_MS) && told.kind == WIRE_AGENT);
	CU_ASSERT(both_linked(&bed, 3));
	bed_close(&bed);
}

/* ---- reloads ---- */

#define WEB                                                             \
	"service \"web\" {\n"                                           \
	"  script \"hello\" { command = {\"/bin/echo\", \"hello\"} }\n" \
	"}\n"
#define MORE                                                            \
	"service \"app\" {\n"                                           \
	"  script \"first\" { command = {\"/bin/echo\", \"first\"} }\n" \
	"}\n"
#define ROLE(address)                                    \
	"role \"db\" {\n"                                \
	"  services = {\"web\"}\n"                       \
	"  vip \"" address "\" { interface = \"va\" }\n" \
	"}\n"

static void
write_services(const struct bed *bed, const char *text)
{
	AUTO_FREE char *services = xasprintf("%s/services.d", bed->folder);

	write_file(services, "a.conf", text);
}

/* What the files hold now. */
static uint64_t
generation_of(const struct bed *bed)
{
	char error[CONF_ERROR_MAX];
	struct conf *conf = conf_parse(conf_read(bed->folder, error), error);
	uint64_t generation = conf->generation;

	conf_free(conf);
	return generation;
}

/* An operator asks. */
static void
ask(struct bed *bed)
{
	struct wire_message message = { .type = WIRE_RELOAD,
		.reload = { .request = ++bed->request } };

	say(bed->agent_fd, &message);
}

/* The answer to the last one that asked. */
static bool
answered(struct bed *bed, bool ok, const char *why)
{
	struct told told = { 0 };
	const struct wire_reloaded *reloaded = &told.message.reloaded;

	if (!hears(bed->agent_fd, WIRE_RELOADED, &told, LIMIT_MS))
		return false;
	if (strstr(reloaded->why, why) == NULL)
		printf("# %s\n", reloaded->why);
	return reloaded->request == bed->request && (reloaded->ok != 0) == ok &&
	    strstr(reloaded->why, why) != NULL;
}

static void
say_prepared(int fd, uint64_t next, const char *why)
{
	struct wire_message message = { .type = WIRE_PREPARED,
		.prepared = { .next = next, .ok = why == NULL } };

	str_copy(
	    message.prepared.why, sizeof(message.prepared.why), why != NULL ? why : "");
	say(fd, &message);
}

static void
say_step(int fd, uint32_t type, uint64_t next)
{
	struct wire_message message = { .type = type, .step = { next } };

	say(fd, &message);
}

static bool
hears_step(int fd, uint32_t type, uint64_t next)
{
	struct told told = { 0 };

	return hears(fd, type, &told, LIMIT_MS) && told.message.step.next == next;
}

static bool
asked_to_prepare(int fd, uint64_t next)
{
	struct told told = { 0 };

	return hears(fd, WIRE_PREPARE, &told, LIMIT_MS) &&
	    told.message.prepare.next == next && told.fd_works;
}

/* Both have prepared, and the agent is to yield. */
static bool
until_yield(struct bed *bed, uint64_t next)
{
	bool good = asked_to_prepare(bed->agent_fd, next) &&
	    asked_to_prepare(bed->warden_fd, next);

	say_prepared(bed->agent_fd, next, NULL);
	say_prepared(bed->warden_fd, next, NULL);
	return good && hears_step(bed->agent_fd, WIRE_YIELD, next);
}

/* … and both are to turn. */
static bool
until_commit(struct bed *bed, uint64_t next)
{
	bool good = until_yield(bed, next);

	say_step(bed->agent_fd, WIRE_YIELDED, next);
	return good && hears_step(bed->agent_fd, WIRE_COMMIT, next) &&
	    hears_step(bed->warden_fd, WIRE_COMMIT, next);
}

static bool
run_reload(struct bed *bed, uint64_t next)
{
	bool good = until_commit(bed, next);

	say_step(bed->agent_fd, WIRE_COMMITTED, next);
	say_step(bed->warden_fd, WIRE_COMMITTED, next);
	return good;
}

/* The next process that starts is of that kind and runs that. */
static bool
starts_with(struct bed *bed, enum wire_process kind, uint64_t generation)
{
	struct told told = { 0 };

	return meet(bed, &told, LIMIT_MS) && told.kind == kind &&
	    told.generation == generation;
}

static bool
begins_reloading(struct bed *bed)
{
	char text[128];
	int64_t end = clock_boot_ms() + LIMIT_MS;

	while (clock_boot_ms() < end && can_read(bed->notify_fd, LIMIT_MS)) {
		ssize_t len = recv(bed->notify_fd, text, sizeof(text) - 1, 0);
		text[len < 0 ? 0 : len] = '\0';
		if (strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27) == 0)
			return strtoll(text + 27, NULL, 10) > 0;
	}
	return false;
}

/* Step by step, and each waits for both; then what died is started with the new one. */
static void
test_reload(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	say_type(bed.agent_fd, WIRE_READY);
	CU_ASSERT(notified(&bed, "READY=1", LIMIT_MS));
	write_services(&bed, MORE WEB ROLE("10.9.0.100"));
	uint64_t next = generation_of(&bed);
	kill(bed.runner, SIGHUP);
	CU_ASSERT(begins_reloading(&bed));
	CU_ASSERT(asked_to_prepare(bed.agent_fd, next));
	CU_ASSERT(asked_to_prepare(bed.warden_fd, next));
	say_prepared(bed.agent_fd, next, NULL);
	CU_ASSERT_FALSE(hears(bed.agent_fd, WIRE_YIELD, &told, 50));
	say_prepared(bed.warden_fd, next, NULL);
	CU_ASSERT(hears_step(bed.agent_fd, WIRE_YIELD, next));
	CU_ASSERT_FALSE(hears(bed.warden_fd, WIRE_COMMIT, &told, 50));
	say_step(bed.agent_fd, WIRE_YIELDED, next);
	CU_ASSERT(hears_step(bed.agent_fd, WIRE_COMMIT, next));
	CU_ASSERT(hears_step(bed.warden_fd, WIRE_COMMIT, next));
	say_step(bed.warden_fd, WIRE_COMMITTED, next);
	CU_ASSERT_FALSE(hears(bed.warden_fd, WIRE_LINK, &told, 50));
	say_step(bed.agent_fd, WIRE_COMMITTED, next);
	CU_ASSERT(both_linked(&bed, 1));
	CU_ASSERT(notified(&bed, "READY=1", LIMIT_MS));
	for (int i = 0; i < 2; i++) {
		kill(i == 0 ? bed.agent : bed.warden, SIGKILL);
		CU_ASSERT(starts_with(&bed, i == 0 ? WIRE_AGENT : WIRE_WARDEN, next));
		CU_ASSERT(both_linked(&bed, 2));
	}
	bed_close(&bed);
}

/* Who asks is told, whatever comes of it, and nothing crosses the wall for it. */
static void
test_reload_refused(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	uint64_t before = generation_of(&bed);
	ask(&bed);
	CU_ASSERT(answered(&bed, true, "nothing has changed"));
	write_file(bed.folder, "lictor.conf", "# n1\nnode = \"n1\"\n");
	ask(&bed);
	CU_ASSERT(answered(&bed, true, "nothing has changed"));
	write_file(bed.folder, "lictor.conf", "node = \"n2\"\n");
	ask(&bed);
	CU_ASSERT(answered(&bed, false, "/lictor.conf: node: it was changed"));
	write_file(bed.folder, "lictor.conf", "node = \"n1\"\n");
	write_services(&bed, MORE "service \"web\" {\n  port = 1x\n}\n");
	ask(&bed);
	CU_ASSERT(answered(&bed, false, "services.d/a.conf:5: "));
	CU_ASSERT_FALSE(hears(bed.agent_fd, WIRE_PREPARE, &told, 50));
	while (can_read(bed.warden_fd, 50)) { /* nor is their link made anew */
		CU_ASSERT_EQUAL(
		    recv(bed.warden_fd, &told, sizeof(told), 0), sizeof(told));
		CU_ASSERT_EQUAL(told.message.type, WIRE_PING);
	}
	kill(bed.agent, SIGKILL);
	CU_ASSERT(starts_with(&bed, WIRE_AGENT, before));
	bed_close(&bed);
}

/* One says no, or dies: the other forgets it, and both run what they did. */
static void
test_reload_aborted(void)
{
	struct bed bed;

	bed_open(&bed);
	uint64_t before = generation_of(&bed);
	write_services(&bed, MORE WEB ROLE("10.9.0.101"));
	uint64_t next = generation_of(&bed);
	ask(&bed);
	CU_ASSERT(asked_to_prepare(bed.agent_fd, next));
	CU_ASSERT(asked_to_prepare(bed.warden_fd, next));
	say_prepared(bed.agent_fd, next, NULL);
	say_prepared(bed.warden_fd, next, "a.conf:7: not this one");
	CU_ASSERT(hears_step(bed.agent_fd, WIRE_ABORT, next));
	CU_ASSERT(answered(&bed, false, "a.conf:7: not this one"));

	ask(&bed);
	CU_ASSERT(until_yield(&bed, next));
	kill(bed.warden, SIGKILL);
	CU_ASSERT(hears_step(bed.agent_fd, WIRE_ABORT, next));
	CU_ASSERT(answered(&bed, false, "the warden ended"));
	CU_ASSERT(starts_with(&bed, WIRE_WARDEN, before));
	CU_ASSERT(both_linked(&bed, 1));

	ask(&bed); /* its own death: nobody is there to be answered */
	CU_ASSERT(until_yield(&bed, next));
	kill(bed.agent, SIGKILL);
	CU_ASSERT(hears_step(bed.warden_fd, WIRE_ABORT, next));
	CU_ASSERT(starts_with(&bed, WIRE_AGENT, before));
	CU_ASSERT(both_linked(&bed, 2));

	ask(&bed); /* and after all that it goes well */
	CU_ASSERT(run_reload(&bed, next));
	CU_ASSERT(answered(&bed, true, "reloaded: "));
	CU_ASSERT(both_linked(&bed, 2));
	bed_close(&bed);
}

/* Once it counts, one that dies is started with it, and the other goes on. */
static void
test_reload_death(void)
{
	struct bed bed;

	bed_open(&bed);
	write_services(&bed, MORE WEB ROLE("10.9.0.101"));
	uint64_t next = generation_of(&bed);
	kill(bed.runner, SIGHUP);
	CU_ASSERT(until_commit(&bed, next));
	kill(bed.agent, SIGKILL);
	CU_ASSERT(starts_with(&bed, WIRE_AGENT, next));
	say_step(bed.warden_fd, WIRE_COMMITTED, next);
	CU_ASSERT(both_linked(&bed, 2));
	bed_close(&bed);
}

/* A second one, asked for meanwhile, follows with what the files hold then. */
static void
test_reload_again(void)
{
	struct bed bed;

	bed_open(&bed);
	write_services(&bed, MORE WEB ROLE("10.9.0.101"));
	uint64_t next = generation_of(&bed);
	kill(bed.runner, SIGHUP);
	CU_ASSERT(until_yield(&bed, next));
	write_services(&bed, WEB ROLE("10.9.0.101"));
	uint64_t after = generation_of(&bed);
	kill(bed.runner, SIGHUP);
	ask(&bed);
	say_step(bed.agent_fd, WIRE_YIELDED, next);
	CU_ASSERT(hears_step(bed.agent_fd, WIRE_COMMIT, next));
	CU_ASSERT(hears_step(bed.warden_fd, WIRE_COMMIT, next));
	say_step(bed.agent_fd, WIRE_COMMITTED, next);
	say_step(bed.warden_fd, WIRE_COMMITTED, next);
	CU_ASSERT(run_reload(&bed, after));
	CU_ASSERT(answered(&bed, true, "reloaded: "));
	bed_close(&bed);
}

/* The first address: a warden is tried with it, and goes if it comes to nothing. The last
 * one: the warden goes. */
static void
test_reload_warden(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	write_services(&bed, WEB);
	uint64_t none = generation_of(&bed);
	ask(&bed);
	CU_ASSERT(run_reload(&bed, none));
	CU_ASSERT(answered(&bed, true, ", 1 role removed"));
	for (int64_t end = clock_boot_ms() + LIMIT_MS;
	     kill(bed.warden, 0) == 0 && clock_boot_ms() < end;)
		poll(NULL, 0, 5);
	CU_ASSERT(kill(bed.warden, 0) == -1);

	write_services(&bed, WEB ROLE("10.9.0.102"));
	uint64_t first = generation_of(&bed);
	for (int good = 0; good < 2; good++) {
		ask(&bed);
		CU_ASSERT(asked_to_prepare(bed.agent_fd, first));
		CU_ASSERT(starts_with(&bed, WIRE_WARDEN, first));
		CU_ASSERT_FALSE(hears(bed.warden_fd, WIRE_LINK, &told, 50));
		say_prepared(bed.agent_fd, first, good ? NULL : "a.conf:1: no");
		if (!good)
			CU_ASSERT(answered(&bed, false, "a.conf:1: no"));
	}
	CU_ASSERT(hears_step(bed.agent_fd, WIRE_YIELD, first));
	say_step(bed.agent_fd, WIRE_YIELDED, first);
	CU_ASSERT(hears_step(bed.agent_fd, WIRE_COMMIT, first));
	say_step(bed.agent_fd, WIRE_COMMITTED, first);
	CU_ASSERT(answered(&bed, true, "reloaded: "));
	CU_ASSERT(both_linked(&bed, 1));
	kill(bed.warden, SIGKILL);
	CU_ASSERT(starts_with(&bed, WIRE_WARDEN, first));
	bed_close(&bed);
}

static void
run(struct bed *bed, uint64_t number, uint32_t command)
{
	struct wire_message message = { .type = WIRE_RUN,
		.run = { .run = number, .command = command, .timeout_ms = LIMIT_MS } };

	say(bed->agent_fd, &message);
}

static bool
ran(struct bed *bed, uint64_t number, const char *output)
{
	struct told told = { 0 };
	const struct wire_exited *exited = &told.message.exited;

	return hears(bed->agent_fd, WIRE_EXITED, &told, LIMIT_MS) &&
	    exited->run == number && exited->output_len == strlen(output) &&
	    memcmp(exited->output, output, strlen(output)) == 0;
}

/* An agent that has not turned yet means the old one's commands, and what it began goes on. */
static void
test_reload_commands(void)
{
	struct bed bed;

	bed_open(&bed);
	write_services(&bed,
	    WEB "script \"slow\" { command = {\"/bin/sh\", \"-c\", \"sleep 2; echo "
		"slow\"} }\n" ROLE("10.9.0.100"));
	uint64_t first = generation_of(&bed);
	kill(bed.runner, SIGHUP);
	CU_ASSERT(run_reload(&bed, first));
	CU_ASSERT(both_linked(&bed, 1));
	run(&bed, 6, 1);
	say_type(bed.agent_fd, SAY_CROSS);
	write_services(&bed, MORE WEB ROLE("10.9.0.100"));
	uint64_t next = generation_of(&bed);
	kill(bed.runner, SIGHUP);
	CU_ASSERT(run_reload(&bed, next));
	CU_ASSERT(ran(&bed, 4, "hello\n"));
	run(&bed, 5, 0);
	CU_ASSERT(ran(&bed, 5, "first\n"));
	CU_ASSERT(ran(&bed, 6, "slow\n"));
	run(&bed, 7, 1);
	CU_ASSERT(ran(&bed, 7, "hello\n"));
	bed_close(&bed);
}

static int
open_fds(pid_t pid)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	int count = 0;

	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		closedir(dir);
	return count;
}

/* Good ones, faulty ones, aborted ones: no descriptor is left of any. */
static void
test_reload_often(void)
{
	struct bed bed;
	int before = 0;

	bed_open(&bed);
	for (int i = 0; i < 40; i++) {
		write_services(&bed, i % 2 == 0 ? MORE WEB ROLE("10.9.0.101") : WEB);
		uint64_t next = generation_of(&bed);
		ask(&bed);
		if (i % 2 == 0 && i > 0)
			CU_ASSERT(starts_with(&bed, WIRE_WARDEN, next));
		CU_ASSERT(asked_to_prepare(bed.agent_fd, next));
		say_prepared(bed.agent_fd, next, NULL);
		if (i % 2 == 1 || i == 0) {
			CU_ASSERT(asked_to_prepare(bed.warden_fd, next));
			say_prepared(bed.warden_fd, next, NULL);
		}
		CU_ASSERT(hears_step(bed.agent_fd, WIRE_YIELD, next));
		say_step(bed.agent_fd, WIRE_YIELDED, next);
		CU_ASSERT(hears_step(bed.agent_fd, WIRE_COMMIT, next));
		say_step(bed.agent_fd, WIRE_COMMITTED, next);
		if (i % 2 == 1 || i == 0) {
			CU_ASSERT(hears_step(bed.warden_fd, WIRE_COMMIT, next));
			say_step(bed.warden_fd, WIRE_COMMITTED, next);
		}
		CU_ASSERT(answered(&bed, true, "reloaded: "));
		write_services(&bed, "service \"s\" {\n");
		ask(&bed);
		CU_ASSERT(answered(&bed, false, "services.d/a.conf"));
		if (i == 2)
			before = open_fds(bed.runner);
	}
	write_services(&bed, MORE WEB ROLE("10.9.0.101"));
	ask(&bed);
	uint64_t next = generation_of(&bed);
	CU_ASSERT(starts_with(&bed, WIRE_WARDEN, next));
	CU_ASSERT(asked_to_prepare(bed.agent_fd, next));
	CU_ASSERT_EQUAL(open_fds(bed.runner), before + 1); /* the next one's bytes */
	say_prepared(bed.agent_fd, next, "no");
	CU_ASSERT(answered(&bed, false, "no"));
	bed_close(&bed);
}

/* A stop ends it, and no other begins. */
static void
test_reload_stop(void)
{
	struct bed bed;
	struct told told = { 0 };

	bed_open(&bed);
	write_services(&bed, MORE WEB ROLE("10.9.0.101"));
	uint64_t next = generation_of(&bed);
	ask(&bed);
	CU_ASSERT(until_yield(&bed, next));
	kill(bed.runner, SIGTERM);
	CU_ASSERT(hears_step(bed.agent_fd, WIRE_ABORT, next));
	CU_ASSERT(answered(&bed, false, "stopping"));
	CU_ASSERT(hears(bed.agent_fd, WIRE_STOP, &told, LIMIT_MS));
	ask(&bed);
	CU_ASSERT(answered(&bed, false, "stopping"));
	say_type(bed.agent_fd, WIRE_DONE);
	say_type(bed.agent_fd, SAY_EXIT);
	CU_ASSERT_EQUAL(exit_status(bed.runner, LIMIT_MS), 0);
	bed.runner = -1;
	bed_close(&bed);
}

static const struct tap_case cases[] = {
	{ "a process that died is started again", test_respawn },
	{ "a link that broke is replaced", test_unlinked },
	{ "the kind of fence is found once", test_fence_found },
	{ "the kind of fence that is configured", test_fence_configured },
	{ "one that dies early is started again each 100 ms", test_early_deaths },
	{ "systemd is told", test_systemd },
	{ "one that does not answer is killed", test_deaf },
	{ "SIGTERM stops the agent, then the warden, then the runner", test_stop },
	{ "the others end with a killed runner, the next one starts", test_killed },
	{ "a second lictord does not start", test_second },
	{ "commands run and are answered", test_commands },
	{ "an agent that misbehaves is started again", test_misbehaviour },
	{ "a reload turns both, step by step", test_reload },
	{ "a faulty file changes nothing, nor does the same one", test_reload_refused },
	{ "a no or a death ends a reload", test_reload_aborted },
	{ "a death after the turn ends nothing", test_reload_death },
	{ "a reload asked for meanwhile follows", test_reload_again },
	{ "the first address brings a warden, the last one ends it",
	    test_reload_warden },
	{ "commands and runs cross a reload", test_reload_commands },
	{ "many reloads leave nothing behind", test_reload_often },
	{ "a stop ends a reload", test_reload_stop },
};

int
main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "--" CHILD_OPTION) == 0)
		return puppet_main(argv[2]);
	if (unshare(CLONE_NEWNS) == 0)
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	int status = tap_apart(argc, argv, cases, ARRAY_LENGTH(cases));
	if (status >= 0)
		return status;
	return tap_main(argc, argv, "runner", cases, ARRAY_LENGTH(cases));
}
