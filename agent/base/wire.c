/* SPDX-License-Identifier: ISC */
/*
 * The wall between the three processes. What may cross it stands in one table: type, who
 * may send it, to whom, how long it is. A message that the table does not have, from any
 * side, ends the wire: the peer is then another version, broken, or taken over, and the
 * runner starts it afresh. A descriptor crosses with a link and with a configuration,
 * and with nothing else.
 * Both sides turn to the next generation at the same place in what they send each other:
 * the one that turns first still takes the other's words of before, and never after.
 * One message is read a turn, so that `message` and `closed` may free the wire, and so
 * that a loud peer does not starve the rest. What a peer sent before it died is read before
 * it counts as gone. `closed` comes at most once, never from within wire_send.
 */
#include "agent/base/wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"

#define QUEUE_MAX ((size_t)1 << 20) /* bytes: each address asks anew thrice a second */
#define HEAD_SIZE offsetof(struct wire_message, link)

#define RUNNER (1u << WIRE_RUNNER)
#define WARDEN (1u << WIRE_WARDEN)
#define AGENT (1u << WIRE_AGENT)

/* The size of WIRE_EXITED is that without output, which follows. */
static const struct {
	const char *name;
	unsigned int from, to;
	size_t size;
} table[] = {
	[0] = { "unknown", 0, 0, 0 },
	[WIRE_LINK] = { "link", RUNNER, AGENT | WARDEN, sizeof(struct wire_link) },
	[WIRE_PING] = { "ping", RUNNER, AGENT | WARDEN, 0 },
	[WIRE_PONG] = { "pong", AGENT | WARDEN, RUNNER, 0 },
	[WIRE_READY] = { "ready", AGENT, RUNNER, 0 },
	[WIRE_DONE] = { "done", AGENT, RUNNER, 0 },
	[WIRE_STOP] = { "stop", RUNNER, AGENT, 0 },
	[WIRE_STARTED] = { "started", RUNNER, AGENT, sizeof(struct wire_started) },
	[WIRE_EXITED] = { "exited", RUNNER, AGENT,
	    offsetof(struct wire_exited, output) },
	[WIRE_RUN] = { "run", AGENT, RUNNER, sizeof(struct wire_run) },
	[WIRE_KILL] = { "kill", AGENT, RUNNER, sizeof(struct wire_kill) },
	[WIRE_UNLINKED] = { "unlinked", AGENT, RUNNER, 0 },
	[WIRE_HOLD] = { "hold", AGENT, WARDEN, sizeof(struct wire_hold) },
	[WIRE_DROP] = { "drop", AGENT, WARDEN, sizeof(struct wire_drop) },
	[WIRE_HELD] = { "held", WARDEN, AGENT, sizeof(struct wire_order) },
	[WIRE_GONE] = { "gone", WARDEN, AGENT, sizeof(struct wire_order) },
	[WIRE_REFUSED] = { "refused", WARDEN, AGENT, sizeof(struct wire_order) },
	[WIRE_CARRIER] = { "carrier", WARDEN, AGENT, sizeof(struct wire_carrier) },
	[WIRE_RELOAD] = { "reload", AGENT, RUNNER, sizeof(struct wire_reload) },
	[WIRE_PREPARE] = { "prepare", RUNNER, AGENT | WARDEN,
	    sizeof(struct wire_prepare) },
	[WIRE_PREPARED] = { "prepared", AGENT | WARDEN, RUNNER,
	    sizeof(struct wire_prepared) },
	[WIRE_YIELD] = { "yield", RUNNER, AGENT, sizeof(struct wire_step) },
	[WIRE_YIELDED] = { "yielded", AGENT, RUNNER, sizeof(struct wire_step) },
	[WIRE_COMMIT] = { "commit", RUNNER, AGENT | WARDEN, sizeof(struct wire_step) },
	[WIRE_COMMITTED] = { "committed", AGENT | WARDEN, RUNNER,
	    sizeof(struct wire_step) },
	[WIRE_ABORT] = { "abort", RUNNER, AGENT | WARDEN, sizeof(struct wire_step) },
	[WIRE_RELOADED] = { "reloaded", RUNNER, AGENT, sizeof(struct wire_reloaded) },
	[WIRE_FENCE] = { "fence", RUNNER, AGENT | WARDEN,
	    sizeof(struct wire_fence_kind) },
	[WIRE_FENCED] = { "fenced", WARDEN, RUNNER, sizeof(struct wire_fenced) },
	[WIRE_PROBE] = { "probe", AGENT, WARDEN, sizeof(struct wire_probe) },
	[WIRE_ANNOUNCE] = { "announce", AGENT, WARDEN, sizeof(struct wire_probe) },
	[WIRE_PROBED] = { "probed", WARDEN, AGENT, sizeof(struct wire_probed) },
	[WIRE_RIVAL] = { "rival", WARDEN, AGENT, sizeof(struct wire_rival) },
	[WIRE_SEEN] = { "seen", WARDEN, AGENT, sizeof(struct wire_seen) },
	[WIRE_STANDS] = { "stands", WARDEN, AGENT, sizeof(struct wire_stands) },
	[WIRE_TRACK] = { "track", WARDEN, AGENT, sizeof(struct wire_track) },
	[WIRE_UPGRADE] = { "upgrade", AGENT, RUNNER, sizeof(struct wire_reload) },
};
_Static_assert(ARRAY_LENGTH(table) == WIRE_TYPES, "a type has no row");

static const char *const refusals[] = {
	[WIRE_REFUSAL_NONE] = "nothing",
	[WIRE_REFUSAL_PAST] = "its deadline has passed or is too near",
	[WIRE_REFUSAL_TOO_LONG] = "its deadline is beyond the longest lease",
	[WIRE_REFUSAL_INSTANCE] = "it is not from the newest agent",
	[WIRE_REFUSAL_TERM] = "its term was dropped before",
	[WIRE_REFUSAL_KERNEL] = "the kernel refused the address",
	[WIRE_REFUSAL_FENCE] = "it is meant for another kind of fence",
	[WIRE_REFUSAL_UNFENCED] = "its fence cannot be put in place",
	[WIRE_REFUSAL_NOT_HELD] = "the address is not held",
};
_Static_assert(ARRAY_LENGTH(refusals) == WIRE_REFUSALS, "a refusal has no text");

struct queued {
	struct queued *next;
	int fd; /* ours, or -1 */
	size_t len;
	char data[];
};

struct wire {
	struct loop_io *io; /* NULL: dead */
	struct loop_timer *end;
	int fd;
	enum wire_process self, peer;
	uint64_t generation; /* of what we send */
	uint64_t accepted; /* of what came last, and may come until the peer turns */
	struct wire_out out;
	struct queued *first, **last;
	size_t queued; /* bytes, with what each message takes beside its own */
	bool deaf; /* the peer takes no more; what it sent is still to be read */
	char why[96];
};

static bool
may_cross(uint32_t type, enum wire_process from, enum wire_process to)
{
	return type > 0 && type < WIRE_TYPES &&
	    (table[type].from & (1u << from)) != 0 &&
	    (table[type].to & (1u << to)) != 0;
}

static bool
carries_fd(uint32_t type)
{
	return type == WIRE_LINK || type == WIRE_PREPARE;
}

/* The length that this message must have; of one that is read, the head must be there. */
static size_t
wire_length(const struct wire_message *message, size_t len)
{
	size_t want = HEAD_SIZE + table[message->type].size;

	if (message->type == WIRE_EXITED && len >= want) {
		if (message->exited.output_len > WIRE_OUTPUT_MAX)
			return 0;
		want += message->exited.output_len;
	}
	return want;
}

static void
drop_first(struct wire *wire)
{
	struct queued *queued = wire->first;

	wire->first = queued->next;
	if (wire->first == NULL)
		wire->last = &wire->first;
	wire->queued -= sizeof(*queued) + queued->len;
	if (queued->fd >= 0)
		close(queued->fd);
	free(queued);
}

static void
drop_all(struct wire *wire)
{
	while (wire->first != NULL)
		drop_first(wire);
}

/* From here on nothing is sent or read. */
static void
die(struct wire *wire, const char *why)
{
	str_copy(wire->why, sizeof(wire->why), why);
	loop_io_free(wire->io);
	wire->io = NULL;
	close(wire->fd);
	wire->fd = -1;
	drop_all(wire);
}

static void
on_end(void *arg)
{
	struct wire *wire = arg;

	wire->out.closed(wire->out.arg, wire->why);
}

/* The last thing a callback does: the wire may be freed by it. */
static void
die_now(struct wire *wire, const char *why)
{
	die(wire, why);
	on_end(wire);
}

static void
die_soon(struct wire *wire, const char *why)
{
	die(wire, why);
	loop_timer_after(wire->end, 0);
}

/* 0 or -errno. */
static int
transmit(const struct wire *wire, const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.space);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	do
		n = sendmsg(wire->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* True: the message is done with. A peer that has closed shows when its last words have
 * been read. */
static bool
sent(struct wire *wire, int error)
{
	if (error == -EPIPE || error == -ECONNRESET)
		wire->deaf = true;
	return error == 0 || wire->deaf;
}

static void
enqueue(struct wire *wire, const void *data, size_t len, int fd)
{
	struct queued *queued = xcalloc(1, sizeof(*queued) + len);

	queued->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	queued->len = len;
	memcpy(queued->data, data, len);
	*wire->last = queued;
	wire->last = &queued->next;
	wire->queued += sizeof(*queued) + len;
	loop_io_watch(wire->io, LOOP_READ | LOOP_WRITE);
	if (fd >= 0 && queued->fd < 0)
		die_soon(wire, "no descriptor is left to pass one on");
}

static int
flush(struct wire *wire)
{
	while (wire->first != NULL) {
		struct queued *queued = wire->first;
		int error = transmit(wire, queued->data, queued->len, queued->fd);
		if (!sent(wire, error))
			return error;
		drop_first(wire);
	}
	loop_io_watch(wire->io, LOOP_READ);
	return 0;
}

/* The descriptor that came along, -1 for none; -2, with all of them closed, for several. */
static int
take_fd(struct msghdr *msg)
{
	int fd = -1, next, count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
	     c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; CMSG_LEN(at) < c->cmsg_len; at += sizeof(int)) {
			memcpy(&next, CMSG_DATA(c) + at, sizeof(next));
			if (fd >= 0)
				close(fd);
			fd = next;
			count++;
		}
	}
	if (count < 2 && (msg->msg_flags & MSG_CTRUNC) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -2;
}

/* Text for people ends where its field does, at the latest. */
static bool
has_end(const struct wire_message *message)
{
	const char *why = NULL;

	if (message->type == WIRE_PREPARED)
		why = message->prepared.why;
	else if (message->type == WIRE_RELOADED)
		why = message->reloaded.why;
	else if (message->type == WIRE_FENCE)
		why = message->fence.why;
	else if (message->type == WIRE_FENCED)
		why = message->fenced.why;
	return why == NULL || memchr(why, '\0', WIRE_WHY_MAX) != NULL;
}

/* Why this message may not come in, or NULL. */
static const char *
judge(const struct wire *wire, const struct wire_message *message, size_t len, int fd)
{
	if (len < HEAD_SIZE)
		return "it sent a message that is too short";
	if (!may_cross(message->type, wire->peer, wire->self))
		return "it sent a message of a type that it may not send";
	if (len != wire_length(message, len))
		return "it sent a message of a wrong size";
	if (message->type == WIRE_SEEN && message->seen.len > WIRE_SEEN_MAX)
		return "it sent a frame that is longer than its field";
	if (!has_end(message))
		return "it sent a text without an end";
	if (message->generation != wire->generation &&
	    message->generation != wire->accepted)
		return "it has another configuration";
	if (fd == -2 || (fd >= 0) != carries_fd(message->type))
		return "it sent a message with a wrong number of descriptors";
	return NULL;
}

static void
receive(struct wire *wire)
{
	struct wire_message message;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = &message, .iov_len = sizeof(message) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space) };
	ssize_t n;

	do /* an error that waits on the socket stands before what the peer sent */
		n = recvmsg(wire->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		die_now(wire, strerror(errno));
		return;
	}
	int fd = take_fd(&msg);
	const char *why = n == 0               ? "it has ended"
	    : (msg.msg_flags & MSG_TRUNC) != 0 ? "it sent a message that is too long"
					       : judge(wire, &message, (size_t)n, fd);
	if (why != NULL) {
		if (fd >= 0)
			close(fd);
		die_now(wire, why);
		return;
	}
	wire->accepted = message.generation;
	wire->out.message(wire->out.arg, &message, fd);
}

static void
on_io(void *arg, unsigned int events)
{
	struct wire *wire = arg;

	if ((events & LOOP_WRITE) != 0) {
		int error = flush(wire);
		if (error != 0 && error != -EAGAIN) {
			die_now(wire, strerror(-error));
			return;
		}
	}
	if ((events & LOOP_READ) != 0)
		receive(wire);
}

struct wire *
wire_new(struct loop *loop, int fd, enum wire_process self, enum wire_process peer,
    uint64_t generation, const struct wire_out *out)
{
	struct wire *wire = xcalloc(1, sizeof(*wire));

	wire->fd = fd;
	wire->self = self;
	wire->peer = peer;
	wire->generation = generation;
	wire->accepted = generation;
	wire->out = *out;
	wire->last = &wire->first;
	wire->end = loop_timer_new(loop, on_end, wire);
	wire->io = loop_io_new(loop, fd, on_io, wire);
	loop_io_watch(wire->io, LOOP_READ);
	return wire;
}

void
wire_free(struct wire *wire)
{
	if (wire == NULL)
		return;
	if (wire->io != NULL)
		die(wire, "");
	loop_timer_free(wire->end);
	free(wire);
}

void
wire_send(struct wire *wire, struct wire_message *message, int fd)
{
	assert(may_cross(message->type, wire->self, wire->peer));
	assert((fd >= 0) == carries_fd(message->type));
	size_t len = wire_length(message, sizeof(*message));

	assert(len > 0);
	message->spare = 0;
	message->generation = wire->generation;
	if (wire->io == NULL || wire->deaf)
		return;
	if (wire->queued + sizeof(struct queued) + len > QUEUE_MAX) {
		die_soon(wire, "it does not read what is sent to it");
		return;
	}
	if (wire->queued > 0) {
		enqueue(wire, message, len, fd);
		return;
	}
	int error = transmit(wire, message, len, fd);
	if (sent(wire, error))
		return;
	if (error == -EAGAIN)
		enqueue(wire, message, len, fd);
	else
		die_soon(wire, strerror(-error));
}

void
wire_turn(struct wire *wire, uint64_t next)
{
	wire->generation = next;
}

const char *
wire_type_name(uint32_t type)
{
	return table[type < WIRE_TYPES ? type : 0].name;
}

const char *
wire_refusal_text(uint32_t refusal)
{
	return refusal < WIRE_REFUSALS ? refusals[refusal] : "an unknown reason";
}

int
wire_pair(int fds[2])
{
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;

	return socketpair(AF_UNIX, type, 0, fds) == 0 ? 0 : -errno;
}
