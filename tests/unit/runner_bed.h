/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_RUNNER_BED_H
#define LICTOR_TESTS_RUNNER_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/wire.h"
#include "tests/unit/tap.h"

struct conf;

#define FENCE_VARIABLE "LICTOR_TEST_FENCE" /* set: a warden says nothing of its fence */
#define LIMIT_MS 20000 /* for what must come; no test waits so long unless it fails */

/* What the test says beside the wire's own types. */
enum { SAY_DEAF = 1000, SAY_EXIT, SAY_CROSS };

/* What a puppet tells: its start (type 0), then each message that it hears. */
struct told {
	enum wire_process kind;
	pid_t pid;
	uint64_t generation; /* that it runs */
	bool fd_works;
	struct wire_message message;
};

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

/* Into the folder, in place of what was there. */
void write_file(const char *folder, const char *name, const char *text);
/* Another one, with the same configuration. */
pid_t start_runner(const struct bed *bed);
bool can_read(int fd, int64_t limit_ms);
/* The next process that the runner starts. */
bool meet(struct bed *bed, struct told *told, int64_t limit_ms);
/* The next message of that type which the puppet hears. */
bool hears(int fd, uint32_t type, struct told *told, int64_t limit_ms);
/* What the puppet is to say to the runner. */
void say(int fd, const struct wire_message *message);
void say_type(int fd, uint32_t type);
/* The next such word to systemd. */
bool notified(struct bed *bed, const char *want, int64_t limit_ms);
/* -1: a signal ended it, -2: it has not ended. */
int exit_status(pid_t pid, int64_t limit_ms);
/* Both hear of a fresh link, which works. */
bool both_linked(struct bed *bed, uint32_t instance);
/* Its two processes run. */
void bed_begin(struct bed *bed, const char *options);
/* … and are linked. */
void bed_open(struct bed *bed);
void bed_close(struct bed *bed);
/* In place of TAP_MAIN_APART, for a program that is its own puppets. */
int puppets_main(int argc, char **argv, const char *suite, const struct tap_case *cases,
    size_t count);

#endif
