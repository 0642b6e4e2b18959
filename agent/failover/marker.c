/* SPDX-License-Identifier: ISC */
/*
 * The marker of a role (10.1): an empty file in the state folder, there since this host
 * has seen a register of it. A role that was once here is never made anew by itself, also
 * after a restart: a register that is missing then was lost. registers asks and makes;
 * nothing removes one.
 */
#include "agent/failover/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"

static char *
marker_path(const char *state_dir, const char *role)
{
	char name[3 * CONF_NAME_MAX + 1];

	consul_escape(name, sizeof(name), role);
	return xasprintf("%s/roles/%s.seen", state_dir, name);
}

bool
marker_exists(const char *state_dir, const char *role)
{
	AUTO_FREE char *path = marker_path(state_dir, role);

	return access(path, F_OK) == 0 || errno != ENOENT;
}

void
marker_make(const char *state_dir, const char *role, bool *said)
{
	AUTO_FREE char *folder = NULL, *path = NULL;
	AUTO_CLOSE int fd = -1;

	folder = xasprintf("%s/roles", state_dir);
	path = marker_path(state_dir, role);
	if (mkdir(folder, 0750) == 0 || errno == EEXIST)
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0 && !*said) {
		log_warning("role", "%s cannot be made: %s", path, strerror(errno));
		*said = true;
	}
}
