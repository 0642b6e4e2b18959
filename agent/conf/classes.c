/* SPDX-License-Identifier: ISC */
/*
 * The list of the types of check, which is where a new one is made known: a line here and
 * a line in checks/Makefile.inc. The configuration asks it what sections there are, the
 * scheduler gets its class from the configuration. A plugin's type joins the list of a
 * configuration that loads it; where it is not loaded (in the runner and the warden, or
 * because it crashed) a class that only has its name stands in, so that checks have the same
 * indexes everywhere. The classes built in are never changed.
 */
#include "agent/conf/classes.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/builtin.h"
#include "checks/check.h"

static const struct check_class *const builtin[] = {
	&check_dns_class,
	&check_file_class,
	&check_grpc_class,
	&check_http_class,
	&check_icmp_class,
	&check_process_class,
	&check_script_class,
	&check_tcp_class,
	&check_ttl_class,
	&check_udp_class,
	&check_unit_class,
};

struct classes {
	struct added {
		const struct check_class *class;
		struct check_class *stand_in; /* the same, and ours; NULL: loaded */
		char *name;
	} * added;
	size_t n_added;
};

struct classes *
classes_new(void)
{
	return xcalloc(1, sizeof(struct classes));
}

void
classes_free(struct classes *classes)
{
	if (classes == NULL)
		return;
	for (size_t i = 0; i < classes->n_added; i++) {
		free(classes->added[i].stand_in);
		free(classes->added[i].name);
	}
	free(classes->added);
	free(classes);
}

size_t
classes_count(const struct classes *classes)
{
	return ARRAY_LENGTH(builtin) + (classes != NULL ? classes->n_added : 0);
}

const struct check_class *
classes_at(const struct classes *classes, size_t i)
{
	if (i < ARRAY_LENGTH(builtin))
		return builtin[i];
	return classes->added[i - ARRAY_LENGTH(builtin)].class;
}

const struct check_class *
classes_find(const struct classes *classes, const char *name)
{
	for (size_t i = 0; i < classes_count(classes); i++)
		if (strcmp(classes_at(classes, i)->name, name) == 0)
			return classes_at(classes, i);
	return NULL;
}

static struct added *
add(struct classes *classes)
{
	classes->added =
	    xrealloc(classes->added, classes->n_added + 1, sizeof(*classes->added));
	struct added *added = &classes->added[classes->n_added++];
	*added = (struct added){ 0 };
	return added;
}

void
classes_add(struct classes *classes, const struct check_class *class)
{
	add(classes)->class = class;
}

const struct check_class *
classes_stand_in(struct classes *classes, const char *name)
{
	static const struct check_option none[] = { { NULL } };
	struct added *added = add(classes);

	added->name = xstrdup(name);
	added->stand_in = xcalloc(1, sizeof(*added->stand_in));
	added->stand_in->abi = CHECK_ABI;
	added->stand_in->name = added->name;
	added->stand_in->help = "";
	added->stand_in->options = none;
	added->class = added->stand_in;
	return added->class;
}

bool
classes_stands_in(const struct classes *classes, const struct check_class *class)
{
	for (size_t i = 0; classes != NULL && i < classes->n_added; i++)
		if (classes->added[i].class == class)
			return classes->added[i].stand_in != NULL;
	return false;
}
