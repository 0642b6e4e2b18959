/* SPDX-License-Identifier: ISC */
/*
 * Where the warden may pin: deadlines must outlive all of lictord, so they hang on a bpf
 * file system, and its users cannot make a folder there themselves. The runner finds or
 * makes it before it starts a warden and hands over a descriptor, so no path need be open
 * to the warden's user. Who can write there could replace the map under the fence, so it
 * belongs to the warden's user alone. A file system that was mounted below the runtime
 * folder once is used again, whatever is mounted at the usual place since: the map is there.
 */
#include "agent/runner/bpffs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/base/paths.h"
#include "agent/base/util.h"

#define USUAL "/sys/fs/bpf"
#define FOLDER "lictor"
#define BPFFS_MAGIC 0xcafe4a11

static bool
is_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (uint32_t)fs.f_type == BPFFS_MAGIC;
}

static int
explain(int error, char *why, size_t size, const char *what)
{
	snprintf(why, size, "%s: %s", what, strerror(error));
	return -error;
}

static int
mount_own(const char *path, char *why, size_t size)
{
	if ((mkdir(path, 0711) == 0 || errno == EEXIST) &&
	    mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711") ==
		0)
		return 0;
	return explain(errno, why, size,
	    "no bpf file system is mounted at " USUAL " and none can be mounted");
}

static DIR *
list_folder(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = copy < 0 ? NULL : fdopendir(copy);

	if (folder == NULL && copy >= 0)
		close(copy);
	return folder;
}

/* With all that is in it: what a lictord without users of its own pinned is theirs now. */
static int
give(int fd, uid_t uid, gid_t gid)
{
	DIR *folder = list_folder(fd);
	int error = 0;

	if (folder == NULL)
		return -errno;
	for (const struct dirent *entry = readdir(folder); error == 0 && entry != NULL;
	     entry = readdir(folder)) {
		if (entry->d_name[0] == '.')
			continue;
		AUTO_CLOSE int below = openat(dirfd(folder), entry->d_name,
		    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			error = give(below, uid, gid);
		else if (fchownat(dirfd(folder), entry->d_name, uid, gid,
			     AT_SYMLINK_NOFOLLOW) != 0)
			error = -errno;
	}
	if (error == 0 && fchown(dirfd(folder), uid, gid) != 0)
		error = -errno;
	closedir(folder);
	return error;
}

/* Nobody but root and the user can have put anything there. */
static bool
is_safe(const struct stat *st, uid_t uid)
{
	return (st->st_uid == uid || st->st_uid == 0) && (st->st_mode & 077) == 0;
}

static int
open_folder(const char *parent, uid_t uid, gid_t gid, char *why, size_t size)
{
	AUTO_FREE char *path = xasprintf("%s/" FOLDER, parent);
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return explain(errno, why, size,
		    "the folder of the fence cannot be made on the bpf file system");
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return explain(errno, why, size,
		    "the folder of the fence on the bpf file system cannot be opened");
	if (is_safe(&st, uid) && (st.st_uid == uid || give(fd, uid, gid) == 0))
		return fd;
	close(fd);
	snprintf(why, size, "%s is not the warden's alone", path);
	return -EPERM;
}

int
bpffs_open(uid_t uid, gid_t gid, char *why, size_t size)
{
	AUTO_FREE char *own = path_runtime("bpf");

	if (is_bpffs(own))
		return open_folder(own, uid, gid, why, size);
	if (is_bpffs(USUAL))
		return open_folder(USUAL, uid, gid, why, size);
	int error = mount_own(own, why, size);
	return error != 0 ? error : open_folder(own, uid, gid, why, size);
}
