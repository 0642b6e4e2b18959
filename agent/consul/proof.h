/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PROOF_H
#define LICTOR_PROOF_H

#include <stdbool.h>
#include <stdint.h>

struct consul;
struct ledger;
struct loop;
struct proof;

struct proof_out {
	/* Something may differ from what the agent was told: its picture is to be read. */
	void (*look)(void *arg);
	/* The connection broke: the agent may be another, that knows nothing. */
	void (*broken)(void *arg);
	/* What the agent shows has been read, and nothing is on its way to it. */
	bool (*settled)(void *arg);
	void *arg;
};

/*
 * The proof that what was registered is there: blocking queries for what Consul's servers
 * show of this node, and for "lictor" at the agent itself. What others change or lose is
 * noticed at once; what the agent took and its servers do not show is registered again,
 * and said when that does not help.
 */
struct proof *proof_new(struct loop *loop, struct consul *consul, struct ledger *ledger,
    const char *node, const struct proof_out *out);
void proof_free(struct proof *proof);

/* The agent's picture was read; it was asked for at `asked_at` (loop_now). */
void proof_looked(struct proof *proof, int64_t asked_at);

#endif
