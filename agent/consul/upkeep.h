/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_UPKEEP_H
#define LICTOR_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/consul/upkeep_file.h"

struct conf;
struct conf_changes;
struct conf_service;
struct loop;
struct upkeep;

struct upkeep_out {
	/* Our own maintenance of a service, as Consul is to show it. */
	void (*ours)(void *arg, const struct conf_service *service, bool on,
	    const char *reason);
	/* A service, or (NULL) this host, is in a maintenance, of ours or of Consul's; NULL:
	 * in none. */
	void (*changed)(
	    void *arg, const struct conf_service *service, const char *why);
	void *arg;
};

/* Milliseconds: one that counts a suspend and never jumps, and one for people. */
struct upkeep_clock {
	int64_t (*boot)(void);
	int64_t (*wall)(void);
};

/* What of a service or (NULL) of this host is asked for by us, and by Consul. */
struct upkeep_view {
	bool ours, theirs;
	int64_t until, left_ms;		/* of ours; 0: no end. `until` is of the wall clock */
	const char *reason, *who;	/* of ours */
	const char *their_reason;	/* escaped */
};

/*
 * Who is in maintenance: by an operator's word to lictor, which may end by itself and
 * survives a restart in the file `path`, or by Consul's maintenance mode.
 */
struct upkeep *upkeep_new(struct loop *loop, const struct conf *conf, const char *path,
    const struct upkeep_clock *clock, const struct upkeep_out *out);
/* What is not written yet is written now. */
void upkeep_free(struct upkeep *upkeep);

/* Reads what was kept and tells it. */
void upkeep_start(struct upkeep *upkeep);

/* The configuration is `next` from now on; after report and roles know it. A maintenance stays
 * with its service, and is over where that is gone. */
void upkeep_reload(struct upkeep *upkeep, const struct conf *next,
    const struct conf_changes *changes);

/* Begins ours, of a service or (NULL) of the whole host, or changes it; span_ms 0: until it
 * is ended. What is longer than its field is cut. */
void upkeep_begin(struct upkeep *upkeep, const struct conf_service *service,
    int64_t span_ms, const char *reason, const char *who);
/* Ends ours; of the whole host: all. 0, or -ENOENT with `why`. */
int upkeep_end(struct upkeep *upkeep, const struct conf_service *service,
    const char *who, char *why, size_t why_size);

/* Consul's word, of a service or (NULL) of the node; `reason` as it came. */
void upkeep_consul(struct upkeep *upkeep, const struct conf_service *service, bool on,
    const char *reason);

/* As `changed` said it last. */
const char *upkeep_why(
    const struct upkeep *upkeep, const struct conf_service *service);
void upkeep_view(const struct upkeep *upkeep, const struct conf_service *service,
    struct upkeep_view *view);

/* Whether all of ours is on the disk; false, with `why` "" while that is under way. */
bool upkeep_kept(const struct upkeep *upkeep, char *why, size_t why_size);

#endif
