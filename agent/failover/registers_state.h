/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_REGISTERS_STATE_H
#define LICTOR_REGISTERS_STATE_H

#include <stddef.h>
#include <sys/queue.h>

#include "agent/consul/consul.h"
#include "agent/failover/registers.h"

/*
 * What registers.c (errands, permission, writes, life) and registers_read.c (reads, and what
 * they prove) share, and nobody else may see.
 */

#define REGISTERS_READ 60	/* in one errand: a transaction takes 64 operations */

/* A call out. */
struct errand {
	LIST_ENTRY(errand) link;
	struct registers *registers;
	struct consul_call *call;
	bool is_read;			/* counted in `reads` */
	size_t n_roles;
	uint32_t roles[REGISTERS_READ];
	char wid[ROLE_WID_SIZE];	/* of a write; one that was refused is told ... */
	struct loop_timer *refused;	/* ... when this is due; or NULL */
};

struct seat {
	const struct conf_role *conf;
	char *key;
	bool due;			/* a read was asked for */
	bool asking;			/* is the key really missing? */
	bool awaited;			/* it is, and a first one may not be made yet */
	bool seen;			/* this host has seen a register of the role */
	bool unreadable;		/* said */
	bool read_denied, write_denied;	/* said */
	int64_t init_after;		/* by loop_now, a first one was refused before */
	uint64_t index;			/* of the newest consistent read; 0: missing */
};

struct registers {
	struct loop *loop;
	struct consul *consul;
	const struct conf *conf;
	struct registers_out out;
	struct role_params params;	/* for a first register, but for its lease */
	bool bpf;
	char *state_dir;
	struct loop_timer *read_timer, *init_timer;
	bool unkept;			/* said of a marker */
	size_t reads;
	LIST_HEAD(errands, errand) errands;
	struct seat *seats;
};

/* registers.c: in the list of errands until it is freed; for no role yet, or for one. */
struct errand *registers_errand_new(struct registers *registers);
struct errand *registers_errand(struct registers *registers, uint32_t role);
void registers_errand_free(struct errand *errand);
void registers_errand_send(struct errand *errand, const struct consul_request *request,
    consul_done_fn *done);
/* Consul refused, or allowed, the role's keys to be read or written: said when it changes. */
void registers_denied(struct seat *seat, bool write, const struct consul_reply *reply);
void registers_granted(struct seat *seat, bool write);
/* A call about the role is of no use after so long. */
int64_t registers_lease(const struct registers *registers, uint32_t role);
/* This host has seen a register of the role, and remembers it. */
void registers_mark(struct registers *registers, struct seat *seat);

/* registers_read.c: the two timers. */
void registers_read_due(void *arg);
void registers_init_due(void *arg);

#endif
