/* SPDX-License-Identifier: ISC */
/*
 * The runner and its two processes: what it does when one dies, hangs or misbehaves, how all
 * of it stops, which fence they have, what systemd is told and which commands run.
 */
#include "agent/runner/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "tests/unit/runner_bed.h"
#include "tests/unit/tap.h"

#define SHORT_LIFE_MS 1000 /* process.c */
#define PAUSE_MS 100 /* before one that died early is started again */

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
};

int
main(int argc, char **argv)
{
	return puppets_main(argc, argv, "runner", cases, ARRAY_LENGTH(cases));
}
