/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FENCE_KIND_H
#define LICTOR_FENCE_KIND_H

#include <stdbool.h>

struct conf;
struct fence_kind;
struct loop;
struct process;
struct wire_fenced;

/*
 * Which kind of fence it is: found out once, by the first warden, and the same for the rest of
 * this runner's life. The two processes are borrowed; each start of theirs and each word of the
 * warden about it is to be told here. `settled`: the warden has one, or has said why not, and the
 * agent knows: they may be linked.
 */
struct fence_kind_out {
	void (*settled)(void *arg);
	void *arg;
};
struct fence_kind *fence_kind_new(struct loop *loop, const struct conf *conf,
    struct process *agent, struct process *warden, const struct fence_kind_out *out);
void fence_kind_free(struct fence_kind *fence);

/* The warden has no place for what it pins: with `auto` that decides it. Before its start. */
void fence_kind_no_folder(struct fence_kind *fence, const char *why);
void fence_kind_started(struct fence_kind *fence, const struct process *process);
void fence_kind_answer(struct fence_kind *fence, const struct wire_fenced *answer);
/* Of the warden that runs now. */
bool fence_kind_settled(const struct fence_kind *fence);

/* Another configuration counts; the option `fence` is the same in it. */
void fence_kind_turn(struct fence_kind *fence, const struct conf *conf);

#endif
