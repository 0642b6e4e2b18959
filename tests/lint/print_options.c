/* SPDX-License-Identifier: ISC */
/*
 * Prints every option that this lictord, and the plugins that are its arguments, know as
 * "SECTION OPTION", once each section ("check" for what all checks have, "lictor.conf"
 * outside of any), and every reason as "reasons REASON" (of outcomes) and "roles REASON"
 * (of a role's state): for options.sh and commands.sh, which hold the manuals and the
 * samples against it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "agent/conf/schema.h"
#include "agent/failover/role.h"
#include "checks/check.h"

static void
print_table(const char *section, const struct check_option *table)
{
	for (const struct check_option *o = table; o != NULL && o->name != NULL; o++)
		printf("%s %s\n", section, o->name);
}

static void
print_schema(const struct schema *schema)
{
	struct schema section;

	if (schema->options == schema_check) {
		print_table("check", schema->options);
		print_table(schema->name, schema->more);
	} else
		print_table(schema->name, schema->options);
	for (size_t i = 0; schema_section(schema, i, &section); i++)
		print_schema(&section);
}

static int
print_plugin(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct check_class *class =
	    handle != NULL ? dlsym(handle, "check_plugin") : NULL;

	if (class == NULL) {
		fprintf(stderr, "%s: %s\n", path, dlerror());
		return 1;
	}
	print_table(class->name, class->options);
	return 0;
}

int
main(int argc, char **argv)
{
	print_schema(&schema_node_file);
	for (int i = 1; i < argc; i++)
		if (print_plugin(argv[i]) != 0)
			return 1;
	for (int i = 0; i < CHECK_REASONS; i++)
		printf("reasons %s\n", check_reason_name((enum check_reason)i));
	for (int i = ROLE_REASON_START; i < ROLE_REASONS; i++)
		printf("roles %s\n", role_reason_name((enum role_reason)i));
	return 0;
}
