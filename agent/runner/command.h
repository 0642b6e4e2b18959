/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_COMMAND_H
#define LICTOR_COMMAND_H

#include <stdint.h>

#include "agent/base/wire.h"

struct conf_command;
struct loop;
struct commands;

struct commands_out {
	void (*exited)(void *arg, const struct wire_exited *exited);
	void *arg;
};

/*
 * Configured commands as processes: argument list without a shell, own process group, the
 * command's user, environment and directory, standard input from /dev/null, output
 * collected without blocking (the tail is kept). At the deadline TERM, two seconds later
 * KILL, of the whole group. Reaped by pidfd: no zombie, no descriptor is left. At most 64
 * run at once, the rest wait their turn (the deadline counts from the order).
 */
struct commands *commands_new(struct loop *loop, const struct commands_out *out);
void commands_free(struct commands *commands);	/* kills and reaps what runs */

/* `extra`: more "NAME=value" for the environment, NULL at the end, or NULL. */
void commands_run(struct commands *commands, uint64_t run,
    const struct conf_command *command, const char *const *extra, int64_t timeout_ms);
void commands_kill(struct commands *commands, uint64_t run);
/* The agent that asked is gone: kill all of its checks; hooks run to their end. */
void commands_orphan(struct commands *commands);

#endif
