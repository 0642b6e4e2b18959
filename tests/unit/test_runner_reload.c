/* SPDX-License-Identifier: ISC */
/*
 * A reload as the runner carries it out over its two processes: both turn or neither, in
 * which order, and what becomes of deaths, commands and a stop meanwhile.
 */
#include "agent/runner/reload.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "tests/unit/entries.h"
#include "tests/unit/runner_bed.h"
#include "tests/unit/tap.h"

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

	return count_entries(path);
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
	return puppets_main(argc, argv, "runner_reload", cases, ARRAY_LENGTH(cases));
}
