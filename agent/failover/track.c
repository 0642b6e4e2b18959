/* SPDX-License-Identifier: ISC */
/*
 * Tracking: how a host that is ready for a role, but in a worse place than others, says so.
 * A lower priority alone moves nothing: whether a better host takes the role from it is for
 * preempt, and whom it gives the role to when it must for the ranks. Between the checks and
 * the warden on one side and roles on the other. Invariant: a priority is what is configured
 * less the weights of all that has failed, never below 0.
 */
#include "agent/failover/track.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"

struct track {
	const struct conf *conf;
	struct track_out out;
	bool *failed; /* by the index in conf->tracks */
	char **names; /* of the same, to know them again: "check web/port" */
	size_t count;
};

static const char *
kind_name(enum conf_track_kind kind)
{
	switch (kind) {
	case CONF_TRACK_CHECK: return "check";
	case CONF_TRACK_INTERFACE: return "interface";
	}
	return "?";
}

static void
set_conf(struct track *track, const struct conf *conf)
{
	track->conf = conf;
	track->count = conf->n_tracks;
	track->failed = xcalloc(track->count + 1, sizeof(*track->failed));
	track->names = xcalloc(track->count + 1, sizeof(*track->names));
	for (size_t i = 0; i < track->count; i++)
		track->names[i] = xasprintf(
		    "%s %s", kind_name(conf->tracks[i]->kind), conf->tracks[i]->name);
}

static void
drop_conf(struct track *track)
{
	for (size_t i = 0; i < track->count; i++)
		free(track->names[i]);
	free(track->names);
	free(track->failed);
}

struct track *
track_new(const struct conf *conf, const struct track_out *out)
{
	struct track *track = xcalloc(1, sizeof(*track));

	track->out = *out;
	set_conf(track, conf);
	return track;
}

void
track_free(struct track *track)
{
	if (track == NULL)
		return;
	drop_conf(track);
	free(track);
}

unsigned int
track_priority(const struct track *track, uint32_t role)
{
	const struct conf_role *conf = track->conf->roles[role];
	int64_t priority = conf->priority;

	for (size_t i = 0; i < conf->n_tracks; i++)
		if (track->failed[conf->tracks[i]->index])
			priority += conf->tracks[i]->weight;
	return priority > 0 ? (unsigned int)priority : 0;
}

void
track_tell(const struct track *track)
{
	for (uint32_t i = 0; i < track->conf->n_roles; i++) {
		unsigned int priority = track_priority(track, i);
		if (priority != track->conf->roles[i]->priority)
			track->out.priority(track->out.arg, i, priority);
	}
}

static void
set_failed(struct track *track, const struct conf_track *tracked, bool failed)
{
	unsigned int before = track_priority(track, tracked->role->index);

	if (track->failed[tracked->index] == failed)
		return;
	track->failed[tracked->index] = failed;
	unsigned int now = track_priority(track, tracked->role->index);
	log_notice("role", "%s: its priority here is %u and was %u: %s %s is %s",
	    tracked->role->name, now, before, kind_name(tracked->kind), tracked->name,
	    tracked->kind == CONF_TRACK_CHECK
		? failed ? "critical" : "not critical any more"
		: failed ? "down"
			 : "up again");
	if (now != before)
		track->out.priority(track->out.arg, tracked->role->index, now);
}

void
track_check(struct track *track, const struct conf_check *check,
    enum check_status status, bool known)
{
	for (size_t i = 0; i < track->count; i++)
		if (track->conf->tracks[i]->check == check)
			set_failed(track, track->conf->tracks[i],
			    known && status == CHECK_CRITICAL);
}

void
track_interface(struct track *track, uint32_t index, bool up)
{
	if (index < track->count &&
	    track->conf->tracks[index]->kind == CONF_TRACK_INTERFACE)
		set_failed(track, track->conf->tracks[index], !up);
}

static bool
had_failed(const struct track *before, const char *name)
{
	for (size_t i = 0; i < before->count; i++)
		if (before->failed[i] && strcmp(before->names[i], name) == 0)
			return true;
	return false;
}

/* Roles begin their new configuration with the priority that stands there. */
void
track_reload(struct track *track, const struct conf *next)
{
	struct track before = *track;

	set_conf(track, next);
	for (size_t i = 0; i < track->count; i++)
		track->failed[i] = had_failed(&before, track->names[i]);
	drop_conf(&before);
	for (uint32_t i = 0; i < next->n_roles; i++)
		track->out.priority(track->out.arg, i, track_priority(track, i));
}
