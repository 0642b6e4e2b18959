/* SPDX-License-Identifier: ISC */
/*
 * What a reload changes, and how what it does not change goes on. The things of two trees
 * are paired by their names, whatever their order; conf_merge then moves each unchanged one
 * from the old tree into the new, so that modules, and the runs under way, keep what they
 * point to. Invariant: after a merge both trees are whole: every pointer in a tree leads to a
 * thing of the same tree, every index is the place where it stands. See merge.h for the
 * contract.
 */
#include "agent/conf/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/fault.h"
#include "agent/conf/same.h"

/* All things begin with their index. */
_Static_assert(offsetof(struct conf_check, index) == 0 &&
	offsetof(struct conf_service, index) == 0 &&
	offsetof(struct conf_role, index) == 0 && offsetof(struct conf_vip, index) == 0,
    "the index is not the first member");

static uint32_t
index_of(const void *thing)
{
	return *(const uint32_t *)thing;
}

/* ---- who is who ---- */

static const char *
service_id(const struct conf_check *check)
{
	return check->service != NULL ? check->service->id : "";
}

static int
order_checks(const void *a, const void *b)
{
	const struct conf_check *x = *(const void *const *)a,
				*y = *(const void *const *)b;
	int order = strcmp(service_id(x), service_id(y));

	if (order == 0)
		order = strcmp(x->name, y->name);
	return order != 0 ? order : strcmp(x->class->name, y->class->name);
}

static int
order_services(const void *a, const void *b)
{
	const struct conf_service *x = *(const void *const *)a;
	const struct conf_service *y = *(const void *const *)b;

	return strcmp(x->id, y->id);
}

static int
order_roles(const void *a, const void *b)
{
	const struct conf_role *x = *(const void *const *)a,
			       *y = *(const void *const *)b;

	return strcmp(x->name, y->name);
}

static int
order_vips(const void *a, const void *b)
{
	const struct conf_vip *x = *(const void *const *)a,
			      *y = *(const void *const *)b;
	int order = x->family - y->family;

	if (order == 0)
		order = memcmp(x->address, y->address, sizeof(x->address));
	return order != 0 ? order : strcmp(x->interface, y->interface);
}

struct things {
	void *const *list;
	size_t count;
};

static void **
sort(const struct things *things, int (*order)(const void *, const void *))
{
	void **sorted = xcalloc(things->count + 1, sizeof(*sorted));

	for (size_t i = 0; i < things->count; i++)
		sorted[i] = things->list[i];
	qsort(sorted, things->count, sizeof(*sorted), order);
	return sorted;
}

static uint32_t *
new_map(size_t count)
{
	uint32_t *from = xcalloc(count + 1, sizeof(*from));

	for (size_t i = 0; i < count; i++)
		from[i] = CONF_NONE;
	return from;
}

/* Both sorted, equals meet. */
static uint32_t *
pair(const struct things *next, const struct things *prev,
    int (*order)(const void *, const void *))
{
	uint32_t *from = new_map(next->count);
	void **a = sort(next, order), **b = sort(prev, order);

	for (size_t i = 0, j = 0; i < next->count && j < prev->count;) {
		int way = order(&a[i], &b[j]);
		if (way == 0)
			from[index_of(a[i])] = index_of(b[j]);
		i += way <= 0;
		j += way >= 0;
	}
	free(a);
	free(b);
	return from;
}

#define THINGS(conf, kind)                                    \
	&(const struct things)                                \
	{                                                     \
		(void *const *)(conf)->kind, (conf)->n_##kind \
	}

static void
pair_command(
    uint32_t *from, const struct conf_command *next, const struct conf_command *prev)
{
	if (next != NULL && prev != NULL && same_command(next, prev))
		from[next->index] = prev->index;
}

static uint32_t *
pair_commands(
    const struct conf *next, const struct conf *prev, const struct conf_map *map)
{
	uint32_t *from = new_map(next->n_commands);

	for (size_t i = 0; i < next->n_checks; i++)
		if (map->checks[i] != CONF_NONE)
			pair_command(from, next->checks[i]->command,
			    prev->checks[map->checks[i]]->command);
	for (size_t i = 0; i < next->n_roles; i++) {
		if (map->roles[i] == CONF_NONE)
			continue;
		const struct conf_role *role = next->roles[i];
		const struct conf_role *before = prev->roles[map->roles[i]];
		pair_command(from, role->promote, before->promote);
		pair_command(from, role->demote, before->demote);
		pair_command(from, role->notify, before->notify);
	}
	return from;
}

/* ---- what is new of them ---- */

static bool
same_check_at(const void *a, const void *b)
{
	return same_check(a, b);
}

static bool
same_service_at(const void *a, const void *b)
{
	return same_service(a, b);
}

static bool
same_role_at(const void *a, const void *b)
{
	return same_role(a, b);
}

static bool
same_vip_at(const void *a, const void *b)
{
	return same_vip(a, b);
}

static bool *
judge(const struct things *next, const struct things *prev, const uint32_t *from,
    bool (*same)(const void *, const void *), struct conf_count *count)
{
	bool *changed = xcalloc(next->count + 1, sizeof(*changed));
	size_t kept = 0;

	for (size_t i = 0; i < next->count; i++) {
		if (from[i] == CONF_NONE)
			continue;
		kept++;
		changed[i] = !same(next->list[i], prev->list[from[i]]);
		count->changed += changed[i];
	}
	count->added = next->count - kept;
	count->removed = prev->count - kept;
	return changed;
}

static bool
same_plugins(const struct conf *a, const struct conf *b)
{
	bool same = a->n_plugins == b->n_plugins;

	for (size_t i = 0; same && i < a->n_plugins; i++)
		same = strcmp(a->plugins[i]->name, b->plugins[i]->name) == 0;
	return same;
}

static bool
in_order(const uint32_t *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (from[i] != i)
			return false;
	return true;
}

static void
sum_up(const struct conf *next, struct conf_changes *out)
{
	const struct conf_count *counts[] = { &out->checks, &out->services, &out->roles,
		&out->vips };

	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		out->added += counts[i]->added;
		out->removed += counts[i]->removed;
		out->changed += counts[i]->changed;
	}
	out->anything = out->added + out->removed + out->changed > 0 || out->consul ||
	    out->node_wide || out->plugins ||
	    !in_order(out->from.checks, next->n_checks) ||
	    !in_order(out->from.services, next->n_services) ||
	    !in_order(out->from.roles, next->n_roles) ||
	    !in_order(out->from.vips, next->n_vips) ||
	    !in_order(out->from.commands, next->n_commands);
}

void
conf_compare(const struct conf *next, const struct conf *prev, struct conf_changes *out)
{
	struct conf_map *from = &out->from;

	*out = (struct conf_changes){ 0 };
	from->checks = pair(THINGS(next, checks), THINGS(prev, checks), order_checks);
	from->services =
	    pair(THINGS(next, services), THINGS(prev, services), order_services);
	from->roles = pair(THINGS(next, roles), THINGS(prev, roles), order_roles);
	from->vips = pair(THINGS(next, vips), THINGS(prev, vips), order_vips);
	from->commands = pair_commands(next, prev, from);
	out->check_changed = judge(THINGS(next, checks), THINGS(prev, checks),
	    from->checks, same_check_at, &out->checks);
	out->service_changed = judge(THINGS(next, services), THINGS(prev, services),
	    from->services, same_service_at, &out->services);
	out->role_changed = judge(THINGS(next, roles), THINGS(prev, roles), from->roles,
	    same_role_at, &out->roles);
	out->vip_changed = judge(THINGS(next, vips), THINGS(prev, vips), from->vips,
	    same_vip_at, &out->vips);
	out->consul = !same_consul(&next->consul, &prev->consul);
	out->lease = next->lease_ms != prev->lease_ms;
	out->node_wide = out->lease || !same_failover(&next->failover, &prev->failover);
	out->plugins = !same_plugins(next, prev);
	sum_up(next, out);
}

void
conf_changes_clear(struct conf_changes *changes)
{
	free(changes->from.checks);
	free(changes->from.services);
	free(changes->from.roles);
	free(changes->from.vips);
	free(changes->from.commands);
	free(changes->check_changed);
	free(changes->service_changed);
	free(changes->role_changed);
	free(changes->vip_changed);
	*changes = (struct conf_changes){ 0 };
}

uint32_t *
conf_invert(const uint32_t *from, size_t n_next, size_t n_prev)
{
	uint32_t *to = new_map(n_prev);

	for (size_t i = 0; i < n_next; i++)
		if (from[i] != CONF_NONE)
			to[from[i]] = (uint32_t)i;
	return to;
}

static void
tell(struct buf *buf, size_t count, const char *thing, const char *what)
{
	if (count > 0)
		buf_printf(buf, "%s%zu %s%s %s", buf->len > 0 ? ", " : "", count, thing,
		    count == 1 ? "" : "s", what);
}

static void
tell_kind(struct buf *buf, const struct conf_count *count, const char *thing)
{
	tell(buf, count->added, thing, "added");
	tell(buf, count->changed, thing, "changed");
	tell(buf, count->removed, thing, "removed");
}

void
conf_changes_text(const struct conf_changes *changes, char *out, size_t size)
{
	struct buf buf = { .limit = CONF_ERROR_MAX };

	tell_kind(&buf, &changes->services, "service");
	tell_kind(&buf, &changes->checks, "check");
	tell_kind(&buf, &changes->roles, "role");
	tell_kind(&buf, &changes->vips, "vip");
	if (changes->consul)
		buf_printf(
		    &buf, "%sthe way to Consul changed", buf.len > 0 ? ", " : "");
	if (changes->node_wide)
		buf_printf(&buf, "%s%s changed", buf.len > 0 ? ", " : "",
		    changes->lease ? "the lease" : "failover");
	if (buf.len == 0 && changes->anything)
		buf_printf(&buf, "what there is stands in another order");
	str_copy(out, size, buf.len > 0 ? buf.data : "nothing has changed");
	buf_free(&buf);
}

/* Code that was loaded stays, whatever its file is now. */
static bool
same_code(const struct conf_plugin *a, const struct conf_plugin *b)
{
	return strcmp(a->name, b->name) != 0 || a->mark == 0 || b->mark == 0 ||
	    a->mark == b->mark;
}

static const char *
changed_code(const struct conf *next, const struct conf *prev)
{
	for (size_t i = 0; i < next->n_plugins; i++)
		for (size_t j = 0; j < prev->n_plugins; j++)
			if (!same_code(next->plugins[i], prev->plugins[j]))
				return next->plugins[i]->name;
	return NULL;
}

bool
conf_reloadable(
    const struct conf *next, const struct conf *prev, char error[CONF_ERROR_MAX])
{
	const char *file = next->bundle->files[BUNDLE_NODE].name;
	const char *plugin = changed_code(next, prev);
	const char *option = !same_text(next->node, prev->node) ? "node"
	    : !same_text(next->plugin_directory, prev->plugin_directory)
	    ? "plugin-directory"
	    : next->fence != prev->fence                                 ? "fence"
	    : !same_text(next->failover.address, prev->failover.address) ? "address"
	    : next->failover.port != prev->failover.port                 ? "port"
	    : !same_text(next->failover.key_file, prev->failover.key_file)
	    ? "key-file of failover"
	    : NULL;

	if (option != NULL)
		fault_set(error, file, 0, "%s: it was changed, which needs a restart",
		    option);
	else if (plugin != NULL)
		fault_set(error, file, 0,
		    "plugins: the file of \"%s\" is another one now, which needs a "
		    "restart",
		    plugin);
	return option == NULL && plugin == NULL;
}

/* ---- the move ---- */

#define SWAP(a, b)                    \
	do {                          \
		__typeof__(a) c_ = a; \
		(a) = (b);            \
		(b) = c_;             \
	} while (0)

/* Everything but what they are themselves. The indexes come last, by the place. */
static void
swap_check(struct conf_check *a, struct conf_check *b)
{
	SWAP(a->class, b->class);
	SWAP(a->service, b->service);
	SWAP(a->command, b->command);
	SWAP(a->depends_on, b->depends_on);
	SWAP(a->file, b->file);
	SWAP(a->line, b->line);
}

static void
swap_service(struct conf_service *a, struct conf_service *b)
{
	SWAP(a->role, b->role);
	SWAP(a->checks, b->checks);
	SWAP(a->n_checks, b->n_checks);
	SWAP(a->file, b->file);
	SWAP(a->line, b->line);
}

static void
swap_role(struct conf_role *a, struct conf_role *b)
{
	SWAP(a->services, b->services);
	SWAP(a->n_services, b->n_services);
	SWAP(a->vips, b->vips);
	SWAP(a->n_vips, b->n_vips);
	SWAP(a->tracks, b->tracks);
	SWAP(a->n_tracks, b->n_tracks);
	SWAP(a->promote, b->promote);
	SWAP(a->demote, b->demote);
	SWAP(a->notify, b->notify);
	SWAP(a->file, b->file);
	SWAP(a->line, b->line);
}

static void
swap_vip(struct conf_vip *a, struct conf_vip *b)
{
	SWAP(a->role, b->role);
	SWAP(a->file, b->file);
	SWAP(a->line, b->line);
}

static void
swap_all(struct conf *next, struct conf *prev, const struct conf_changes *changes)
{
	const struct conf_map *from = &changes->from;

#define MOVE(kind, changed, swap)                                         \
	for (size_t i = 0; i < next->n_##kind; i++)                       \
		if (from->kind[i] != CONF_NONE && !changes->changed[i]) { \
			swap(next->kind[i], prev->kind[from->kind[i]]);   \
			SWAP(next->kind[i], prev->kind[from->kind[i]]);   \
		}
	MOVE(checks, check_changed, swap_check)
	MOVE(services, service_changed, swap_service)
	MOVE(roles, role_changed, swap_role)
	MOVE(vips, vip_changed, swap_vip)
#undef MOVE
	for (size_t i = 0; i < next->n_commands; i++)
		if (from->commands[i] != CONF_NONE) {
			struct conf_command **old = &prev->commands[from->commands[i]];
			SWAP(next->commands[i]->role, (*old)->role);
			SWAP(next->commands[i], *old);
		}
}

/* What a pointer meant stood at its index in this tree; who stands there now? */
#define RELINK(conf, kind, pointer)                                 \
	do {                                                        \
		if ((pointer) != NULL)                              \
			(pointer) = (conf)->kind[(pointer)->index]; \
	} while (0)

static void
relink_role(const struct conf *conf, struct conf_role *role)
{
	for (size_t i = 0; i < role->n_services; i++)
		RELINK(conf, services, role->services[i]);
	for (size_t i = 0; i < role->n_vips; i++)
		RELINK(conf, vips, role->vips[i]);
	RELINK(conf, commands, role->promote);
	RELINK(conf, commands, role->demote);
	RELINK(conf, commands, role->notify);
}

static void
relink(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_checks; i++) {
		struct conf_check *check = conf->checks[i];
		RELINK(conf, services, check->service);
		RELINK(conf, commands, check->command);
		RELINK(conf, checks, check->depends_on);
	}
	for (size_t i = 0; i < conf->n_services; i++) {
		struct conf_service *service = conf->services[i];
		RELINK(conf, roles, service->role);
		for (size_t j = 0; j < service->n_checks; j++)
			RELINK(conf, checks, service->checks[j]);
	}
	for (size_t i = 0; i < conf->n_roles; i++)
		relink_role(conf, conf->roles[i]);
	for (size_t i = 0; i < conf->n_vips; i++)
		RELINK(conf, roles, conf->vips[i]->role);
	for (size_t i = 0; i < conf->n_tracks; i++) {
		RELINK(conf, roles, conf->tracks[i]->role);
		RELINK(conf, checks, conf->tracks[i]->check);
	}
	for (size_t i = 0; i < conf->n_commands; i++)
		RELINK(conf, roles, conf->commands[i]->role);
}

static void
count(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_checks; i++)
		conf->checks[i]->index = (uint32_t)i;
	for (size_t i = 0; i < conf->n_services; i++)
		conf->services[i]->index = (uint32_t)i;
	for (size_t i = 0; i < conf->n_roles; i++)
		conf->roles[i]->index = (uint32_t)i;
	for (size_t i = 0; i < conf->n_vips; i++)
		conf->vips[i]->index = (uint32_t)i;
	for (size_t i = 0; i < conf->n_commands; i++)
		conf->commands[i]->index = (uint32_t)i;
}

void
conf_merge(struct conf *next, struct conf *prev, const struct conf_changes *changes)
{
	swap_all(next, prev, changes);
	if (!changes->consul)
		SWAP(next->consul, prev->consul);
	if (same_failover(&next->failover, &prev->failover))
		SWAP(next->failover, prev->failover);
	relink(next);
	relink(prev);
	count(next);
	count(prev);
}
