/* SPDX-License-Identifier: ISC */
/*
 * The folder of the fence's pins on real bpf file systems, in mount namespaces of the
 * cases' own: where it is looked for, what is made, whom it may belong to.
 */
#include "agent/runner/bpffs.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define USUAL "/sys/fs/bpf"
#define WARDEN 4711

static char runtime[64];

static bool
mount_at(const char *path)
{
	return mount("bpf", path, "bpf", 0, "mode=0711") == 0;
}

/* In a mount namespace of its own, whose status 0 says that all was as it should be. */
static void
apart(bool (*run)(void))
{
	int status = -1;

	pid_t pid = fork();
	if (pid == 0)
		_exit(unshare(CLONE_NEWNS) == 0 &&
			    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			    run()
			? 0
			: 1);
	CU_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid);
	CU_ASSERT_EQUAL(status, 0);
}

static bool
opens(uid_t uid, char *folder, size_t size)
{
	char why[256] = "", opened[64];
	int fd = bpffs_open(uid, uid, why, sizeof(why));

	if (fd < 0)
		printf("# %s\n", why);
	snprintf(opened, sizeof(opened), "/proc/self/fd/%d", fd);
	ssize_t len = fd < 0 ? -1 : readlink(opened, folder, size - 1);
	if (len >= 0)
		folder[len] = '\0';
	if (fd >= 0)
		close(fd);
	return len >= 0;
}

static bool
is_owned(const char *path, uid_t uid, mode_t mode)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_uid == uid && st.st_gid == uid &&
	    (st.st_mode & 07777) == mode;
}

static bool
run_usual(void)
{
	char path[128];

	return mount_at(USUAL) && opens(WARDEN, path, sizeof(path)) &&
	    strcmp(path, USUAL "/lictor") == 0 && is_owned(path, WARDEN, 0700) &&
	    opens(WARDEN, path, sizeof(path)); /* and finds it again */
}

static bool
run_none(void)
{
	char path[128];
	AUTO_FREE char *want = xasprintf("%s/bpf/lictor", runtime);

	return mount("tmpfs", USUAL, "tmpfs", 0, NULL) == 0 &&
	    opens(WARDEN, path, sizeof(path)) && strcmp(path, want) == 0 &&
	    is_owned(path, WARDEN, 0700);
}

/* What was mounted when there was none stays the one. */
static bool
run_both(void)
{
	char path[128];

	return run_none() && mount_at(USUAL) && opens(WARDEN, path, sizeof(path)) &&
	    strncmp(path, runtime, strlen(runtime)) == 0;
}

static bool
run_given(void)
{
	char path[128];

	return mount_at(USUAL) && opens(0, path, sizeof(path)) &&
	    is_owned(path, 0, 0700) && mkdir(USUAL "/lictor/17", 0700) == 0 &&
	    mkdir(USUAL "/lictor/17/in", 0700) == 0 &&
	    symlink("/etc/passwd", USUAL "/lictor/17/in/link") == 0 &&
	    opens(WARDEN, path, sizeof(path)) &&
	    is_owned(USUAL "/lictor/17", WARDEN, 0700) &&
	    is_owned(USUAL "/lictor/17/in", WARDEN, 0700) &&
	    is_owned("/etc/passwd", 0, 0644);
}

static bool
refuses(uid_t owner, mode_t mode)
{
	char path[128];

	return chown(USUAL "/lictor", owner, owner) == 0 &&
	    chmod(USUAL "/lictor", mode) == 0 && !opens(WARDEN, path, sizeof(path)) &&
	    is_owned(USUAL "/lictor", owner, mode);
}

/* Who may have put a map there might write deadlines. */
static bool
run_foreign(void)
{
	return mount_at(USUAL) && mkdir(USUAL "/lictor", 0700) == 0 &&
	    refuses(WARDEN + 1, 0700) && refuses(0, 0770) && refuses(WARDEN, 0707);
}

/* A runner that is not root finds what was made for the warden, and makes nothing. */
static bool
run_user(void)
{
	char path[128];

	if (!mount_at(USUAL) || setgid(WARDEN + 1) != 0 || setuid(WARDEN + 1) != 0 ||
	    opens(WARDEN, path, sizeof(path)))
		return false;
	return true;
}

static bool
run_user_given(void)
{
	char path[128];

	return mount_at(USUAL) && mkdir(USUAL "/lictor", 0700) == 0 &&
	    chown(USUAL "/lictor", WARDEN, WARDEN) == 0 && setgid(WARDEN + 1) == 0 &&
	    setuid(WARDEN + 1) == 0 && opens(WARDEN, path, sizeof(path)) &&
	    strcmp(path, USUAL "/lictor") == 0;
}

static bool
run_user_none(void)
{
	char path[128];

	return mount("tmpfs", USUAL, "tmpfs", 0, NULL) == 0 &&
	    setgid(WARDEN + 1) == 0 && setuid(WARDEN + 1) == 0 &&
	    !opens(WARDEN, path, sizeof(path));
}

static void
test_usual(void)
{
	apart(run_usual);
}

static void
test_none(void)
{
	apart(run_none);
}

static void
test_both(void)
{
	apart(run_both);
}

static void
test_given(void)
{
	apart(run_given);
}

static void
test_foreign(void)
{
	apart(run_foreign);
}

static void
test_user(void)
{
	apart(run_user);
	apart(run_user_given);
	apart(run_user_none);
}

static const struct tap_case cases[] = {
	{ "the folder is made at the usual place", test_usual },
	{ "where none is mounted one is", test_none },
	{ "the one that was mounted stays the one", test_both },
	{ "what root had is the warden's now", test_given },
	{ "a folder that others could write is refused", test_foreign },
	{ "who is not root opens what is there", test_user },
};

int
main(int argc, char **argv)
{
	if (geteuid() != 0) {
		puts("1..0 # SKIP only root can mount a bpf file system");
		return 0;
	}
	snprintf(runtime, sizeof(runtime), "/tmp/test_bpffs.XXXXXX");
	if (mkdtemp(runtime) == NULL || chmod(runtime, 0755) != 0 ||
	    setenv("RUNTIME_DIRECTORY", runtime, 1) != 0)
		return 1;
	int status = tap_main(argc, argv, "bpffs", cases, ARRAY_LENGTH(cases));
	AUTO_FREE char *left = xasprintf("%s/bpf", runtime);
	rmdir(left);
	rmdir(runtime);
	return status;
}
