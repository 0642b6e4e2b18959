/* SPDX-License-Identifier: ISC */
/*
 * delegate FOLDER COMMAND...: the command in a control group that is marked as its own,
 * as systemd starts a unit with Delegate=yes. FOLDER is the group's, made if it is missing,
 * below the mount of control groups of version 2.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/util.h"

int
main(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: delegate FOLDER COMMAND...\n", stderr);
		return 2;
	}
	AUTO_FREE char *path = xasprintf("%s/cgroup.procs", argv[1]);
	if ((mkdir(argv[1], 0755) != 0 && errno != EEXIST) ||
	    setxattr(argv[1], "trusted.delegate", "1", 1, 0) != 0) {
		perror(argv[1]);
		return 1;
	}
	FILE *procs = fopen(path, "we");
	if (procs == NULL || fputs("0", procs) < 0 || fclose(procs) != 0) {
		perror(path);
		return 1;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
