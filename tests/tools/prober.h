/* SPDX-License-Identifier: ISC */
/*
 * What the parts of prober share: its state, and what they do for one another.
 * prober_frame.c makes questions and reads answers, prober_socket.c has the sockets and
 * the clock, prober_seen.c counts; prober.c has the options and the loop.
 */
#ifndef TESTS_TOOLS_PROBER_H
#define TESTS_TOOLS_PROBER_H

#include <net/ethernet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define HOSTS 8
#define RING 1024 /* questions whose answers are still told apart */
#define FRAME 128 /* bytes, enough for any question */
#define MS_NS 1000000

enum kind { NEIGHBOUR, ECHO, UDP, KINDS };

struct seen {
	uint64_t answers;
	int64_t first, last; /* ns of CLOCK_BOOTTIME */
};

struct question {
	uint32_t number;
	int64_t sent_at;
	unsigned int hosts[KINDS]; /* a bit for each that answered */
	unsigned int counted[KINDS]; /* 1: as unclear, 2: as dual */
};

struct prober {
	int fd, udp_fd, family;
	bool asks[KINDS], events;
	unsigned int port, own_port;
	int64_t every_ns, for_ms;
	unsigned char address[16], own_address[16], own[ETH_ALEN];
	unsigned char macs[HOSTS][ETH_ALEN];
	unsigned int n_macs, holder; /* holder: who answered last; n_macs: nobody yet */
	bool answering[HOSTS];
	uint32_t answered[HOSTS]; /* the newest question */
	struct seen seen[KINDS][HOSTS];
	uint32_t number, begun; /* begun: the number before the first of this report */
	struct question ring[RING];
	int64_t held_at, longest, longest_end, asked_at, pause;
	uint64_t dual, unclear, switches;
};

/* The number with which it is asked is p->number; the question's length. */
size_t frame_question(const struct prober *p, enum kind kind, const unsigned char *mac,
    unsigned char frame[FRAME]);

/* What a host sends that has taken the address; its length. */
size_t frame_claim(const struct prober *p, unsigned char frame[FRAME]);

/* Which kind of question a frame of 42 bytes or more answers, or KINDS, and the number's
 * low 16 bits. */
enum kind frame_read(
    const struct prober *p, const unsigned char *f, size_t len, unsigned int *number);

int64_t clock_ns(clockid_t id);

/* 0, or -1 and errno. */
int socket_open(struct prober *p, const char *interface);

/* Takes a port, so that the kernel does not refuse what comes back to it. 0 or -1. */
int socket_take_port(struct prober *p);

/* The interface's own address, of the address's family; not a link-local one. */
bool socket_own_address(struct prober *p, const char *interface);

/* All that has come; each with the time at which the kernel got it. */
void socket_gather(struct prober *p,
    void (*take)(struct prober *, const unsigned char *frame, size_t len, int64_t at));

const char *kind_name(enum kind kind);

/* A frame came: counted if it answers a question of ours. */
void seen_frame(struct prober *p, const unsigned char *frame, size_t len, int64_t at);

/* Tells which hosts do not answer any more. */
void seen_silence(struct prober *p, int64_t now);

/* Prints what was seen. */
void seen_report(const struct prober *p);

/* Forgets what was seen; from now on counts anew. */
void seen_begin(struct prober *p, int64_t now);

#endif
