/* SPDX-License-Identifier: ISC */
/*
 * Control groups, of which a process cannot get out by any fork or setsid: what a command
 * started is what is in its group, and one write ends all of it. Groups are kept and used
 * again when they are empty, so that a run makes and removes none. A group in which a hook
 * left something (a daemon that it started) is put aside until that has ended.
 *
 * Control groups have one owner each (the kernel's documentation, "Delegation"); to make groups
 * where systemd or a container's manager does would be taken for theirs. So the group that
 * we are found in is touched only if its owner has marked it as ours and nobody else is in it.
 */
#include "agent/runner/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/util.h"

#define LEAF "lictord"
#define CHECK_PREFIX "check-"
#define HOOK_PREFIX "hook-"
#define NUMBER_MAX 100000

struct cgroup {
	struct cgroups *cgroups;
	struct cgroup *next;
	bool hook, killed;
	uint64_t processes; /* as limited now, 0: not */
	int fd, events_fd;
	char name[32];
};

struct cgroups {
	int fd; /* the group that is ours */
	bool counts;
	unsigned int number; /* of the next group's name */
	struct cgroup *spare; /* empty */
	struct cgroup *left; /* given back with something in it */
};

/* The first bytes of a file, as text; false: it cannot be read. */
static bool
read_at(int fd, const char *path, char *out, size_t size)
{
	AUTO_CLOSE int file = openat(fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t len = file < 0 ? -1 : read(file, out, size - 1);

	if (len < 0)
		return false;
	out[len] = '\0';
	return true;
}

static int
write_at(int fd, const char *path, const char *text)
{
	AUTO_CLOSE int file = openat(fd, path, O_WRONLY | O_CLOEXEC);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* Our path in the hierarchy of version 2: the line "0::PATH" of /proc/self/cgroup. */
static char *
own_path(void)
{
	AUTO_FCLOSE FILE *file = fopen("/proc/self/cgroup", "re");
	AUTO_FREE char *line = NULL;
	size_t size = 0;

	while (file != NULL && getline(&line, &size, file) > 0)
		if (strncmp(line, "0::/", 4) == 0)
			return xstrndup(line + 3, strcspn(line + 3, "\n"));
	return NULL;
}

/* Where that hierarchy is mounted: a line of /proc/self/mountinfo is
 * "ID PARENT DEVICE ROOT MOUNTPOINT OPTIONS... - cgroup2 ...". */
static bool
find_mount(char **root, char **point)
{
	AUTO_FCLOSE FILE *file = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *line = NULL;
	size_t size = 0;

	while (file != NULL && getline(&line, &size, file) > 0)
		if (strstr(line, " - cgroup2 ") != NULL &&
		    sscanf(line, "%*s %*s %*s %ms %ms", root, point) == 2)
			return true;
	return false;
}

/* The folder of our own group, or NULL. */
static char *
own_folder(void)
{
	AUTO_FREE char *path = own_path();
	AUTO_FREE char *root = NULL;
	AUTO_FREE char *point = NULL;

	if (path == NULL || !find_mount(&root, &point))
		return NULL;
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return xasprintf("%s%s", point, path + len);
}

static bool
is_marked(int fd, const char *name)
{
	char value;

	return fgetxattr(fd, name, &value, 1) == 1 && value == '1';
}

/* The group that a namespace begins with was made for it; the root of all has no type. */
static bool
is_namespace_root(void)
{
	AUTO_FREE char *path = own_path();

	return path != NULL && strcmp(path, "/") == 0;
}

/* In the group, or in our leaf of it after an upgrade in place. */
static bool
is_alone(int fd, bool in_leaf)
{
	char pids[64], own[32];

	snprintf(own, sizeof(own), "%d\n", (int)getpid());
	return read_at(fd, in_leaf ? LEAF "/cgroup.procs" : "cgroup.procs", pids,
		   sizeof(pids)) &&
	    strcmp(pids, own) == 0 &&
	    (!in_leaf ||
		(read_at(fd, "cgroup.procs", pids, sizeof(pids)) && pids[0] == '\0'));
}

static bool
is_ours(int fd, bool in_leaf)
{
	char type[32];

	return read_at(fd, "cgroup.type", type, sizeof(type)) &&
	    strcmp(type, "domain\n") == 0 &&
	    (is_marked(fd, "trusted.delegate") || is_marked(fd, "user.delegate") ||
		is_namespace_root()) &&
	    is_alone(fd, in_leaf) && faccessat(fd, "cgroup.kill", W_OK, 0) == 0;
}

static int
enter_leaf(int fd)
{
	if (mkdirat(fd, LEAF, 0755) != 0 && errno != EEXIST)
		return -errno;
	return write_at(fd, LEAF "/cgroup.procs", "0");
}

static void
kill_at(int fd, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/cgroup.kill", name);

	write_at(fd, path, "1");
}

/* A predecessor that died could not end its checks; what its hooks left is left alone. */
static void
clear_away(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		bool check = strncmp(entry->d_name, CHECK_PREFIX, 6) == 0;
		bool hook = strncmp(entry->d_name, HOOK_PREFIX, 5) == 0;
		if (check)
			kill_at(fd, entry->d_name);
		if (check || hook)
			unlinkat(fd, entry->d_name, AT_REMOVEDIR);
	}
	if (dir != NULL)
		closedir(dir);
	else if (copy >= 0)
		close(copy);
}

/* Not a word that contains it, as "rapids" would. */
static bool
has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += len)
		if ((at == text || at[-1] == ' ') &&
		    (at[len] == ' ' || at[len] == '\n' || at[len] == '\0'))
			return true;
	return false;
}

static bool
begin_counting(int fd)
{
	char controllers[256];

	return read_at(fd, "cgroup.controllers", controllers, sizeof(controllers)) &&
	    has_word(controllers, "pids") &&
	    write_at(fd, "cgroup.subtree_control", "+pids") == 0;
}

/* Out of our leaf, if we are found in one. */
static bool
leave_leaf(char *folder)
{
	size_t len = strlen(folder), leaf = strlen("/" LEAF);

	if (len <= leaf || strcmp(folder + len - leaf, "/" LEAF) != 0)
		return false;
	folder[len - leaf] = '\0';
	return true;
}

struct cgroups *
cgroups_new(void)
{
	AUTO_FREE char *folder = own_folder();
	bool in_leaf = folder != NULL && leave_leaf(folder);
	int fd = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !is_ours(fd, in_leaf)) {
		cleanup_close(&fd);
		return NULL;
	}
	int error = enter_leaf(fd);
	if (error != 0) {
		log_warning("runner",
		    "commands run without control groups, for %s cannot be used: %s",
		    folder, strerror(-error));
		close(fd);
		return NULL;
	}
	clear_away(fd);
	struct cgroups *cgroups = xcalloc(1, sizeof(*cgroups));
	cgroups->fd = fd;
	cgroups->counts = begin_counting(fd);
	log_info("runner", "commands run in control groups below %s", folder);
	return cgroups;
}

static void
cgroup_free(struct cgroup *cgroup)
{
	cleanup_close(&cgroup->fd);
	cleanup_close(&cgroup->events_fd);
	unlinkat(cgroup->cgroups->fd, cgroup->name, AT_REMOVEDIR);
	free(cgroup);
}

static void
free_list(struct cgroup *list)
{
	while (list != NULL) {
		struct cgroup *cgroup = list;
		list = cgroup->next;
		cgroup_free(cgroup);
	}
}

void
cgroups_free(struct cgroups *cgroups)
{
	if (cgroups == NULL)
		return;
	free_list(cgroups->spare);
	free_list(cgroups->left);
	close(cgroups->fd);
	free(cgroups);
}

bool
cgroups_count_processes(const struct cgroups *cgroups)
{
	return cgroups->counts;
}

/* One whose name is free: a predecessor's hook may have left something in another. */
static int
make_folder(struct cgroup *cgroup)
{
	struct cgroups *cgroups = cgroup->cgroups;

	while (cgroups->number++ < NUMBER_MAX) {
		snprintf(cgroup->name, sizeof(cgroup->name), "%s%u",
		    cgroup->hook ? HOOK_PREFIX : CHECK_PREFIX, cgroups->number);
		if (mkdirat(cgroups->fd, cgroup->name, 0755) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	errno = ENOSPC;
	return -1;
}

static struct cgroup *
cgroup_new(struct cgroups *cgroups, bool hook)
{
	struct cgroup *cgroup = xcalloc(1, sizeof(*cgroup));

	cgroup->cgroups = cgroups;
	cgroup->hook = hook;
	cgroup->fd = cgroup->events_fd = -1;
	if (make_folder(cgroup) != 0) {
		free(cgroup);
		return NULL;
	}
	cgroup->fd =
	    openat(cgroups->fd, cgroup->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup->fd >= 0)
		cgroup->events_fd =
		    openat(cgroup->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (cgroup->events_fd >= 0)
		return cgroup;
	int error = errno;
	cgroup_free(cgroup);
	errno = error;
	return NULL;
}

/* Linux (6.18 was seen to) kills at once whatever clone3 lets begin in a group that was
 * killed before, so such a one is not used again. */
static void
retire(struct cgroup *cgroup)
{
	struct cgroups *cgroups = cgroup->cgroups;

	if (cgroup->killed) {
		cgroup_free(cgroup);
		return;
	}
	cgroup->next = cgroups->spare;
	cgroups->spare = cgroup;
}

/* What was left in a group may have ended meanwhile. */
static void
look_at_left(struct cgroups *cgroups)
{
	struct cgroup **at = &cgroups->left;

	while (*at != NULL) {
		struct cgroup *cgroup = *at;
		if (!cgroup_empty(cgroup)) {
			at = &cgroup->next;
			continue;
		}
		*at = cgroup->next;
		retire(cgroup);
	}
}

/* A spare one, best one with the same limit already. */
static struct cgroup *
take_spare(struct cgroups *cgroups, bool hook, uint64_t processes)
{
	struct cgroup **best = NULL;

	for (struct cgroup **at = &cgroups->spare; *at != NULL; at = &(*at)->next) {
		if ((*at)->hook != hook)
			continue;
		best = at;
		if ((*at)->processes == processes)
			break;
	}
	if (best == NULL)
		return NULL;
	struct cgroup *cgroup = *best;
	*best = cgroup->next;
	return cgroup;
}

static int
set_processes(struct cgroup *cgroup, uint64_t processes)
{
	char text[32] = "max";

	if (!cgroup->cgroups->counts || cgroup->processes == processes)
		return 0;
	if (processes != 0)
		snprintf(text, sizeof(text), "%" PRIu64, processes);
	int error = write_at(cgroup->fd, "pids.max", text);
	if (error == 0)
		cgroup->processes = processes;
	return error;
}

struct cgroup *
cgroup_take(struct cgroups *cgroups, bool hook, uint64_t processes)
{
	struct cgroup *cgroup = take_spare(cgroups, hook, processes);

	if (cgroup == NULL) {
		look_at_left(cgroups);
		cgroup = take_spare(cgroups, hook, processes);
	}
	if (cgroup == NULL)
		cgroup = cgroup_new(cgroups, hook);
	if (cgroup == NULL)
		return NULL;
	int error = set_processes(cgroup, processes);
	if (error == 0)
		return cgroup;
	cgroup_give(cgroup);
	errno = -error;
	return NULL;
}

void
cgroup_give(struct cgroup *cgroup)
{
	struct cgroups *cgroups = cgroup->cgroups;

	if (cgroup_empty(cgroup)) {
		retire(cgroup);
		return;
	}
	cgroup->next = cgroups->left;
	cgroups->left = cgroup;
}

int
cgroup_fd(const struct cgroup *cgroup)
{
	return cgroup->fd;
}

bool
cgroup_empty(const struct cgroup *cgroup)
{
	char text[128];
	ssize_t len = pread(cgroup->events_fd, text, sizeof(text) - 1, 0);

	if (len < 0)
		return false;
	text[len] = '\0';
	return strstr(text, "populated 0") != NULL;
}

void
cgroup_kill(struct cgroup *cgroup)
{
	cgroup->killed = true;
	write_at(cgroup->fd, "cgroup.kill", "1");
}
