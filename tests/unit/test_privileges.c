/* SPDX-License-Identifier: ISC */
/*
 * What the agent, the warden and commands are after their exec, as the kernel tells it in
 * /proc/self/status: for a runner that is root, for one that its unit made an ordinary user
 * with a few of root's rights, and for one without any. Numbers stand for users: no account
 * is needed.
 */
#include "agent/runner/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/runner/account.h"
#include "agent/runner/place.h"
#include "agent/runner/spawn.h"
#include "tests/unit/tap.h"

#define BIT(capability) (UINT64_C(1) << (capability))
#define WARDEN_BITS (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) | BIT(CAP_BPF))
#define UNIT_BITS                                                          \
	(WARDEN_BITS | BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL) | \
	    BIT(CAP_SETPCAP))
#define UNIT_USER 23456
#define OTHER_USER 23457

enum rights { RIGHTS_ROOT, RIGHTS_UNIT, RIGHTS_NONE };
static const enum rights all_rights[] = { RIGHTS_ROOT, RIGHTS_UNIT, RIGHTS_NONE };

struct seen {
	bool whole;
	unsigned int uid, gid;
	uint64_t inheritable, permitted, effective, bounding, ambient;
	unsigned int no_new_privs;
	char groups[128];
};

static uint64_t
hex_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at != NULL ? strtoull(at + strlen(name), NULL, 16) : UINT64_MAX;
}

/* The four numbers behind a name, if they are the same. */
static bool
read_four(const char *at, unsigned int *out)
{
	unsigned long numbers[4];
	char *end = strchr(at, ':') + 1;

	for (size_t i = 0; i < 4; i++)
		numbers[i] = strtoul(end, &end, 10);
	*out = (unsigned int)numbers[0];
	return numbers[1] == numbers[0] && numbers[2] == numbers[0] &&
	    numbers[3] == numbers[0];
}

static struct seen
read_seen(const char *text)
{
	const char *uid = strstr(text, "\nUid:"), *gid = strstr(text, "\nGid:");
	const char *groups = strstr(text, "\nGroups:\t");
	struct seen seen = { .whole = uid != NULL && gid != NULL && groups != NULL };

	if (!seen.whole)
		return seen;
	seen.whole = read_four(uid, &seen.uid) && read_four(gid, &seen.gid);
	snprintf(seen.groups, sizeof(seen.groups), "%.*s",
	    (int)strcspn(groups + 9, "\n"), groups + 9);
	seen.inheritable = hex_after(text, "\nCapInh:");
	seen.permitted = hex_after(text, "\nCapPrm:");
	seen.effective = hex_after(text, "\nCapEff:");
	seen.bounding = hex_after(text, "\nCapBnd:");
	seen.ambient = hex_after(text, "\nCapAmb:");
	seen.no_new_privs = (unsigned int)hex_after(text, "\nNoNewPrivs:");
	return seen;
}

static struct seen
read_all(int fd)
{
	char text[8192];
	size_t len = 0;
	ssize_t got;

	while (len < sizeof(text) - 1 && (got = read(fd, text + len, 8191 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	return read_seen(text);
}

/* The rights of a runner; in a process of the test's own. */
static void
become(enum rights rights)
{
	const uint64_t bits = rights == RIGHTS_UNIT ? UNIT_BITS : 0;
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (rights == RIGHTS_ROOT)
		return;
	for (size_t i = 0; i < 2; i++) {
		uint32_t half = (uint32_t)(bits >> 32 * i);
		data[i] = (struct __user_cap_data_struct){ half, half, half };
	}
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setgroups(0, NULL) != 0 ||
	    setresgid(UNIT_USER, UNIT_USER, UNIT_USER) != 0 ||
	    setresuid(UNIT_USER, UNIT_USER, UNIT_USER) != 0 ||
	    syscall(SYS_capset, &head, data) != 0)
		_exit(90);
	for (unsigned int bit = 0; bit < 64; bit++)
		if ((bits & BIT(bit)) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0) != 0)
			_exit(91);
}

/* In a copy of this process with such rights; what it wrote to its standard output. */
static struct seen
run(enum rights rights, void (*act)(const void *arg), const void *arg)
{
	int fds[2], status = -1;

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		become(rights);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		act(arg);
		_exit(92);
	}
	close(fds[1]);
	struct seen seen = read_all(fds[0]);
	close(fds[0]);
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	return seen;
}

static void
act_as_process(const void *arg)
{
	if (privileges_apply(arg) != 0)
		_exit(93);
	execl("/bin/cat", "cat", "/proc/self/status", (char *)NULL);
}

static bool
is_root(void)
{
	if (geteuid() == 0)
		return true;
	CU_PASS("only root can try it");
	return false;
}

/* The capabilities are those that are wanted and that the runner has; nothing comes back. */
static void
test_processes(void)
{
	gid_t groups[] = { OTHER_USER, 23458 };

	if (!is_root())
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(all_rights); i++)
		for (int is_warden = 0; is_warden < 2; is_warden++) {
			enum rights rights = all_rights[i];
			uint64_t wanted = is_warden ? WARDEN_BITS : 0;
			uint64_t want = rights == RIGHTS_NONE ? 0 : wanted;
			bool change = rights != RIGHTS_NONE;
			struct privileges p = { change, OTHER_USER, OTHER_USER, groups,
				ARRAY_LENGTH(groups), wanted, 0, 0, false };
			struct seen seen = run(rights, act_as_process, &p);
			CU_ASSERT(seen.whole);
			CU_ASSERT_EQUAL(seen.uid, change ? OTHER_USER : UNIT_USER);
			CU_ASSERT_EQUAL(seen.gid, change ? OTHER_USER : UNIT_USER);
			CU_ASSERT_STRING_EQUAL(
			    seen.groups, change ? "23457 23458 " : " ");
			CU_ASSERT_EQUAL(seen.permitted, want);
			CU_ASSERT_EQUAL(seen.effective, want);
			CU_ASSERT_EQUAL(seen.inheritable, want);
			CU_ASSERT_EQUAL(seen.ambient, want);
			CU_ASSERT(seen.bounding == wanted || rights == RIGHTS_NONE);
			CU_ASSERT_EQUAL(seen.no_new_privs, 1);
		}
}

/* Root without the users: as few rights, though it is root that is executed. */
static void
test_root_stays(void)
{
	struct privileges agent = { 0 }, warden = { .capabilities = WARDEN_BITS };

	if (!is_root())
		return;
	struct seen seen = run(RIGHTS_ROOT, act_as_process, &agent);
	CU_ASSERT(seen.whole && seen.uid == 0);
	CU_ASSERT(seen.permitted == 0 && seen.effective == 0 && seen.bounding == 0);
	seen = run(RIGHTS_ROOT, act_as_process, &warden);
	CU_ASSERT(seen.whole && seen.uid == 0);
	CU_ASSERT_EQUAL(seen.effective, WARDEN_BITS);
	CU_ASSERT_EQUAL(seen.bounding, WARDEN_BITS);
}

static void
act_as_command(const void *arg)
{
	char *argv[] = { (char *)(uintptr_t) "/bin/cat",
		(char *)(uintptr_t) "/proc/self/status", NULL };
	char *environment[] = { NULL };
	struct spawn spawn = { .argv = argv,
		.environment = environment,
		.directory = "/",
		.output_fd = 1,
		.cgroup_fd = -1,
		.account = arg };
	struct spawner *spawner = spawner_new();
	const char *step;
	pid_t pid;
	int pidfd, status;
	int error = spawner_start(spawner, &spawn, &pid, &pidfd, &step);

	spawner_free(spawner);
	_exit(error == 0 && waitpid(pid, &status, 0) == pid ? status : 94);
}

/* None of ours, whoever the runner is and whoever the command; root has all that may be had. */
static void
test_commands(void)
{
	const struct account other = {
		.change = true, .uid = OTHER_USER, .gid = OTHER_USER
	};
	const struct account root = { .change = true };
	const struct account *const accounts[] = { NULL, &other, &root };
	uint64_t bounding = 0;

	if (!is_root())
		return;
	for (unsigned int bit = 0; prctl(PR_CAPBSET_READ, bit, 0, 0, 0) >= 0; bit++)
		if (prctl(PR_CAPBSET_READ, bit, 0, 0, 0) == 1)
			bounding |= BIT(bit);
	for (size_t i = 0; i < ARRAY_LENGTH(all_rights); i++)
		for (size_t j = 0; j < ARRAY_LENGTH(accounts); j++) {
			enum rights rights = all_rights[i];
			if (rights == RIGHTS_NONE && accounts[j] != NULL)
				continue;
			unsigned int uid = accounts[j] != NULL ? accounts[j]->uid
			    : rights == RIGHTS_ROOT            ? 0
							       : UNIT_USER;
			struct seen seen = run(rights, act_as_command, accounts[j]);
			CU_ASSERT(seen.whole);
			CU_ASSERT_EQUAL(seen.uid, uid);
			CU_ASSERT_EQUAL(seen.inheritable, 0);
			CU_ASSERT_EQUAL(seen.ambient, 0);
			CU_ASSERT_EQUAL(seen.effective, uid == 0 ? seen.bounding : 0);
			CU_ASSERT_EQUAL(seen.permitted, seen.effective);
			CU_ASSERT_EQUAL(seen.bounding, bounding);
			CU_ASSERT_EQUAL(seen.no_new_privs, 0);
		}
}

/* A state folder of the time when all was root's is the agent's afterwards, with its files;
 * what leads elsewhere is not followed. */
static void
test_state_folder(void)
{
	char folder[] = "/tmp/lictor-test-XXXXXX";
	struct privileges agent = { true, OTHER_USER, OTHER_USER, NULL, 0, 0, 0, 0,
		false };
	struct place place = { -1, -1, 0 };
	struct stat st;

	if (!is_root())
		return;
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	AUTO_FREE char *run_folder = xasprintf("%s/run", folder);
	AUTO_FREE char *state = xasprintf("%s/state", folder);
	AUTO_FREE char *file = xasprintf("%s/maintenance", state);
	AUTO_FREE char *below = xasprintf("%s/roles", state);
	AUTO_FREE char *file_below = xasprintf("%s/web.seen", below);
	AUTO_FREE char *link_name = xasprintf("%s/link", state);
	AUTO_FREE char *outside = xasprintf("%s/outside", folder);
	AUTO_FREE char *lock = xasprintf("%s/lictord.lock", run_folder);
	AUTO_FREE char *own = xasprintf("%s/agent", run_folder);
	setenv("RUNTIME_DIRECTORY", run_folder, 1);
	setenv("STATE_DIRECTORY", state, 1);
	CU_ASSERT_EQUAL(mkdir(state, 0755), 0);
	CU_ASSERT_EQUAL(mknod(file, S_IFREG | 0640, 0), 0);
	CU_ASSERT_EQUAL(mkdir(below, 0750), 0);
	CU_ASSERT_EQUAL(mknod(file_below, S_IFREG | 0640, 0), 0);
	CU_ASSERT_EQUAL(mknod(outside, S_IFREG | 0600, 0), 0);
	CU_ASSERT_EQUAL(symlink(outside, link_name), 0);
	CU_ASSERT_EQUAL(place_take(&place, &agent), 0);
	CU_ASSERT(stat(state, &st) == 0 && st.st_uid == OTHER_USER);
	CU_ASSERT(stat(file, &st) == 0 && st.st_uid == OTHER_USER);
	CU_ASSERT(stat(below, &st) == 0 && st.st_uid == OTHER_USER);
	CU_ASSERT(stat(file_below, &st) == 0 && st.st_uid == OTHER_USER);
	CU_ASSERT(stat(outside, &st) == 0 && st.st_uid == 0);
	CU_ASSERT(stat(run_folder, &st) == 0 && st.st_uid == 0);
	CU_ASSERT(stat(own, &st) == 0 && st.st_uid == OTHER_USER);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	place_leave(&place);
	CU_ASSERT_EQUAL(chown(file, 0, 0), 0);
	CU_ASSERT_EQUAL(place_take(&place, &agent), 0);
	CU_ASSERT(stat(file, &st) == 0 && st.st_uid == 0); /* it was given already */
	place_leave(&place);
	const char *const made[] = { lock, file, file_below, below, link_name, outside,
		own, run_folder, state, folder };
	for (size_t i = 0; i < ARRAY_LENGTH(made); i++)
		CU_ASSERT_EQUAL(remove(made[i]), 0);
}

/* Users are looked for only by who may become them. */
static void
act_find(const void *arg)
{
	struct privileges privileges;
	char why[192] = "";
	int error = privileges_find(WIRE_WARDEN, &privileges, why, sizeof(why));
	bool right = error == 0 && !privileges.change && privileges.uid == UNIT_USER &&
	    privileges.capabilities == WARDEN_BITS;

	privileges_cleanup(&privileges);
	_exit(right ? 0 : 95);
}

static void
test_find(void)
{
	if (is_root())
		run(RIGHTS_NONE, act_find, NULL);
}

static const struct tap_case cases[] = {
	{ "agent and warden have what they need and no more", test_processes },
	{ "root without the users is as small", test_root_stays },
	{ "a command has no capability of ours", test_commands },
	{ "the state folder is the agent's", test_state_folder },
	{ "an ordinary user looks for no other", test_find },
};

TAP_MAIN("privileges", cases)
