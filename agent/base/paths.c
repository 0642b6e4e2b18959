/* SPDX-License-Identifier: ISC */
/*
 * Where the runtime and the state folder are: the one place that reads RUNTIME_DIRECTORY and
 * STATE_DIRECTORY, so that the three processes and lictorctl agree. Many hosts on one
 * machine (the tests, the demonstration) differ in nothing else.
 */
#include "agent/base/paths.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

static char *
path_in(const char *variable, const char *otherwise, const char *file)
{
	const char *folder = getenv(variable);

	if (folder == NULL || *folder == '\0' || *folder == ':')
		folder = otherwise;
	int len = (int)strcspn(folder, ":");
	if (file == NULL)
		return xasprintf("%.*s", len, folder);
	return xasprintf("%.*s/%s", len, folder, file);
}

char *
path_runtime(const char *file)
{
	return path_in("RUNTIME_DIRECTORY", "/run/lictor", file);
}

char *
path_state(const char *file)
{
	return path_in("STATE_DIRECTORY", "/var/lib/lictor", file);
}
