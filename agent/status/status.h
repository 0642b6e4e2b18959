/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_STATUS_H
#define LICTOR_STATUS_H

#include "agent/base/json.h"

struct conf;
struct consul;
struct report;
struct roles;
struct sched;
struct services;
struct track;
struct upkeep;
struct vips;
struct wire_fence_kind;

/* What the status is drawn from; roles and vips may be NULL (none configured, or the node's
 * name is not known yet). */
struct status_sources {
	const struct conf *conf;
	const char *node;	/* "" while unknown */
	bool aside;		/* its roles are handed over, it takes none */
	const struct sched *sched;
	const struct services *services;
	const struct consul *consul;
	const struct report *report;
	const struct upkeep *upkeep;
	const struct wire_fence_kind *fence;
	const struct track *track;	/* NULL: priorities are the configured ones */
	const struct roles *roles;
	const struct vips *vips;
};

/* The whole state as one object, the same that `lictorctl status --json` prints. */
cJSON *status_json(const struct status_sources *sources);

#endif
