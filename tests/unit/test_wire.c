/* SPDX-License-Identifier: ISC */
/*
 * The wall: for every sender, receiver, type and size it is stated anew here what may
 * cross, and all combinations are tried; whatever else comes in closes the wire once.
 */
#include "agent/base/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/entries.h"
#include "tests/unit/tap.h"

#define GENERATION UINT64_C(0x1122334455667788)

struct end {
	struct loop *loop;
	struct wire *wire;
	struct wire_message last;
	int messages, closed, fd, free_at;
	bool sending;
	char why[96];
};

static void
on_message(void *arg, const struct wire_message *message, int fd)
{
	struct end *end = arg;

	if (fd >= 0) {
		if (end->fd >= 0)
			close(end->fd);
		end->fd = fd;
	}
	end->last = *message;
	if (++end->messages == end->free_at) {
		wire_free(end->wire);
		end->wire = NULL;
	}
}

static void
on_closed(void *arg, const char *why)
{
	struct end *end = arg;

	CU_ASSERT_FALSE(end->sending);
	end->closed++;
	str_copy(end->why, sizeof(end->why), why);
	wire_free(end->wire);
	end->wire = NULL;
}

static void
on_time(void *arg)
{
	loop_stop(arg);
}

static void
run_for(struct loop *loop, int64_t ms)
{
	struct loop_timer *timer = loop_timer_new(loop, on_time, loop);

	loop_timer_after(timer, ms);
	loop_run(loop);
	loop_timer_free(timer);
}

/* Turns until `count` is what it should be, at most two seconds. */
static void
run_until(struct loop *loop, const int *count, int wanted)
{
	for (int i = 0; i < 200 && *count != wanted; i++)
		run_for(loop, 0);
}

static void
end_open(struct end *end, struct loop *loop, int fd, enum wire_process self,
    enum wire_process peer)
{
	struct wire_out out = {
		.message = on_message, .closed = on_closed, .arg = end
	};

	*end = (struct end){ .loop = loop, .fd = -1 };
	end->wire = wire_new(loop, fd, self, peer, GENERATION, &out);
}

static void
end_close(struct end *end)
{
	wire_free(end->wire);
	if (end->fd >= 0)
		close(end->fd);
}

static void
end_send(struct end *end, uint32_t type)
{
	struct wire_message message = { .type = type };

	end->sending = true;
	wire_send(end->wire, &message, -1);
	end->sending = false;
}

/* The table once more, as the header tells it. */
static bool
allowed(uint32_t type, enum wire_process from, enum wire_process to)
{
	static const char *const rows[] = { "", "RA RW", "RA RW", "AR WR", "AR", "AR",
		"RA", "RA", "RA", "AR", "AR", "AR", "AW", "AW", "WA", "WA", "WA", "WA",
		"AR", "RA RW", "AR WR", "RA", "AR", "RA RW", "AR WR", "RA RW", "RA",
		"RA RW", "WR", "AW", "AW", "WA", "WA", "WA", "WA", "WA", "AR" };
	static const char letters[] = "RWA";
	char pair[] = { letters[from], letters[to], '\0' };

	return type < ARRAY_LENGTH(rows) && strstr(rows[type], pair) != NULL;
}

static size_t
payload(uint32_t type)
{
	static const size_t sizes[] = { 0, 4, 0, 0, 0, 0, 0, 8, 20, 40, 8, 0, 40, 24,
		16, 16, 16, 8, 8, 8, 528, 8, 8, 8, 8, 8, 528, 528, 520, 16, 16, 24, 16,
		136, 16, 8, 8 };

	return type < ARRAY_LENGTH(sizes) ? sizes[type] : 0;
}

static bool
carries(uint32_t type)
{
	return type == WIRE_LINK || type == WIRE_PREPARE;
}

static void
send_raw(int fd, const struct wire_message *message, size_t len, const int *fds,
    size_t count)
{
	char space[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)message, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		msg.msg_control = space;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	CU_ASSERT_EQUAL(sendmsg(fd, &msg, MSG_NOSIGNAL), (ssize_t)len);
}

/* One raw message to a fresh wire: did it come in? If not, the wire must have closed, once.
 * Either way no descriptor stays open. */
static bool
comes_in(enum wire_process from, enum wire_process to,
    const struct wire_message *message, size_t len, size_t fd_count)
{
	struct loop *loop = loop_new();
	int fds[2], before = count_entries("/proc/self/fd"), pass[16];
	struct end end;

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	for (size_t i = 0; i < 16; i++)
		pass[i] = STDOUT_FILENO;
	end_open(&end, loop, fds[0], to, from);
	send_raw(fds[1], message, len, pass, fd_count);
	for (int i = 0; i < 200 && end.messages + end.closed == 0; i++)
		run_for(loop, 0);
	CU_ASSERT_EQUAL(end.messages + end.closed, 1);
	bool in = end.messages == 1;
	CU_ASSERT_EQUAL(end.fd >= 0, in && fd_count > 0);
	end_close(&end);
	close(fds[1]);
	run_for(loop, 0);
	CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), before);
	loop_free(loop);
	return in;
}

static void
test_only_the_table_comes_in(void)
{
	int wrong = 0;

	for (uint32_t type = 0; type < WIRE_TYPES + 2; type++)
		for (int from = WIRE_RUNNER; from <= WIRE_AGENT; from++)
			for (int to = WIRE_RUNNER; to <= WIRE_AGENT; to++) {
				struct wire_message message = { .type = type,
					.generation = GENERATION };
				bool in = comes_in((enum wire_process)from,
				    (enum wire_process)to, &message, 16 + payload(type),
				    carries(type));
				wrong += in !=
				    allowed(type, (enum wire_process)from,
					(enum wire_process)to);
			}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
any_direction(uint32_t type, enum wire_process *from, enum wire_process *to)
{
	for (int i = 0; i < 9; i++)
		if (allowed(
			type, (enum wire_process)(i / 3), (enum wire_process)(i % 3))) {
			*from = (enum wire_process)(i / 3);
			*to = (enum wire_process)(i % 3);
		}
}

static void
test_only_exact_sizes_come_in(void)
{
	int wrong = 0;

	for (uint32_t type = 1; type < WIRE_TYPES; type++) {
		enum wire_process from = WIRE_RUNNER, to = WIRE_RUNNER;
		any_direction(type, &from, &to);
		for (size_t len = 0; len <= 64 + payload(type); len++) {
			struct wire_message message = { .type = type,
				.generation = GENERATION };
			bool in =
			    comes_in(from, to, &message, len, carries(type) && len > 0);
			wrong += in != (len == 16 + payload(type));
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
test_output_is_as_long_as_it_says(void)
{
	static const uint32_t says[] = { 0, 1, 100, WIRE_OUTPUT_MAX - 1,
		WIRE_OUTPUT_MAX, WIRE_OUTPUT_MAX + 1, UINT32_MAX };
	struct wire_message *message = xcalloc(1, sizeof(*message) + 64);

	for (size_t i = 0; i < ARRAY_LENGTH(says); i++)
		for (int off = -1; off <= 1; off++) {
			message->type = WIRE_EXITED;
			message->generation = GENERATION;
			message->exited.output_len = says[i];
			size_t len = 36 +
			    (says[i] <= WIRE_OUTPUT_MAX + 1 ? says[i]
							    : WIRE_OUTPUT_MAX);
			bool in = comes_in(WIRE_RUNNER, WIRE_AGENT, message,
			    (size_t)((ssize_t)len + off), 0);
			CU_ASSERT_EQUAL(in, off == 0 && says[i] <= WIRE_OUTPUT_MAX);
		}
	free(message);
}

static void
test_other_generations_close(void)
{
	for (int bit = 0; bit < 64; bit++) {
		struct wire_message message = { .type = WIRE_PING,
			.generation = GENERATION ^ (UINT64_C(1) << bit) };
		CU_ASSERT_FALSE(comes_in(WIRE_RUNNER, WIRE_AGENT, &message, 16, 0));
	}
}

/* Only a link and a configuration carry a descriptor, and just one; no other stays open. */
static void
test_descriptors_come_where_they_must(void)
{
	for (uint32_t type = 1; type < WIRE_TYPES; type++)
		for (size_t count = 0; count <= 16; count = count * 2 + 1) {
			enum wire_process from = WIRE_RUNNER, to = WIRE_RUNNER;
			any_direction(type, &from, &to);
			struct wire_message message = { .type = type,
				.generation = GENERATION };
			bool in =
			    comes_in(from, to, &message, 16 + payload(type), count);
			CU_ASSERT_EQUAL(in, count == (carries(type) ? 1 : 0));
		}
	struct wire_message empty = { 0 };
	CU_ASSERT_FALSE(comes_in(WIRE_RUNNER, WIRE_AGENT, &empty, 0, 1));
}

static void
test_texts_have_an_end(void)
{
	static const struct {
		uint32_t type;
		size_t at;
		enum wire_process from, to;
	} rows[] = {
		{ WIRE_PREPARED, offsetof(struct wire_message, prepared.why),
		    WIRE_AGENT, WIRE_RUNNER },
		{ WIRE_RELOADED, offsetof(struct wire_message, reloaded.why),
		    WIRE_RUNNER, WIRE_AGENT },
		{ WIRE_FENCE, offsetof(struct wire_message, fence.why), WIRE_RUNNER,
		    WIRE_AGENT },
		{ WIRE_FENCED, offsetof(struct wire_message, fenced.why), WIRE_WARDEN,
		    WIRE_RUNNER },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		for (size_t end = 0; end <= WIRE_WHY_MAX; end++) {
			struct wire_message message = {
				.type = rows[i].type,
				.generation = GENERATION,
			};
			char *why = (char *)&message + rows[i].at;
			memset(why, 'x', WIRE_WHY_MAX);
			if (end < WIRE_WHY_MAX)
				why[end] = '\0';
			bool in = comes_in(rows[i].from, rows[i].to, &message,
			    16 + payload(message.type), 0);
			CU_ASSERT_EQUAL(in, end < WIRE_WHY_MAX);
		}
}

static void
test_frames_fit_their_field(void)
{
	static const uint32_t says[] = { 0, 1, 127, 128, 129, 136, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LENGTH(says); i++) {
		struct wire_message message = {
			.type = WIRE_SEEN, .generation = GENERATION, .seen.len = says[i]
		};
		bool in = comes_in(WIRE_WARDEN, WIRE_AGENT, &message, 16 + 136, 0);
		CU_ASSERT_EQUAL(in, says[i] <= 128);
	}
}

/* Every order of three messages of three generations, before and after our turn from 0 to 1:
 * what comes in is some of 0, then some of 1, and no 1 before the turn. */
static bool
may_follow(bool turned, const int *generations, int count)
{
	for (int i = 0; i < count; i++)
		if (generations[i] > (turned ? 1 : 0) ||
		    (i > 0 && generations[i] < generations[i - 1]))
			return false;
	return true;
}

static void
test_turns(void)
{
	for (int way = 0; way < 2 * 3 * 3 * 3; way++) {
		bool turned = way / 27 == 1;
		int generations[] = { way % 3, way / 3 % 3, way / 9 % 3 };
		int fds[2], good = 0;
		struct loop *loop = loop_new();
		struct end runner;

		CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
		end_open(&runner, loop, fds[0], WIRE_RUNNER, WIRE_AGENT);
		if (turned)
			wire_turn(runner.wire, GENERATION + 1);
		while (good < 3 && may_follow(turned, generations, good + 1))
			good++;
		for (int i = 0; i < 3 && i <= good; i++) {
			struct wire_message pong = { .type = WIRE_PONG,
				.generation = GENERATION + (uint64_t)generations[i] };
			send_raw(fds[1], &pong, 16, NULL, 0);
		}
		run_until(loop, good < 3 ? &runner.closed : &runner.messages,
		    good < 3 ? 1 : 3);
		CU_ASSERT_EQUAL(runner.messages, good);
		CU_ASSERT_EQUAL(runner.closed, good < 3);
		end_close(&runner);
		close(fds[1]);
		loop_free(loop);
	}
}

/* What is sent after the turn says so; what was queued before it does not. */
static void
test_a_turn_keeps_its_place(void)
{
	struct loop *loop = loop_new();
	int fds[2], small = 4096, wrong = 0;
	struct end runner;
	struct wire_message in;
	uint64_t next = 1;

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	end_open(&runner, loop, fds[0], WIRE_RUNNER, WIRE_AGENT);
	for (uint64_t i = 1; i <= 100; i++) {
		struct wire_message message = { .type = WIRE_EXITED,
			.exited = { .run = i } };
		if (i == 50)
			wire_turn(runner.wire, GENERATION + 1);
		wire_send(runner.wire, &message, -1);
	}
	for (int i = 0; i < 200 && next <= 100; i++) {
		while (recv(fds[1], &in, sizeof(in), 0) > 0) {
			wrong += in.exited.run != next;
			wrong += in.generation != GENERATION + (next >= 50);
			next++;
		}
		run_for(loop, 0);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(next, 101);
	end_close(&runner);
	close(fds[1]);
	loop_free(loop);
}

static void
test_a_message_arrives_whole(void)
{
	struct loop *loop = loop_new();
	int fds[2];
	struct end runner, agent;
	struct wire_message message = { .type = WIRE_EXITED };

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	end_open(&runner, loop, fds[0], WIRE_RUNNER, WIRE_AGENT);
	end_open(&agent, loop, fds[1], WIRE_AGENT, WIRE_RUNNER);
	message.exited = (struct wire_exited){ .run = 7,
		.how = WIRE_EXIT_SIGNAL,
		.value = 9,
		.output_len = 5,
		.output = "hello" };
	wire_send(runner.wire, &message, -1);
	run_until(loop, &agent.messages, 1);
	CU_ASSERT_EQUAL(agent.messages, 1);
	CU_ASSERT_EQUAL(agent.last.generation, GENERATION);
	CU_ASSERT_EQUAL(agent.last.exited.run, 7);
	CU_ASSERT_EQUAL(agent.last.exited.how, WIRE_EXIT_SIGNAL);
	CU_ASSERT_EQUAL(agent.last.exited.value, 9);
	CU_ASSERT_EQUAL(agent.last.exited.output_len, 5);
	CU_ASSERT_NSTRING_EQUAL(agent.last.exited.output, "hello", 5);

	message = (struct wire_message){ .type = WIRE_LINK, .link = { 3 } };
	int pass[2];
	CU_ASSERT_EQUAL_FATAL(wire_pair(pass), 0);
	wire_send(runner.wire, &message, pass[0]);
	close(pass[0]);
	run_until(loop, &agent.messages, 2);
	CU_ASSERT_EQUAL(agent.last.link.instance, 3);
	CU_ASSERT_TRUE_FATAL(agent.fd >= 0);
	CU_ASSERT_TRUE((fcntl(agent.fd, F_GETFD) & FD_CLOEXEC) != 0);
	CU_ASSERT_EQUAL(write(agent.fd, "x", 1), 1);
	char c;
	CU_ASSERT_EQUAL(read(pass[1], &c, 1), 1);
	close(pass[1]);
	end_close(&runner);
	end_close(&agent);
	loop_free(loop);
}

/* The peer reads nothing for a while: what fits into socket and queue arrives in order,
 * with the descriptor, which the sender has closed in the meantime. */
static void
test_a_queue_keeps_order(void)
{
	struct loop *loop = loop_new();
	int fds[2], pass[2];
	struct end runner, agent;

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	int small = 4096;
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	end_open(&runner, loop, fds[0], WIRE_RUNNER, WIRE_AGENT);
	end_open(&agent, loop, fds[1], WIRE_AGENT, WIRE_RUNNER);
	for (uint64_t i = 1; i <= 100; i++) {
		struct wire_message message = { .type = WIRE_EXITED,
			.exited = { .run = i } };
		wire_send(runner.wire, &message, -1);
	}
	struct wire_message link = { .type = WIRE_LINK, .link = { 1 } };
	CU_ASSERT_EQUAL_FATAL(wire_pair(pass), 0);
	wire_send(runner.wire, &link, pass[0]);
	close(pass[0]);
	close(pass[1]);
	for (int want = 1; want <= 101; want++) {
		int before = agent.messages;
		run_until(loop, &agent.messages, before + 1);
		if (agent.last.type == WIRE_LINK)
			break;
		CU_ASSERT_EQUAL(agent.last.exited.run, (uint64_t)agent.messages);
	}
	CU_ASSERT_EQUAL(agent.messages, 101);
	CU_ASSERT_TRUE(agent.fd >= 0);
	CU_ASSERT_EQUAL(agent.closed + runner.closed, 0);
	end_close(&runner);
	end_close(&agent);
	loop_free(loop);
}

/* The socket has room again, but what was queued before goes first. */
static void
test_a_queue_is_not_overtaken(void)
{
	struct loop *loop = loop_new();
	int fds[2], small = 4096, wrong = 0;
	struct end runner;
	struct wire_message in;
	uint64_t next = 1;

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	end_open(&runner, loop, fds[0], WIRE_RUNNER, WIRE_AGENT);
	for (uint64_t i = 1; i <= 150; i++) {
		struct wire_message message = { .type = WIRE_EXITED,
			.exited = { .run = i } };
		wire_send(runner.wire, &message, -1);
		while (i == 100 && recv(fds[1], &in, sizeof(in), 0) > 0)
			wrong += in.exited.run != next++;
	}
	for (int i = 0; i < 200 && next <= 150; i++) {
		while (recv(fds[1], &in, sizeof(in), 0) > 0)
			wrong += in.exited.run != next++;
		run_for(loop, 0);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(next, 151);
	end_close(&runner);
	close(fds[1]);
	loop_free(loop);
}

static void
test_a_full_queue_closes_later(void)
{
	struct loop *loop = loop_new();
	int fds[2], before = count_entries("/proc/self/fd");
	struct end runner;

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	end_open(&runner, loop, fds[0], WIRE_RUNNER, WIRE_AGENT);
	for (int i = 0; i < 30000; i++)
		end_send(&runner, WIRE_PING);
	CU_ASSERT_EQUAL(runner.closed, 0);
	run_until(loop, &runner.closed, 1);
	CU_ASSERT_EQUAL(runner.closed, 1);
	CU_ASSERT_STRING_EQUAL(runner.why, "it does not read what is sent to it");
	run_for(loop, 20);
	CU_ASSERT_EQUAL(runner.closed, 1);
	end_close(&runner);
	close(fds[1]);
	CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), before);
	loop_free(loop);
}

/* An agent says "done" and ends, and its last words are heard although a ping to it has
 * failed meanwhile, whether or not it left pings unread. */
static void
test_last_words_are_heard(void)
{
	for (int way = 0; way < 4; way++) {
		bool unread = (way & 1) != 0, pinged = (way & 2) != 0;
		struct loop *loop = loop_new();
		int fds[2];
		struct end runner;
		struct wire_message done = { .type = WIRE_DONE,
			.generation = GENERATION };

		CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
		end_open(&runner, loop, fds[0], WIRE_RUNNER, WIRE_AGENT);
		if (unread)
			end_send(&runner, WIRE_PING);
		send_raw(fds[1], &done, 16, NULL, 0);
		close(fds[1]);
		if (pinged) {
			end_send(&runner, WIRE_PING);
			end_send(&runner, WIRE_STOP);
		}
		run_until(loop, &runner.closed, 1);
		CU_ASSERT_EQUAL(runner.messages, 1);
		CU_ASSERT_EQUAL(runner.last.type, WIRE_DONE);
		CU_ASSERT_EQUAL(runner.closed, 1);
		CU_ASSERT_STRING_EQUAL(runner.why, "it has ended");
		end_close(&runner);
		loop_free(loop);
	}
}

static void
test_freed_in_a_callback(void)
{
	struct loop *loop = loop_new();
	int fds[2];
	struct end agent;
	struct wire_message ping = { .type = WIRE_PING, .generation = GENERATION };

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	end_open(&agent, loop, fds[0], WIRE_AGENT, WIRE_RUNNER);
	agent.free_at = 2;
	for (int i = 0; i < 4; i++)
		send_raw(fds[1], &ping, 16, NULL, 0);
	run_until(loop, &agent.messages, 2);
	run_for(loop, 20);
	CU_ASSERT_EQUAL(agent.messages, 2);
	CU_ASSERT_EQUAL(agent.closed, 0);
	wire_free(NULL);
	close(fds[1]);
	loop_free(loop);
}

static void
test_names(void)
{
	for (uint32_t type = 1; type < WIRE_TYPES; type++)
		CU_ASSERT_STRING_NOT_EQUAL(wire_type_name(type), "unknown");
	CU_ASSERT_STRING_EQUAL(wire_type_name(WIRE_HOLD), "hold");
	CU_ASSERT_STRING_EQUAL(wire_type_name(0), "unknown");
	CU_ASSERT_STRING_EQUAL(wire_type_name(WIRE_TYPES), "unknown");
	CU_ASSERT_PTR_NOT_NULL(wire_refusal_text(WIRE_REFUSAL_KERNEL));
	CU_ASSERT_STRING_EQUAL(wire_refusal_text(WIRE_REFUSALS), "an unknown reason");
}

static const struct tap_case cases[] = {
	{ "only what the table has comes in", test_only_the_table_comes_in },
	{ "only exact sizes come in", test_only_exact_sizes_come_in },
	{ "output is as long as it says", test_output_is_as_long_as_it_says },
	{ "other generations close", test_other_generations_close },
	{ "descriptors come where they must", test_descriptors_come_where_they_must },
	{ "texts have an end", test_texts_have_an_end },
	{ "frames fit their field", test_frames_fit_their_field },
	{ "the peer turns once, after us", test_turns },
	{ "a turn keeps its place", test_a_turn_keeps_its_place },
	{ "a message arrives whole", test_a_message_arrives_whole },
	{ "a queue keeps its order", test_a_queue_keeps_order },
	{ "a queue is not overtaken", test_a_queue_is_not_overtaken },
	{ "a full queue closes, later", test_a_full_queue_closes_later },
	{ "last words are heard", test_last_words_are_heard },
	{ "freed in a callback", test_freed_in_a_callback },
	{ "names", test_names },
};

TAP_MAIN("wire", cases)
