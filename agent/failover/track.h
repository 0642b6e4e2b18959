/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TRACK_H
#define LICTOR_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "checks/check.h"

struct conf;
struct conf_check;
struct track;

struct track_out {
	/* What counts from now on: 0 to the configured priority. */
	void (*priority)(void *arg, uint32_t role, unsigned int effective);
	void *arg;
};

/*
 * The priorities of this host's roles, by what they track: each check and interface that has
 * failed takes its weight from the configured one, all together no more than there is. What is
 * not known has not failed. Pure but for the log.
 */
struct track *track_new(const struct conf *conf, const struct track_out *out);
void track_free(struct track *track);

/* Tells all priorities that are not the configured ones: to roles that are new. */
void track_tell(const struct track *track);

void track_check(struct track *track, const struct conf_check *check,
    enum check_status status, bool known);
/* `index` into conf->tracks, as the warden says it. */
void track_interface(struct track *track, uint32_t index, bool up);

unsigned int track_priority(const struct track *track, uint32_t role);

/* What is tracked in `next` as well stays as it is known; the states of checks that are new in
 * it are to be told after this. */
void track_reload(struct track *track, const struct conf *next);

#endif
