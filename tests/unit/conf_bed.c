/* SPDX-License-Identifier: ISC */
/*
 * Configurations out of texts, without files: what the environment, lictor.conf and one file
 * of services say.
 */
#include "tests/unit/conf_bed.h"

#include <stdio.h>
#include <string.h>

struct conf_bundle *
bundle_of(const char *environment, const char *node_file, const char *services)
{
	struct bundle_file files[] = {
		{ "environment", environment, strlen(environment) },
		{ "lictor.conf", node_file, strlen(node_file) },
		{ "a.conf", services, strlen(services) },
	};

	return bundle_new(files, 3);
}

struct conf *
parse(const char *environment, const char *node_file, const char *services)
{
	char error[CONF_ERROR_MAX] = "";
	struct conf *conf =
	    conf_parse(bundle_of(environment, node_file, services), error);

	if (conf == NULL)
		printf("# %s\n", error);
	return conf;
}
