/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SIM_MUTATION_H
#define LICTOR_SIM_MUTATION_H

#include <stdbool.h>

/* Rules of the protocol that the simulation can break in its own copy of the machine; it
 * must find out each time. */
enum mutation {
	MUTATE_NOTHING,
	MUTATE_RESURRECT,	/* S2: the event is looked at before the lapse */
	MUTATE_READADOPT,	/* S3: MASTER by a read that says "yours" */
	MUTATE_LATEREPLY,	/* S4: an abandoned write still counts */
	MUTATE_CLAIMCONFIRM,	/* S5: a claimed register confirms */
	MUTATE_NOFENCE,		/* S6: no wait */
	MUTATE_SHORTW,		/* S6: four fifths of the wait */
	MUTATE_CHAIN,		/* S8: a claim puts its own name into the fence record */
	MUTATE_BINDLATE,	/* S9: a shorter lease binds once it is known to be applied */
	MUTATE_STALEREAD,	/* S10: older content replaces newer */
	MUTATE_SAMEVAL,		/* S12: a write of the same value */
	MUTATE_RESTARTKEEP,	/* S13: a leftover address is refreshed before the OWN */
	MUTATE_LOWERLEASE,	/* S14: a shorter lease before the deadlines are */
	MUTATE_GONEORDER,	/* S15: an answer to an older order counts */
	MUTATIONS
};

bool mutation_is(enum mutation rule);
void mutation_set(enum mutation rule);
const char *mutation_name(enum mutation rule);
enum mutation mutation_find(const char *name);	/* MUTATIONS: there is none */

#define mutated(rule) mutation_is(MUTATE_##rule)

#endif
