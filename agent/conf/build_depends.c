/* SPDX-License-Identifier: ISC */
/*
 * What a check depends on: names become checks when all of them are known, in whatever
 * file they stand. Invariant: who follows depends_on from any check comes to an end. See
 * build.h for the contract.
 */
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"

void
build_add_depend(
    struct build *build, struct conf_check *check, const struct node *section)
{
	if (build->n_depends == build->depends_size) {
		build->depends_size = build->depends_size * 2 + 8;
		build->depends = xrealloc(
		    build->depends, build->depends_size, sizeof(*build->depends));
	}
	build->depends[build->n_depends++] = (struct build_depend){ check, section };
}

/* A name without a service is looked for among the others of the same one, then among the
 * node's. */
static const struct conf_check *
find(const struct build *build, const struct conf_check *check, const char *name)
{
	const struct conf_service *service = check->service;

	for (size_t i = 0; service != NULL && i < service->n_checks; i++)
		if (service->checks[i] != check &&
		    strcmp(service->checks[i]->name, name) == 0)
			return service->checks[i];
	return conf_find_check(build->conf, name);
}

/* Whoever stands in a circle comes back to itself in as many steps as there are at most. */
static bool
is_circle(const struct conf_check *check, size_t steps)
{
	const struct conf_check *up = check->depends_on;

	for (; up != NULL && up != check && steps > 0; steps--)
		up = up->depends_on;
	return up == check;
}

int
build_depends(struct build *build)
{
	for (size_t i = 0; i < build->n_depends; i++) {
		const struct build_depend *depend = &build->depends[i];
		const char *name = node_find(depend->section, "depends-on")->values[0];
		depend->check->depends_on = find(build, depend->check, name);
		if (depend->check->depends_on == NULL)
			return options_fault(depend->section, "depends-on",
			    build->error,
			    "there is no check \"%.130s\", expected one of the same "
			    "service or of the node, or \"service/check\"",
			    name);
	}
	for (size_t i = 0; i < build->n_depends; i++) {
		const struct build_depend *depend = &build->depends[i];
		if (is_circle(depend->check, build->n_depends))
			return options_fault(depend->section, "depends-on",
			    build->error,
			    "the check depends on itself in a circle, expected none");
	}
	return 0;
}
