/* SPDX-License-Identifier: ISC */
/*
 * The real runner, which starts this very program again as its agent and its warden:
 * puppets, which tell the test over a socket what they hear from the runner and say to it
 * what the test wants said. The bed meets each of them and holds their sockets.
 */
#include "tests/unit/runner_bed.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
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
#include "agent/conf/conf.h"
#include "agent/runner/child.h"
#include "agent/runner/runner.h"

#define SOCKET_VARIABLE "LICTOR_TEST_SOCKET"

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

void
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

pid_t
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

bool
can_read(int fd, int64_t limit_ms)
{
	struct pollfd more = { .fd = fd, .events = POLLIN };

	return poll(&more, 1, (int)limit_ms) == 1;
}

bool
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

bool
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

void
say(int fd, const struct wire_message *message)
{
	CU_ASSERT(
	    send(fd, message, sizeof(*message), MSG_NOSIGNAL) == sizeof(*message));
}

void
say_type(int fd, uint32_t type)
{
	struct wire_message message = { .type = type };

	say(fd, &message);
}

bool
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

int
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

bool
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

void
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

void
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

void
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

int
puppets_main(int argc, char **argv, const char *suite, const struct tap_case *cases,
    size_t count)
{
	if (argc > 2 && strcmp(argv[1], "--" CHILD_OPTION) == 0)
		return puppet_main(argv[2]);
	if (unshare(CLONE_NEWNS) == 0)
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	int status = tap_apart(argc, argv, cases, count);
	return status >= 0 ? status : tap_main(argc, argv, suite, cases, count);
}
