/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TRACKS_H
#define LICTOR_TRACKS_H

#include <stddef.h>

struct conf;
struct links;
struct wire;

/* What an agent knows of the interfaces that roles track. Starts zeroed. */
struct tracks {
	signed char *told; /* by the index in conf->tracks: up or down; -1: nothing yet */
	size_t count;
};

/* Another agent, or another configuration: nothing has been told. */
void tracks_forget(struct tracks *tracks, const struct conf *conf);
void tracks_done(struct tracks *tracks);

/* Tells what is not as it was told. Nothing while no interface is known: they have not
 * been asked for yet. */
void tracks_tell(struct tracks *tracks, const struct conf *conf, const struct links *links,
    struct wire *agent);

#endif
