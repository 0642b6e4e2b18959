/* SPDX-License-Identifier: ISC */
/*
 * The interfaces that roles track, as netlink tells of them: the agent, which may ask the
 * kernel nothing, hears of each at its link and whenever it changes. One that is not there
 * is down.
 */
#include "agent/warden/tracks.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/links.h"
#include "agent/warden/netlink.h"

void
tracks_forget(struct tracks *tracks, const struct conf *conf)
{
	tracks->count = conf->n_tracks;
	tracks->told = xrealloc(tracks->told, tracks->count + 1, 1);
	memset(tracks->told, -1, tracks->count + 1);
}

void
tracks_done(struct tracks *tracks)
{
	free(tracks->told);
	*tracks = (struct tracks){ 0 };
}

static bool
is_up(const struct links *links, const char *name)
{
	for (size_t i = 0; i < links->count; i++)
		if (strcmp(links->list[i].name, name) == 0)
			return links->list[i].up;
	return false;
}

void
tracks_tell(struct tracks *tracks, const struct conf *conf, const struct links *links,
    struct wire *agent)
{
	for (size_t i = 0; agent != NULL && links->count > 0 && i < tracks->count;
	     i++) {
		const struct conf_track *track = conf->tracks[i];
		if (track->kind != CONF_TRACK_INTERFACE)
			continue;
		bool up = is_up(links, track->name);
		struct wire_message message = { .type = WIRE_TRACK,
			.track = { track->index, up } };
		if (tracks->told[i] == (signed char)up)
			continue;
		tracks->told[i] = (signed char)up;
		wire_send(agent, &message, -1);
	}
}
