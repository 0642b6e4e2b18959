/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_COMMAND_H
#define LICTOR_COMMAND_H

#include <stdint.h>

#include "agent/base/wire.h"

struct conf_command;
struct loop;
struct commands;

struct commands_out {
	/* Each run is answered once, never from within commands_run. */
	void (*exited)(void *arg, const struct wire_exited *exited);
	void *arg;
};

/*
 * Configured commands as processes: argument list without a shell, own process group, the
 * command's user, environment and directory, standard input from /dev/null, output
 * collected without blocking (the tail is kept). At the deadline TERM, two seconds later
 * KILL, of the whole group; the answer is given when the process itself has ended. Reaped
 * by pidfd: no zombie, no descriptor is left. At most 64 run at once, never two of one
 * command nor two hooks of one role; the rest wait their turn (the deadline counts from
 * the order).
 */
struct commands *commands_new(struct loop *loop, const struct commands_out *out);
void commands_free(struct commands *commands);	/* kills and reaps what runs */

/* `arguments` are added to the command's own, `environment` ("NAME=value") to its own;
 * both are copied, NULL at the end, or NULL. */
void commands_run(struct commands *commands, uint64_t run,
    const struct conf_command *command, const char *const *arguments,
    const char *const *environment, int64_t timeout_ms);
void commands_kill(struct commands *commands, uint64_t run);
/* The agent that asked is gone: kill all of its checks; hooks run to their end. Nobody is
 * told of either. */
void commands_orphan(struct commands *commands);

#endif
