/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_COMMAND_BED_H
#define LICTOR_COMMAND_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/wire.h"
#include "agent/conf/conf.h"

#define RESULTS_MAX 512

struct result {
	struct wire_exited exited;
	int64_t at;
};

/* The runner's commands on a loop of their own, and what they have answered. */
struct bed {
	struct loop *loop;
	struct commands *commands;
	struct loop_timer *limit;
	struct result *results;
	size_t count, wanted, waited;
	int fds;
	bool late;
	char *group; /* the delegated control group that we are in, or NULL */
};

/* `delegated`: in a control group that is marked as ours, as systemd would make it. */
struct bed *bed_new(bool delegated);
/* No descriptor and no child is left, neither running nor zombie. */
void bed_free(struct bed *bed);
/* Such groups can be made here. */
bool bed_can_delegate(void);

/* Until so many more answers came; false: not within the limit. */
bool await(struct bed *bed, size_t count, int64_t limit_ms);

/* /bin/sh -c text, as a check's command. */
struct conf_command shell(char *argv[4], const char *text);
/* Runs one and gives its result; valid until the bed is freed. */
const struct wire_exited *run_command(
    struct bed *bed, const struct conf_command *command, int64_t timeout_ms);
const struct wire_exited *run_shell(
    struct bed *bed, const char *text, int64_t timeout_ms);
bool output_is(const struct wire_exited *exited, const char *text);

bool process_lives(pid_t pid);
/* Waits on the loop until the process is gone. */
bool await_death(struct bed *bed, pid_t pid, int64_t limit_ms);

#endif
