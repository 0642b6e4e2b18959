/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_BLAME_H
#define LICTOR_BLAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blame;
struct conf;
struct process_end;

/*
 * Whose code the agent was in when it ended. A plugin with three such ends within a minute
 * is left out from then on, as the next agent says; lictord's own types never are. All of
 * them are after three crashes within a minute that were in no check's code.
 */
struct blame *blame_new(const struct conf *conf);
void blame_free(struct blame *blame);

/* The agent's blackbox, borrowed; -1: there is none. */
int blame_fd(const struct blame *blame);

/* The agent, if one runs, is told to turn to another configuration. Until blame_turned its
 * notes may be of either; if it ends before, nobody is blamed. Plugins keep their records by
 * name. */
void blame_turn(struct blame *blame, const struct conf *next, bool runs);
void blame_turned(struct blame *blame);

/* An agent has ended: in whose code, as the tail of a sentence, or "". Then the blackbox is
 * the next one's. `now` in milliseconds of any clock that goes on. */
void blame_end(struct blame *blame, const struct process_end *end, int64_t now,
    char *where, size_t size);

#endif
