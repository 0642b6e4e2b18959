/* SPDX-License-Identifier: ISC */
/*
 * What a role tracks: checks and interfaces that take from its priority while they have
 * failed. The checks are known by then. An interface that an address of the role stands on
 * needs no line here: without it the host is not ready at all. See build.h for the contract.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/fault.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"

#define TRACKS_MAX 32
#define WEIGHT_MAX 1000000 /* as the highest priority */

void
build_free_track(struct conf_track *track)
{
	if (track == NULL)
		return;
	free(track->name);
	free(track);
}

static int
set_weight(struct build *build, const struct node *section, struct conf_track *track,
    const char *text)
{
	uint64_t weight;

	if (text == NULL)
		return fault_at(build->error, section,
		    "%s \"%.80s\" has no weight, expected one such as weight = -50",
		    section->name, section->title);
	if (text[0] != '-' || parse_uint(text + 1, 1, WEIGHT_MAX, &weight) != 0)
		return options_fault(section, "weight", build->error,
		    "\"%.80s\" takes nothing from a priority, expected -%d to -1", text,
		    WEIGHT_MAX);
	track->weight = -(int)weight;
	return 0;
}

static int
find_check(struct build *build, const struct node *section, struct conf_track *track)
{
	track->check = conf_find_check(build->conf, section->title);
	if (track->check != NULL)
		return 0;
	return fault_at(build->error, section,
	    "there is no check \"%.130s\", expected the name of a check of the node, "
	    "or "
	    "SERVICE/CHECK",
	    section->title);
}

static int
check_interface(struct build *build, const struct node *section)
{
	const char *name = section->title;

	if (name[0] != '\0' && strlen(name) < IF_NAMESIZE &&
	    strpbrk(name, "/: \t\r\n") == NULL && strcmp(name, ".") != 0 &&
	    strcmp(name, "..") != 0)
		return 0;
	return fault_at(build->error, section,
	    "\"%.80s\" is no name of an interface, expected at most %d characters "
	    "without / and : and blanks",
	    name, IF_NAMESIZE - 1);
}

/* Who tells of interfaces, the warden, is there for addresses. */
static int
check_told(struct build *build, const struct node *section)
{
	if (build->conf->n_vips > 0)
		return 0;
	return fault_at(build->error, section,
	    "an interface is tracked on a host without any vip, expected a vip in this "
	    "role "
	    "or in one before it");
}

static struct conf_track *
add_track(struct build *build, const struct node *section, struct conf_role *role)
{
	struct conf *conf = build->conf;
	struct conf_track *track = xcalloc(1, sizeof(*track));

	conf->tracks = build_grow(conf->tracks, conf->n_tracks);
	track->index = (uint32_t)conf->n_tracks;
	conf->tracks[conf->n_tracks++] = track;
	role->tracks = build_grow(role->tracks, role->n_tracks);
	role->tracks[role->n_tracks++] = track;
	track->role = role;
	track->name = xstrdup(section->title);
	track->kind = strcmp(section->name, "check") == 0 ? CONF_TRACK_CHECK
							  : CONF_TRACK_INTERFACE;
	return track;
}

static int
build_one(struct build *build, const struct node *section, struct conf_role *role)
{
	struct raw_track raw = { 0 };
	struct conf_track *track = add_track(build, section, role);
	int result =
	    options_fill(&raw, schema_track, section, build->host, build->error);

	if (result == 0)
		result = set_weight(build, section, track, raw.weight);
	options_free(&raw, schema_track);
	if (result != 0)
		return -1;
	if (track->kind == CONF_TRACK_CHECK)
		return find_check(build, section, track);
	result = check_interface(build, section);
	return result == 0 ? check_told(build, section) : result;
}

int
build_track(struct build *build, const struct node *section, struct conf_role *role)
{
	for (size_t i = 0; i < section->n_children; i++) {
		if (i == TRACKS_MAX)
			return fault_at(build->error, section->children[i],
			    "role \"%s\" tracks too much, expected at most %d checks "
			    "and interfaces",
			    role->name, TRACKS_MAX);
		if (build_one(build, section->children[i], role) != 0)
			return -1;
	}
	return 0;
}
