/* SPDX-License-Identifier: ISC */
/*
 * Maintenance: what an operator or Consul takes out of service for a while although it is
 * well. Ours is asked for by lictorctl, for one service or for the whole host, ends by
 * itself if it has a span, and is kept in a file (upkeep_file); Consul's maintenance mode
 * comes by report. Roles hear of both, so that they are given away at once; report hears of
 * ours, which Consul is to show.
 *
 * Owns the list and its file. A span is counted by CLOCK_BOOTTIME, which no correction of
 * the time moves; what is kept is a time of the wall clock, and never lasts longer than
 * its span after a restart. The file is a keeper's.
 */
#include "agent/consul/upkeep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/keeper.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"

#define LOOK_MS 60000 /* a timer does not count a suspend */
#define DRIFT_MS 1000 /* of the wall clock, that the file has to follow */
#define UNCONFIGURED "it is configured no more"

struct place {
	const struct conf_service *service; /* NULL: the whole host */
	bool ours, theirs;
	int64_t span; /* of ours; 0: no end */
	int64_t until; /* of CLOCK_BOOTTIME */
	int64_t until_wall; /* the same for people */
	char reason[UPKEEP_REASON_SIZE], who[UPKEEP_WHO_SIZE];
	char *their_reason;
	char *why; /* as it was told; NULL: in no maintenance */
	char *shown; /* what Consul was to show; NULL: nothing */
};

struct upkeep {
	const struct conf *conf;
	char *path;
	struct upkeep_clock clock;
	struct upkeep_out out;
	struct loop_timer *timer;
	struct keeper *keeper;
	bool overdue; /* what was read is no more what is to be kept */
	struct place *places; /* of the services by index, then of the host */
};

static struct place *
host_of(const struct upkeep *upkeep)
{
	return &upkeep->places[upkeep->conf->n_services];
}

static struct place *
place_of(const struct upkeep *upkeep, const struct conf_service *service)
{
	return service != NULL ? &upkeep->places[service->index] : host_of(upkeep);
}

static size_t
n_places(const struct upkeep *upkeep)
{
	return upkeep->conf->n_services + 1;
}

/* ---- the file ---- */

static void
fill_record(const struct place *place, struct upkeep_record *record)
{
	*record = (struct upkeep_record){ 0 };
	if (place->service != NULL)
		str_copy(record->id, sizeof(record->id), place->service->id);
	record->span = place->span;
	record->until = place->span != 0 ? place->until_wall : 0;
	str_copy(record->reason, sizeof(record->reason), place->reason);
	str_copy(record->who, sizeof(record->who), place->who);
}

static void
fill_text(void *arg, struct buf *text)
{
	struct upkeep *upkeep = arg;
	struct upkeep_record record;

	for (size_t i = 0; i < n_places(upkeep); i++) {
		if (!upkeep->places[i].ours)
			continue;
		fill_record(&upkeep->places[i], &record);
		upkeep_file_add(text, &record);
	}
}

static void
on_judged(void *arg, int err)
{
	struct upkeep *upkeep = arg;

	if (err != 0)
		log_warning("consul",
		    "%s cannot be written: %s: after a restart lictord knows nothing "
		    "of the newest maintenance",
		    upkeep->path, strerror(-err));
	else
		log_notice("consul", "%s can be written again", upkeep->path);
}

/* ---- what is told ---- */

static void
format_until(const struct place *place, char *out, size_t size)
{
	time_t seconds = (time_t)(place->until_wall / 1000);
	struct tm tm;

	out[0] = '\0';
	if (place->span != 0 && localtime_r(&seconds, &tm) != NULL)
		strftime(out, size, "until %Y-%m-%d %H:%M, ", &tm);
}

/* "new disk (until 2026-11-21 14:30, by alice)" */
static char *
ours_text(const struct place *place)
{
	char reason[UPKEEP_REASON_SIZE + 8], who[UPKEEP_WHO_SIZE + 8], until[32];

	text_escape(reason, sizeof(reason), place->reason, strlen(place->reason));
	text_escape(who, sizeof(who), place->who, strlen(place->who));
	format_until(place, until, sizeof(until));
	return xasprintf(
	    "%s (%sby %s)", reason[0] != '\0' ? reason : "no reason given", until, who);
}

static const char *
name_of(const struct place *place, const char *host)
{
	return place->service != NULL ? place->service->name : host;
}

static char *
why_of(const struct place *place)
{
	const char *service = place->service != NULL ? "service " : "";
	const char *reason = place->their_reason;

	if (place->ours) {
		char *text AUTO_FREE = ours_text(place);

		return xasprintf("%s%s is in maintenance: %s", service,
		    name_of(place, "this host"), text);
	}
	if (!place->theirs)
		return NULL;
	return xasprintf("Consul has %s%s in maintenance%s%s", service,
	    name_of(place, "this node"), reason[0] != '\0' ? ": " : "", reason);
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
tell_place(struct upkeep *upkeep, struct place *place, const char *cause)
{
	char *why = why_of(place);

	if (same(why, place->why)) {
		free(why);
		return;
	}
	free(place->why);
	place->why = why;
	if (why != NULL)
		log_notice("consul", "%s", why);
	else
		log_notice("consul", "%s%s is in maintenance no more: %s",
		    place->service != NULL ? "service " : "",
		    name_of(place, "this host"), cause);
	upkeep->out.changed(upkeep->out.arg, place->service, why);
}

/* The whole host is in maintenance by each of its services: Consul's maintenance mode of
 * the node would take those of others along. */
static void
show_place(struct upkeep *upkeep, struct place *place)
{
	const struct place *by = place->ours ? place : host_of(upkeep);
	char *text AUTO_FREE = by->ours ? ours_text(by) : NULL;
	char *shown = text != NULL ? xasprintf("lictor: %s", text) : NULL;

	if (same(shown, place->shown)) {
		free(shown);
		return;
	}
	free(place->shown);
	place->shown = shown;
	upkeep->out.ours(
	    upkeep->out.arg, place->service, shown != NULL, shown != NULL ? shown : "");
}

/* The roles first: they are what is to be quick. `cause`: of what is over. */
static void
tell(struct upkeep *upkeep, const char *cause)
{
	for (size_t i = 0; i < n_places(upkeep); i++)
		tell_place(upkeep, &upkeep->places[i], cause);
	for (size_t i = 0; i < upkeep->conf->n_services; i++)
		show_place(upkeep, &upkeep->places[i]);
}

/* ---- time ---- */

/* Somebody corrected the wall clock: what is said and kept of it follows. */
static void
follow_wall(struct upkeep *upkeep, struct place *place, int64_t now)
{
	int64_t until = upkeep->clock.wall() + place->until - now;

	if (llabs(until - place->until_wall) <= DRIFT_MS)
		return;
	place->until_wall = until;
	keeper_save(upkeep->keeper);
}

static void
look(struct upkeep *upkeep)
{
	int64_t now = upkeep->clock.boot();
	int64_t delay = INT64_MAX;

	for (size_t i = 0; i < n_places(upkeep); i++) {
		struct place *place = &upkeep->places[i];

		if (!place->ours || place->span == 0)
			continue;
		if (place->until <= now) {
			place->ours = false;
			keeper_save(upkeep->keeper);
			continue;
		}
		follow_wall(upkeep, place, now);
		if (place->until - now < delay)
			delay = place->until - now;
	}
	loop_timer_stop(upkeep->timer);
	if (delay != INT64_MAX)
		loop_timer_after(upkeep->timer, delay < LOOK_MS ? delay : LOOK_MS);
}

static void
on_time(void *arg)
{
	struct upkeep *upkeep = arg;

	look(upkeep);
	tell(upkeep, "its time is up");
}

/* ---- life ---- */

static void
begin(struct upkeep *upkeep, struct place *place, int64_t left,
    const struct upkeep_record *record)
{
	place->ours = true;
	place->span = record->span;
	place->until = upkeep->clock.boot() + left;
	place->until_wall = upkeep->clock.wall() + left;
	str_copy(place->reason, sizeof(place->reason), record->reason);
	str_copy(place->who, sizeof(place->who), record->who);
}

static struct place *
find_place(const struct upkeep *upkeep, const char *id)
{
	for (size_t i = 0; i < upkeep->conf->n_services; i++)
		if (strcmp(upkeep->conf->services[i]->id, id) == 0)
			return &upkeep->places[i];
	return id[0] == '\0' ? host_of(upkeep) : NULL;
}

static void
say_over(const char *id, const char *cause)
{
	char shown[4 * CONF_NAME_MAX + 1];

	text_escape(shown, sizeof(shown), id, strlen(id));
	log_notice("consul", "the maintenance of %s is over: %s",
	    shown[0] != '\0' ? shown : "this host", cause);
}

static void
on_found(void *arg, const struct upkeep_record *record)
{
	struct upkeep *upkeep = arg;
	struct place *place = find_place(upkeep, record->id);
	int64_t left = record->until - upkeep->clock.wall();

	if (place != NULL && (record->span == 0 || left > 0)) {
		/* the clock went back: what is kept must not begin anew each time */
		upkeep->overdue = upkeep->overdue || left > record->span;
		begin(upkeep, place, left < record->span ? left : record->span, record);
		return;
	}
	say_over(record->id,
	    place == NULL ? UNCONFIGURED : "its time was up while lictord did not run");
	upkeep->overdue = true;
}

void
upkeep_start(struct upkeep *upkeep)
{
	unsigned int damaged;
	int err = upkeep_file_read(upkeep->path, on_found, upkeep, &damaged);

	if (err != 0 && err != -ENOENT)
		log_warning("consul",
		    "%s cannot be read: %s: no maintenance is known from before",
		    upkeep->path, strerror(-err));
	if (damaged > 0)
		log_warning("consul",
		    "%s has %u damaged lines: those maintenances are over",
		    upkeep->path, damaged);
	if (upkeep->overdue || damaged > 0)
		keeper_save(upkeep->keeper);
	look(upkeep);
	tell(upkeep, "");
}

struct upkeep *
upkeep_new(struct loop *loop, const struct conf *conf, const char *path,
    const struct upkeep_clock *clock, const struct upkeep_out *out)
{
	struct upkeep *upkeep = xcalloc(1, sizeof(*upkeep));

	upkeep->conf = conf;
	upkeep->path = xstrdup(path);
	upkeep->clock = *clock;
	upkeep->out = *out;
	upkeep->timer = loop_timer_new(loop, on_time, upkeep);
	upkeep->keeper = keeper_new(
	    loop, path, &(struct keeper_out){ fill_text, on_judged, upkeep });
	upkeep->places = xcalloc(n_places(upkeep), sizeof(*upkeep->places));
	for (size_t i = 0; i < conf->n_services; i++)
		upkeep->places[i].service = conf->services[i];
	return upkeep;
}

static void
place_clear(struct place *place)
{
	free(place->their_reason);
	free(place->why);
	free(place->shown);
}

static void
leave_place(struct upkeep *upkeep, struct place *place)
{
	if (place->ours) {
		say_over(place->service->id, UNCONFIGURED);
		keeper_save(upkeep->keeper);
	}
	place_clear(place);
}

void
upkeep_reload(
    struct upkeep *upkeep, const struct conf *next, const struct conf_changes *changes)
{
	const struct conf *prev = upkeep->conf;
	struct place *before = upkeep->places;
	bool *moved = xcalloc(prev->n_services + 1, sizeof(*moved));

	upkeep->conf = next;
	upkeep->places = xcalloc(n_places(upkeep), sizeof(*upkeep->places));
	for (size_t i = 0; i < next->n_services; i++) {
		uint32_t from = changes->from.services[i];

		if (from != CONF_NONE) {
			upkeep->places[i] = before[from];
			moved[from] = true;
		}
		upkeep->places[i].service = next->services[i];
	}
	*host_of(upkeep) = before[prev->n_services];
	for (size_t i = 0; i < prev->n_services; i++)
		if (!moved[i])
			leave_place(upkeep, &before[i]);
	free(moved);
	free(before);
	tell(upkeep, "");
}

void
upkeep_free(struct upkeep *upkeep)
{
	if (upkeep == NULL)
		return;
	if (!keeper_free(upkeep->keeper))
		log_warning("consul", "%s is still being written", upkeep->path);
	loop_timer_free(upkeep->timer);
	for (size_t i = 0; i < n_places(upkeep); i++)
		place_clear(&upkeep->places[i]);
	free(upkeep->places);
	free(upkeep->path);
	free(upkeep);
}

void
upkeep_begin(struct upkeep *upkeep, const struct conf_service *service, int64_t span_ms,
    const char *reason, const char *who)
{
	struct upkeep_record record = { .span = span_ms };

	str_copy(record.reason, sizeof(record.reason), reason);
	str_copy(record.who, sizeof(record.who), who);
	begin(upkeep, place_of(upkeep, service), span_ms, &record);
	keeper_save(upkeep->keeper);
	look(upkeep);
	tell(upkeep, "");
}

static void
say_none(const struct upkeep *upkeep, const struct place *place, char *why, size_t size)
{
	if (place->service == NULL)
		str_copy(why, size, "nothing here is in a maintenance of lictor's");
	else if (host_of(upkeep)->ours)
		str_copy(why, size,
		    "the whole host is in maintenance: it ends for all services only");
	else if (place->theirs)
		snprintf(why, size,
		    "that is Consul's maintenance mode: \"consul maint -disable "
		    "-service=%s\" ends it",
		    place->service->id);
	else
		str_copy(why, size, "that service is in no maintenance");
}

int
upkeep_end(struct upkeep *upkeep, const struct conf_service *service, const char *who,
    char *why, size_t why_size)
{
	struct place *place = place_of(upkeep, service);
	char *cause AUTO_FREE = NULL;
	char by[UPKEEP_WHO_SIZE + 8];
	bool any = false;

	for (size_t i = 0; i < n_places(upkeep); i++) {
		struct place *other = &upkeep->places[i];

		if (!other->ours || (service != NULL && other != place))
			continue;
		other->ours = false;
		any = true;
	}
	if (!any) {
		say_none(upkeep, place, why, why_size);
		return -ENOENT;
	}
	keeper_save(upkeep->keeper);
	look(upkeep);
	text_escape(by, sizeof(by), who, strlen(who));
	cause = xasprintf("ended by %s", by);
	tell(upkeep, cause);
	return 0;
}

void
upkeep_consul(struct upkeep *upkeep, const struct conf_service *service, bool on,
    const char *reason)
{
	struct place *place = place_of(upkeep, service);

	char text[UPKEEP_REASON_SIZE + 8];

	text_escape(text, sizeof(text), reason, strlen(reason));
	place->theirs = on;
	free(place->their_reason);
	place->their_reason = on ? xstrdup(text) : NULL;
	tell(upkeep, "ended in Consul");
}

const char *
upkeep_why(const struct upkeep *upkeep, const struct conf_service *service)
{
	return place_of(upkeep, service)->why;
}

void
upkeep_view(const struct upkeep *upkeep, const struct conf_service *service,
    struct upkeep_view *view)
{
	const struct place *place = place_of(upkeep, service);

	*view = (struct upkeep_view){
		.ours = place->ours,
		.theirs = place->theirs,
		.reason = place->reason,
		.who = place->who,
		.their_reason = place->their_reason,
	};
	if (!place->ours || place->span == 0)
		return;
	view->until = place->until_wall;
	view->left_ms = place->until - upkeep->clock.boot();
	if (view->left_ms < 0)
		view->left_ms = 0;
}

bool
upkeep_kept(const struct upkeep *upkeep, char *why, size_t why_size)
{
	int err;
	bool done = keeper_is_done(upkeep->keeper, &err);

	str_copy(why, why_size, err == 0 ? "" : strerror(-err));
	return done;
}
