/* SPDX-License-Identifier: ISC */
/*
 * The list of the types of check, which is where a new one is made known: a line here and
 * a line in checks/Makefile.inc. The configuration asks it what sections there are, the
 * scheduler gets its class from the configuration. Nothing here is ever changed.
 */
#include "agent/conf/classes.h"

#include <string.h>

#include "agent/base/util.h"
#include "checks/builtin.h"
#include "checks/check.h"

static const struct check_class *const builtin[] = {
	&check_file_class,
	&check_http_class,
	&check_process_class,
	&check_script_class,
	&check_tcp_class,
	&check_unit_class,
};

size_t
classes_count(void)
{
	return ARRAY_LENGTH(builtin);
}

const struct check_class *
classes_at(size_t i)
{
	return builtin[i];
}

const struct check_class *
classes_find(const char *name)
{
	for (size_t i = 0; i < classes_count(); i++)
		if (strcmp(builtin[i]->name, name) == 0)
			return builtin[i];
	return NULL;
}
