/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LOOKUP_H
#define LICTOR_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

struct answer;
struct loop;
struct lookups;

/* Questions for names: the hosts file, then the servers of resolv.conf. */
struct lookups *lookups_new(struct loop *loop);
/* Questions that are open are dropped; nobody is told. */
void lookups_free(struct lookups *lookups);

/* Which of the two files have changed since the last call: what was learnt of them does not
 * hold any more. New questions follow the new files, open ones end with the old. The files
 * are looked at once a second at the most. */
struct lookups_news {
	bool servers; /* resolv.conf */
	bool hosts;
};
struct lookups_news lookups_refresh(struct lookups *lookups);

/* What the hosts file says of it, or NULL; asked within the call. The caller's own. */
struct answer *lookup_filed(struct lookups *lookups, const char *host);

/* `done` is called once, perhaps from within; the answer, whose addresses are in the order
 * of RFC 6724, becomes its own. `keep_ms` is how long it holds: INT64_MAX until the files
 * change, 0 not beyond this moment. Ends by itself within some seconds. */
void lookup_start(struct lookups *lookups, const char *host,
    void (*done)(void *arg, struct answer *answer, int64_t keep_ms), void *arg);

#endif
