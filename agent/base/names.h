/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_NAMES_H
#define LICTOR_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/net.h"
#include "agent/base/resolve.h"

struct names;

/* What a name stands for; shared, never changed once it is made. */
struct answer {
	unsigned int users;
	enum net_error error; /* NET_OK: there are addresses */
	char why[96];
	size_t count;
	union resolve_address addresses[];
};

/* With one user. `addresses` are copied. */
struct answer *answer_new(const union resolve_address *addresses, size_t count);
struct answer *answer_new_fault(enum net_error error, const char *why);
struct answer *answer_hold(struct answer *answer);
void answer_release(struct answer *answer);

/* The answers that are known, at most `max` names, compared without case: where there is no
 * room the one goes that was not asked for the longest. Reads no clock. */
struct names *names_new(size_t max);
void names_free(struct names *names);

/* What was kept for the name, if it holds at `now`, or NULL. Not the caller's. `doubted`:
 * this name is found for the first time since it was doubted. */
struct answer *names_find(
    struct names *names, const char *host, int64_t now, bool *doubted);
/* Replaces what was known of it. Holds before `until`. */
void names_keep(
    struct names *names, const char *host, struct answer *answer, int64_t until);
void names_forget(struct names *names);	/* all of them */
/* What holds for ever (INT64_MAX) is forgotten, the rest is doubted. */
void names_doubt(struct names *names);
size_t names_count(const struct names *names);

#endif
