/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PEER_STATE_H
#define LICTOR_PEER_STATE_H

#include <sys/socket.h>

#include "agent/failover/peer.h"
#include "agent/failover/pulse.h"

/*
 * What peer.c (the socket, life), peer_talk.c (who is believed), peer_table.c (nodes and roles) and
 * peer_view.c (what is wrong, for people) share, and nobody else may see.
 */

#define PEERS_MAX 64	/* other nodes */
#define LINKS_MAX 16	/* of one role */
#define PEER_DAY_MS (24 * 3600 * 1000LL)
#define PEER_ASK_MS 5000	/* silence, after which a peer is asked for a sign of life */
#define PEER_SILENT_MS 10000	/* then something is wrong */
#define PEER_SAY_MS 3000	/* a fault that lasts so long is said */

/* What is wrong with hearing a peer, or with being heard by it. */
enum peer_fault {
	PEER_FINE,
	PEER_KEY,	/* it signs with another key */
	PEER_VERSION,
	PEER_SILENT,	/* present, and nothing comes */
	PEER_DEAF,	/* it is heard, and answers nothing */
	PEER_ERROR,	/* of the kernel, about what was sent */
};
#define PEER_FAULTS (PEER_ERROR + 1)

struct peer_trouble {
	enum peer_fault fault;
	int error;			/* errno of PEER_ERROR */
	int64_t since;
	bool said;
};

/* So many answers in the second that began then. */
struct peer_hellos {
	int64_t since;
	unsigned int count;
};

struct peer {
	char node[ROLE_NODE_SIZE];
	struct sockaddr_storage where;	/* family 0: not known */
	char address[INET6_ADDRSTRLEN];	/* the same */
	unsigned int port;
	char place[INET6_ADDRSTRLEN];	/* what its presence said last, and its port */
	unsigned int place_port;
	uint64_t place_inst;
	bool hb;
	int64_t present_since;		/* with heartbeats; 0: it is not */
	unsigned int presences;		/* roles that it is present for */
	uint64_t inst;			/* that lives, as it has proved; 0: none yet */
	uint64_t seq;			/* of it, the newest that was heard */
	size_t key;			/* which signed that */
	uint64_t echo;			/* of us, the newest that a proof of it answered */
	int64_t heard_at, answered_at;	/* any message; one that shows that it hears us */
	int64_t asked_at;		/* for it was silent */
	uint64_t asked_seq;		/* of what was asked last, at ... */
	int64_t asked_us;
	int64_t rtt_us;			/* -1: not known */
	struct peer_hellos hellos[2];	/* [1]: to where it is */
	unsigned int version;
	unsigned int version_said;	/* another than ours, in the log: once */
	uint64_t sent, heard, refused, errors;
	struct peer_trouble in, out;
	int64_t said_at[PEER_FAULTS];	/* of each, when it was last said; 0: never */
};

/* A node and a role. */
struct peer_link {
	struct peer *peer;
	bool present, member;
};

struct peer_row {
	uint64_t id;			/* pulse_role */
	size_t count;
	struct peer_link links[LINKS_MAX];
};

struct peers {
	struct loop *loop;
	const struct conf *conf;
	struct peers_out out;
	char node[ROLE_NODE_SIZE];
	uint64_t inst, seq;
	struct pulse_keys keys;
	char advertised[INET6_ADDRSTRLEN];
	int fd;				/* -1: closed */
	struct loop_io *io;
	char bound[INET6_ADDRSTRLEN];	/* where to, and ... */
	unsigned int bound_port;
	int bind_error;			/* ... why not, said once */
	struct loop_timer *tick, *tell;
	bool told_able;
	bool namesake;			/* told */
	int64_t beat_ts, beat_us;	/* the newest heartbeat's ts, and when it was sent */
	uint64_t strangers;		/* messages of hosts that are no peers, refused */
	int64_t stranger_said_at;	/* 0: never */
	size_t count;
	struct peer *list[PEERS_MAX];
	struct peer_row *rows;		/* by the role's index */
};

/* peer.c: one datagram to the peer, numbered; node, from and seq of it are filled in. `where`
 * NULL: to its own address. */
void peers_send(struct peers *peers, struct peer *peer,
    const struct sockaddr_storage *where, struct pulse *pulse);

/* peer_talk.c: what the socket had, from there. */
void peers_hear(struct peers *peers, const uint8_t *data, size_t len,
    const struct sockaddr_storage *from);
/* Once a second: who is silent is asked, or said to be. */
void peers_care(struct peers *peers);

/* peer_table.c */
struct peer *peers_find(const struct peers *peers, const char *node);
bool peer_is_at(const struct peer *peer, const struct sockaddr_storage *where);
struct peer *peers_find_address(const struct peers *peers,
    const struct sockaddr_storage *where);
/* Found or made; NULL: there are too many. */
struct peer *peers_get(struct peers *peers, const char *node);
struct peer_row *peers_row(struct peers *peers, uint64_t id, uint32_t *role);
struct peer_link *peers_link(struct peers *peers, struct peer_row *row, struct peer *peer);
void peers_forget(struct peers *peers);	/* who has no place any more */
void peers_recount(struct peers *peers);	/* the same, and who is present */
bool peer_set_where(struct peer *peer, const char *address, unsigned int port);
void peer_take_where(struct peer *peer, const struct sockaddr_storage *where);
bool peers_is_self(const struct peers *peers, const struct peer *peer);

/* Microseconds, for round trips alone. */
int64_t peers_clock_us(void);

/* peer_view.c: this is wrong now; said when it has lasted. PEER_FINE: it is over. */
void peers_trouble(struct peers *peers, struct peer *peer, struct peer_trouble *trouble,
    enum peer_fault fault, int error);
/* A message of no peer was refused. */
void peers_stranger(struct peers *peers, const struct sockaddr_storage *from);

#endif
