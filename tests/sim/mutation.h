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
	/* with heartbeats */
	MUTATE_LONGLIFE,	/* S1: a deadline as far away as the hold */
	MUTATE_TSEND,		/* S6: the wait starts when the claim is sent */
	MUTATE_NOPROMISE,	/* S6: a waiting taker acknowledges */
	MUTATE_REVIVE,		/* S6b: a superseded master is acknowledged */
	MUTATE_SHORTWN,		/* S7: who is no member waits for the lease alone */
	MUTATE_GIVEWAIT,	/* S8: an ABANDON clears the fence */
	MUTATE_GROWLATE,	/* S9: a new member binds once it is known to be applied */
	MUTATE_SHRINKEARLY,	/* S9: a member binds no more once the new record is sent */
	MUTATE_LITERALS14,	/* S14: a longer hold counts once it is HELD, not once sent */
	MUTATE_LOWERADOPT,	/* S14: a restart adopts with the smaller lease */
	MUTATE_NODUP,		/* S16: a namesake's record is taken for the own one */
	MUTATE_NOHBREV,		/* S17: a higher revision in a heartbeat is not heeded */
	MUTATE_EQUALREV,	/* S17: two masters of one revision both stay */
	MUTATE_NOGRACE2B,	/* S17: decisions right after a start */
	MUTATE_HOOKHOLD,	/* 6.2: a lapse waits for the demote hook */
	MUTATE_HOOKGIVE,	/* 6.2: GIVE while the demote hook runs */
	MUTATE_CALMKEEP,	/* 6: a missing acknowledgement does not end the calm */
	MUTATE_OLDINDEX,	/* 5: what is written anew is not taken at its new index */
	/* in the simulation's own warden and kernel */
	MUTATE_NODEADMAN,	/* A4: nothing removes the address at its deadline */
	MUTATE_OLDSOCKET,	/* 9: the orders of a dead agent are carried out */
	MUTATIONS
};

bool mutation_is(enum mutation rule);
void mutation_set(enum mutation rule);
const char *mutation_name(enum mutation rule);
enum mutation mutation_find(const char *name);	/* MUTATIONS: there is none */

#define mutated(rule) mutation_is(MUTATE_##rule)

#endif
