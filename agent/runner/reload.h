/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_RELOAD_H
#define LICTOR_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct loop;
struct process;
struct process_conf;
struct reload;
struct wire_message;

struct reload_out {
	/* `next` counts from here on. It and the descriptor are the callee's now, who changes
	 * what processes are started with. */
	void (*swap)(
	    void *arg, struct conf *next, const struct process_conf *as_started);
	/* It is over, so or so: both run what counts. */
	void (*over)(void *arg);
	void *arg;
};

/* `folder`: of the configuration. The two processes are borrowed; each start, message and end
 * of theirs is to be told here. */
struct reload *reload_new(struct loop *loop, const char *folder, struct process *agent,
    struct process *warden, const struct conf *conf, const struct reload_out *out);
void reload_free(struct reload *reload);

/* SIGHUP (`request` 0), or an operator, who gets an answer. One that goes on is not disturbed:
 * another follows it. */
void reload_ask(struct reload *reload, uint64_t request);
/* No reload begins any more, and one that can be is given up. */
void reload_stop(struct reload *reload);
/* None goes on or is asked for. */
bool reload_idle(const struct reload *reload);
/* To an operator who waits for what else is asked of the runner. */
void reload_answer(
    const struct reload *reload, uint64_t request, bool ok, const char *why);
/* Do the two run different configurations at this moment? Then they cannot be linked. */
bool reload_turns(const struct reload *reload);

void reload_started(struct reload *reload, struct process *process);
void reload_message(struct reload *reload, const struct process *process,
    const struct wire_message *message);
void reload_ended(struct reload *reload, const struct process *process);

#endif
