/* SPDX-License-Identifier: ISC */
/*
 * What the makers of checks, services and roles share: names, growing lists, commands, and
 * the look for what stands twice across files. See build.h for the contract.
 */
#include "agent/conf/build.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/fault.h"
#include "agent/conf/scan.h"

void *
build_grow(void *list, size_t count)
{
	if ((count & (count - 1)) != 0)
		return list;
	return xrealloc(list, count == 0 ? 1 : 2 * count, sizeof(void *));
}

bool
build_name_ok(const char *name)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(name);

	return len >= 1 && len <= CONF_NAME_MAX && strspn(name, allowed) == len;
}

struct node
build_find_or_none(const struct node *root, const char *name)
{
	const struct node *section = node_find(root, name);

	if (section != NULL)
		return *section;
	return (struct node){ root->file, 1, (char *)name, .section = true };
}

int
build_check_title(struct build *build, const struct node *section)
{
	if (build_name_ok(section->title))
		return 0;
	return fault_at(build->error, section,
	    "\"%.100s\" is no name for a %s, expected 1 to %d of letters, digits, dot, "
	    "hyphen and underscore",
	    section->title, section->name, CONF_NAME_MAX);
}

void
build_free_list(char **list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

static char **
copy_list(char *const *from)
{
	size_t n = 0;

	while (from != NULL && from[n] != NULL)
		n++;
	char **list = xcalloc(n + 1, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		list[i] = xstrdup(from[i]);
	return list;
}

struct conf_command *
build_command(struct build *build, enum conf_command_kind kind, char *const *argv,
    const char *user, char *const *environment, const char *directory)
{
	struct conf *conf = build->conf;
	struct conf_command *command = xcalloc(1, sizeof(*command));

	conf->commands = build_grow(conf->commands, conf->n_commands);
	command->index = (uint32_t)conf->n_commands;
	conf->commands[conf->n_commands++] = command;
	command->kind = kind;
	command->argv = copy_list(argv);
	command->user = user != NULL ? xstrdup(user) : NULL;
	command->environment = copy_list(environment);
	command->directory = directory != NULL ? xstrdup(directory) : NULL;
	return command;
}

void
build_free_command(struct conf_command *command)
{
	if (command == NULL)
		return;
	build_free_list(command->argv);
	build_free_list(command->environment);
	free(command->user);
	free(command->directory);
	free(command);
}

/* Something with a name that must stand once. */
struct named {
	char *key;
	const char *file;
	int line;
	size_t order;
};

static int
compare_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/* Frees the list and its keys. */
static int
refuse_twice(struct build *build, struct named *list, size_t n, const char *what)
{
	int result = 0;

	qsort(list, n, sizeof(*list), compare_named);
	for (size_t i = 1; i < n && result == 0; i++)
		if (strcmp(list[i - 1].key, list[i].key) == 0)
			result = fault_set(build->error, list[i].file, list[i].line,
			    "%s \"%.130s\" is given twice, expected it once (it is in "
			    "%s:%d)",
			    what, list[i].key, list[i - 1].file, list[i - 1].line);
	for (size_t i = 0; i < n; i++)
		free(list[i].key);
	free(list);
	return result;
}

static int
refuse_services(struct build *build, bool by_id)
{
	size_t n = build->conf->n_services;
	struct named *list = xcalloc(n + 1, sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		const struct conf_service *service = build->conf->services[i];
		list[i] = (struct named){ xstrdup(by_id ? service->id : service->name),
			service->file, service->line, i };
	}
	return refuse_twice(build, list, n, by_id ? "service id" : "service");
}

/* By the id that Consul will see, which tells two checks of one service apart. */
static int
refuse_checks(struct build *build)
{
	size_t n = build->conf->n_checks;
	struct named *list = xcalloc(n + 1, sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		const struct conf_check *check = build->conf->checks[i];
		const char *id = check->service != NULL ? check->service->id : "lictor";
		list[i] = (struct named){ xasprintf("%s:%s", id, check->name),
			check->file, check->line, i };
	}
	return refuse_twice(build, list, n, "check");
}

static int
refuse_roles(struct build *build)
{
	size_t n = build->conf->n_roles;
	struct named *list = xcalloc(n + 1, sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		const struct conf_role *role = build->conf->roles[i];
		list[i] =
		    (struct named){ xstrdup(role->name), role->file, role->line, i };
	}
	return refuse_twice(build, list, n, "role");
}

/* Heartbeats name a role by this number (failover/pulse.h). */
static uint64_t
role_number(const struct conf_role *role)
{
	return fnv1a64(role->name, strlen(role->name));
}

static int
refuse_role_numbers(struct build *build)
{
	struct conf_role *const *roles = build->conf->roles;

	for (size_t i = 1; i < build->conf->n_roles; i++)
		for (size_t k = 0; k < i; k++)
			if (role_number(roles[i]) == role_number(roles[k]))
				return fault_set(build->error, roles[i]->file,
				    roles[i]->line,
				    "heartbeats could not tell role \"%s\" from role "
				    "\"%s\", expected another name",
				    roles[i]->name, roles[k]->name);
	return 0;
}

int
build_refuse_duplicates(struct build *build)
{
	if (refuse_services(build, false) != 0 || refuse_services(build, true) != 0 ||
	    refuse_checks(build) != 0)
		return -1;
	return refuse_roles(build) != 0 ? -1 : refuse_role_numbers(build);
}
