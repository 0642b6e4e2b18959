/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_WARDEN_BED_H
#define LICTOR_WARDEN_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/netlink.h"

struct loop;
struct pace;

#define LIMIT_MS 20000 /* for what must come; no test waits so long unless it fails */
/* Almost a second more than what the kernel is told: it has that long to set an address. */
#define LEASE_MS 20900
#define BRIEF_MS 2900 /* of a lease whose end is awaited */
#define LATE_MS 50 /* so far a lifetime may reach beyond the lease */
#define REFRESH_MS 300
#define ANSWERS_MAX 256

enum { V4, V6, MISSING, VIPS };
extern const char *const texts[VIPS];

struct bed {
	struct loop *loop;
	struct conf conf;
	struct conf_vip vips[VIPS], *pointers[VIPS];
	struct wire *runner, *agent;
	pid_t pid;
	uint32_t instance;
	uint64_t order;
	uint32_t ordered; /* the vip of that order */
	struct wire_message answers[ANSWERS_MAX];
	size_t count, wanted;
	int up[VIPS]; /* -1: not told */
	int64_t stands[VIPS]; /* told on the newest link, before `up`; 0: not */
	unsigned int pongs, prepared, committed;
	bool agent_closed, refused;
	uint64_t generation;
	struct pace *pace;
	struct netlink *kernel;
	struct told {
		unsigned int set, removed; /* so often */
		uint32_t valid_s; /* of the newest */
		int64_t removed_at;
		unsigned int hooks; /* of the bed, when it was removed */
	} told[VIPS]; /* by the kernel */
	unsigned int hooks; /* so often something was changed there */
	int64_t until_ms[VIPS]; /* of the newest hold */
	enum wire_fence kind;
	const char *folder; /* of the fence; NULL: there is none */
	unsigned int fenced; /* answers of the warden to it */
	struct wire_fenced fence; /* the newest */
	unsigned int rivals[2]; /* told, by wire_rival_kind */
};

/* Of the beds to be opened; of the program as a whole. */
extern const enum wire_fence fence_kind;
/* What such beds need. False: printed is the TAP line that skips the whole test. */
bool bed_enter(void);

void bed_open(struct bed *bed);
void bed_close(struct bed *bed);
/* A warden with the kind of fence, and an agent that was told of each interface. */
void bed_start(struct bed *bed);
/* The steps of that. */
void start_warden(struct bed *bed);
void send_fence(struct bed *bed, enum wire_fence kind, bool fixed);
bool fence_answered(void *arg);
void link_agent(struct bed *bed, uint32_t instance);
bool carriers_told(void *arg);
bool agent_closed(void *arg);
bool pong_came(void *arg);
/* Its exit status, or -1. */
int await_end(struct bed *bed);
void kill_warden(struct bed *bed);

/* What the kernel says from now on. */
void forget_told(struct bed *bed);
bool v4_removed(void *arg);
bool both_removed(void *arg);
bool both_set(void *arg);
/* Not later than `slack_ms` after its end, as far as this machine is not to blame. */
bool ended_on_time(
    const struct bed *bed, unsigned int vip, int64_t end, int64_t slack_ms);

bool is_there(unsigned int vip);
/* The kernel's lifetime in seconds; -1: for ever, or not there. */
long lifetime(unsigned int vip);
bool await_there(struct bed *bed, unsigned int vip, bool there);
/* As the kind of fence keeps to the end of the newest hold. */
bool is_leased(const struct bed *bed, unsigned int vip);
bool await_leased(struct bed *bed, unsigned int vip);

void send_hold(
    struct bed *bed, uint32_t vip, uint64_t term, int64_t until_ms, bool announce);
void send_drop(struct bed *bed, uint32_t vip, uint64_t up_to);
bool await_answers(struct bed *bed, size_t count);
/* The one answer to the newest order. */
bool answered(struct bed *bed, enum wire_type type, enum wire_refusal reason);
bool hold(struct bed *bed, uint32_t vip, uint64_t term, int64_t lease_ms);
bool drop(struct bed *bed, uint32_t vip, uint64_t up_to);

/* ---- reloads ---- */

/* The three of these, by bits. */
enum { FIRST = 1, SECOND = 2, THIRD = 4, ALL = 7 };
/* A failover section with the lease LEASE_MS. */
extern const char calm[];

/* The i-th is there, with that prefix; which of the three are there. */
bool is_set(size_t i, const char *prefix);
unsigned int all_set(void);
/* Of these addresses, from the last to the first if `back`; `options` of the failover section,
 * `prefix` behind the first address. */
struct conf *make_next(
    unsigned int set, bool back, const char *options, const char *prefix);
bool prepare_fd(struct bed *bed, int fd, uint64_t next);
bool prepare(struct bed *bed, const struct conf *next);
void send_step(struct bed *bed, uint32_t type, uint64_t next);
/* The warden is to turn to it, which is freed, and the agent gets another link. */
bool reload(struct bed *bed, struct conf *next);

#endif
