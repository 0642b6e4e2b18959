/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_BUILD_H
#define LICTOR_BUILD_H

#include <stdbool.h>

#include "agent/conf/conf.h"
#include "agent/conf/scan.h"
#include "agent/conf/schema.h"

struct conf_bundle;
struct host;

/*
 * Inside conf/: the making of a struct conf from the trees of its files. Each function
 * returns 0, or -1 with the line in `error`; what it made hangs in the conf at once, so
 * that conf_free frees it whole or half-made.
 */
struct build {
	struct conf *conf;
	const struct conf_bundle *bundle;
	char *error;
	const struct conf_loading *loading; /* NULL: no plugin is loaded */
	const struct host *host;	/* asked for files, commands, users and addresses, or NULL */
	struct raw_defaults defaults;
	/* sections of checks that depend on others, in the order of the checks */
	struct build_depend {
		struct conf_check *check;
		const struct node *section;
	} *depends;
	size_t n_depends, depends_size;
};

/* build_plugin.c: the types of check that are loaded. First of all. */
int build_plugins(struct build *build, const struct node *root);
/* build_node.c: node, consul, defaults and failover of lictor.conf. Then this. */
int build_node(struct build *build, const struct node *root);
/* build_failover.c: the figures of failover, which its call of build_node makes. */
int build_failover(struct build *build, const struct node *root);
/* What the timers of a role, or of the node (NULL), must be to each other. */
int build_check_timers(
    struct build *build, const struct node *section, const struct conf_role *role);
/* The time to live that nobody set, when all services and checks are known. */
void build_ttl(struct build *build);
/* build_service.c: a service with its checks. */
int build_service(struct build *build, const struct node *section);
/* build_check.c: a check of a service, or of the node. */
int build_check(
    struct build *build, const struct node *section, struct conf_service *service);
/* build_depends.c: what checks depend on, when all checks are known and none stands twice. */
void build_add_depend(
    struct build *build, struct conf_check *check, const struct node *section);
int build_depends(struct build *build);
/* build_role.c: a role with its vips and hooks, when all services are known. */
int build_role(struct build *build, const struct node *section);
/* build_route.c: the routes and rules of a vip whose address is known; lists of texts, or
 * NULL. */
int build_routes(struct build *build, const struct node *section, struct conf_vip *vip,
    char *const *routes, char *const *rules);

/* build_track.c: what takes from a role's priority, when all checks are known. */
int build_track(
    struct build *build, const struct node *section, struct conf_role *role);

/* build.c: names and ids that stand twice, also in different files. */
int build_refuse_duplicates(struct build *build);

/* build.c. The list with room for one more pointer behind `count`. */
void *build_grow(void *list, size_t count);
/* [A-Za-z0-9._-], 1 to 63 of them. */
bool build_name_ok(const char *name);
/* The file's section, or one that says nothing. */
struct node build_find_or_none(const struct node *root, const char *name);
int build_check_title(struct build *build, const struct node *section);
/* A command that hangs in the conf, with copies of all that is given. */
struct conf_command *build_command(struct build *build, enum conf_command_kind kind,
    char *const *argv, const char *user, char *const *environment,
    const char *directory);

void build_free_list(char **list);
void build_free_plugin(struct conf_plugin *plugin);
void build_free_command(struct conf_command *command);
void build_free_check(struct conf_check *check);
void build_free_service(struct conf_service *service);
void build_free_role(struct conf_role *role);
void build_free_vip(struct conf_vip *vip);
void build_free_track(struct conf_track *track);

#endif
