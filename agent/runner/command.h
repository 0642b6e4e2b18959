/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_COMMAND_H
#define LICTOR_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/wire.h"

struct conf;
struct conf_command;
struct loop;
struct commands;

struct commands_out {
	/* Each run is answered once, never from within commands_run: a WIRE_EXITED, which
	 * may be sent as it is. */
	void (*exited)(void *arg, struct wire_message *message);
	/* A check's run that had to wait begins: its time counts from now. */
	void (*started)(void *arg, uint64_t run);
	void *arg;
};

/*
 * Configured commands as processes: argument list without a shell, own session and process
 * group, the command's user, environment, directory and limits, standard input from
 * /dev/null, output collected without blocking (the tail is kept). At the deadline TERM to
 * its group, two seconds later KILL of all that it started, in whatever group or session;
 * the answer is given when the process itself has ended. What a check leaves behind at its
 * end is killed as well; what a hook leaves is not. Reaped by pidfd, orphans too: no zombie,
 * no descriptor is left. At most 64 run at once, never two of one command nor two hooks of
 * one role, be it that the agent which ordered the first is dead; the rest wait their turn, for
 * as long as their timeout, which counts anew from the start.
 *
 * `place` is this lictord's among all of the machine, and its successor's (struct place):
 * what checks of a predecessor left is killed at the start.
 */
struct commands *commands_new(
    struct loop *loop, uint64_t place, const struct commands_out *out);
void commands_free(struct commands *commands);	/* kills and reaps what runs */

/* `arguments` are added to the command's own, `environment` ("NAME=value") to its own;
 * both are copied, NULL at the end, or NULL. */
void commands_run(struct commands *commands, uint64_t run,
    const struct conf_command *command, const char *const *arguments,
    const char *const *environment, int64_t timeout_ms);
void commands_kill(struct commands *commands, uint64_t run);
/* Is something of that configuration still to be run, running or ending? */
bool commands_use(const struct commands *commands, const struct conf *conf);
/* Does a hook run, or wait to, or has one ended so lately that its role may be on its way? */
bool commands_run_hooks(const struct commands *commands);
/* The agent that asked is gone: kill all of its checks; hooks run to their end. Nobody is
 * told of either. */
void commands_orphan(struct commands *commands);

#endif
