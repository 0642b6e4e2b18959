/* SPDX-License-Identifier: ISC */
/*
 * What a fence needs of a machine, and no other fence sees: a network namespace, and a bpf
 * file system mounted where only this test and what it starts see it. Both go with the
 * last process.
 */
#include "tests/unit/fence_bed.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/unit/netns.h"

bool
fence_bed_enter(void)
{
	if (geteuid() != 0) {
		puts("1..0 # SKIP only root can mount a bpf file system");
		return false;
	}
	if (!netns_enter())
		return false;
	if (unshare(CLONE_NEWNS) == 0 &&
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("bpf", FENCE_BED_FOLDER, "bpf", 0, NULL) == 0)
		return true;
	puts("1..0 # SKIP no bpf file system can be mounted here");
	return false;
}

int
fence_bed_pinned(const char *name)
{
	DIR *folder = opendir(FENCE_BED_FOLDER);
	char path[512];
	int fd = -1;

	if (folder == NULL)
		return -1;
	for (const struct dirent *entry = readdir(folder); entry != NULL && fd < 0;
	     entry = readdir(folder)) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(
		    path, sizeof(path), FENCE_BED_FOLDER "/%s/%s", entry->d_name, name);
		fd = bpf_obj_get(path);
	}
	closedir(folder);
	return fd < 0 ? -1 : fd;
}
