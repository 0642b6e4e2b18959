/* SPDX-License-Identifier: ISC */
/*
 * What a fence needs of a machine, and no other fence sees: a network namespace, and a bpf
 * file system mounted where only this test and what it starts see it. Both go with the
 * last process.
 */
#include "tests/unit/fence_bed.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/warden/fence.h"
#include "agent/warden/fence_map.h"
#include "agent/warden/netlink.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

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

char *
fence_bed_path(const char *name)
{
	DIR *folder = opendir(FENCE_BED_FOLDER);
	char *path = NULL;

	if (folder == NULL)
		return NULL;
	for (const struct dirent *entry = readdir(folder);
	     entry != NULL && path == NULL; entry = readdir(folder))
		if (entry->d_name[0] != '.' && strncmp(entry->d_name, "test-", 5) != 0)
			path =
			    xasprintf(FENCE_BED_FOLDER "/%s/%s", entry->d_name, name);
	closedir(folder);
	return path;
}

int
fence_bed_pinned(const char *name)
{
	AUTO_FREE char *path = fence_bed_path(name);
	int fd = path == NULL ? -1 : bpf_obj_get(path);

	return fd < 0 ? -1 : fd;
}

static void
on_address(void *arg, const struct netlink_address *address, bool present)
{
}

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
	struct fence_bed *bed = arg;

	links_take(&bed->links, link, gone);
}

static void
on_lost(void *arg)
{
}

static void
make_pair(struct fence_bed *bed)
{
	char words[64];

	bed->neighbour = netns_neighbour();
	CU_ASSERT_FATAL(bed->neighbour > 0);
	CU_ASSERT_FATAL(netns_ip(0, "link add va type veth peer name vb", NULL, 0));
	snprintf(words, sizeof(words), "link set vb netns %d", (int)bed->neighbour);
	CU_ASSERT_FATAL(netns_ip(0, words, NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set va up", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(bed->neighbour, "link set vb up", NULL, 0));
}

void
fence_bed_open(struct fence_bed *bed)
{
	struct netlink_out out = {
		.address = on_address, .link = on_link, .lost = on_lost, .arg = bed
	};
	char why[256] = "";

	*bed = (struct fence_bed){ .loop = loop_new() };
	make_pair(bed);
	bed->netlink = netlink_new(bed->loop, &out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->netlink);
	bed->fence = fence_open(FENCE_BED_FOLDER, why, sizeof(why));
	if (bed->fence == NULL)
		printf("# %s\n", why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->fence);
}

void
fence_bed_close(struct fence_bed *bed)
{
	fence_free(bed->fence);
	netlink_free(bed->netlink);
	links_done(&bed->links);
	loop_free(bed->loop);
	netns_ip(0, "link del va", NULL, 0);
	netns_leave(bed->neighbour);
}

void
fence_bed_look(struct fence_bed *bed)
{
	links_begin(&bed->links);
	CU_ASSERT_EQUAL(netlink_dump(bed->netlink), 0);
	links_end(&bed->links);
}

int
fence_bed_attach(struct fence_bed *bed)
{
	char why[256];
	int first = 0;

	fence_bed_look(bed);
	for (size_t i = 0; i < bed->links.count; i++) {
		int error = fence_attach(bed->fence, bed->netlink, &bed->links.list[i],
		    bed->links.list, bed->links.count, why, sizeof(why));
		if (error != 0)
			printf("# %s\n", why);
		first = first == 0 ? error : first;
	}
	return first;
}

bool
fence_bed_stands(struct fence_bed *bed, const char *name)
{
	unsigned int open = 0;

	fence_bed_look(bed);
	if (fence_verify(
		bed->fence, bed->netlink, bed->links.list, bed->links.count, &open))
		return true;
	CU_ASSERT(name == NULL || open == if_nametoindex(name));
	return false;
}

int64_t
fence_bed_deadline(int family, const unsigned char *address)
{
	struct fence_key key = { .address = { [10] = 0xff, [11] = 0xff } };
	int fd = fence_bed_pinned(FENCE_PIN_MAP);
	uint64_t ns;

	if (family == AF_INET)
		memcpy(key.address + 12, address, 4);
	else
		memcpy(key.address, address, sizeof(key.address));
	bool found = fd >= 0 && bpf_map_lookup_elem(fd, &key, &ns) == 0;
	if (fd >= 0)
		close(fd);
	return found ? (int64_t)(ns / 1000000) : -1;
}

/* Only a child is in the new time namespace. */
static bool
part_clocks(bool (*sees)(void *arg), void *arg)
{
	const char offset[] = "boottime 1000 0\n";
	int status = -1;

	if (unshare(CLONE_NEWTIME) != 0)
		return true;
	AUTO_CLOSE int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (write(fd, offset, strlen(offset)) != (ssize_t)strlen(offset))
		return false;
	pid_t pid = fork();
	if (pid == 0)
		_exit(sees(arg) ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

bool
fence_bed_in_other_time(bool (*sees)(void *arg), void *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(part_clocks(sees, arg) ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && status == 0;
}
