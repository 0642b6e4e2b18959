/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TRUST_H
#define LICTOR_TRUST_H

struct blackbox;
struct conf;
struct sched;

/* Before sched_start: checks of plugins that are not loaded are left out, and those of the
 * type in which the agent before this one ended begin later. */
void trust_withdraw(
    struct sched *sched, const struct conf *conf, const struct blackbox *box);

/* After a reload: what is left out stays so, in added checks too. */
void trust_reload(struct sched *sched, const struct conf *next);

#endif
