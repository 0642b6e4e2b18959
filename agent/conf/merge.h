/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_MERGE_H
#define LICTOR_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/conf/conf.h"

/*
 * What a reload changes. Two configurations are compared by what things are, not by where
 * they stand in the files: a check is the one of its name and type in the service of its id,
 * a service is its id, a role its name, a vip its address and interface; a command is the
 * same if what runs it and what it does are.
 */

enum { CONF_NONE = UINT32_MAX };

/* By the index in the next configuration, the index of the same thing in the one before, or
 * CONF_NONE. A command of other content is another one. */
struct conf_map {
	uint32_t *checks, *services, *roles, *vips, *commands;
};

struct conf_count {
	size_t added, removed, changed;
};

struct conf_changes {
	struct conf_map from;
	/* By the index in the next: it is there in both and says something else now. Of a
	 * service its checks are of no account here; of a role its services (by id), vips and
	 * hooks are a part. What is new is not changed. */
	bool *check_changed, *service_changed, *role_changed, *vip_changed;
	struct conf_count checks, services, roles, vips;
	bool consul;		/* what stands in consul {} */
	bool lease;		/* of the node */
	bool node_wide;		/* the lease, and what else stands in failover {} */
	bool plugins;		/* their list */
	bool anything;		/* any of it all, or the order of things */
	size_t added, removed, changed;	/* of all kinds together */
};

/* Pure. The node's own options, but for consul {} and failover {}, are conf_reloadable's. */
void conf_compare(const struct conf *next, const struct conf *prev,
    struct conf_changes *out);
void conf_changes_clear(struct conf_changes *changes);

/* The other way round: by the index in the configuration before (of `n_prev` things), that in
 * the next (of `n_next`), or CONF_NONE. The caller's to free. */
uint32_t *conf_invert(const uint32_t *from, size_t n_next, size_t n_prev);

/* "1 check added, 2 services changed", or "nothing has changed". */
void conf_changes_text(const struct conf_changes *changes, char *out, size_t size);

/* False: something has changed that only a restart can bring about; `error` says what
 * ("lictor.conf: node: it was changed, which needs a restart"). */
bool conf_reloadable(const struct conf *next, const struct conf *prev,
    char error[CONF_ERROR_MAX]);

/*
 * Every thing of `prev` that is the same in `next` and has not changed takes the place of its
 * equal there, which goes to `prev`: so who points to it need not know of the reload (to a text
 * of an unchanged consul {} neither; the struct itself is part of each). Its
 * index, file, line and what it points to are those of `next`. Both stay whole trees, for
 * conf_free; `prev` is to be kept until nobody uses what it still has.
 */
void conf_merge(struct conf *next, struct conf *prev, const struct conf_changes *changes);

#endif
