/* SPDX-License-Identifier: ISC */
/*
 * The one file that knows libbpf: loads the program of fence.bpf.c, which is carried inside
 * of lictord, writes deadlines into its map and sees that it stands on every interface.
 *
 * Program and map belong to the kernel and outlive this process: the map is pinned in a
 * folder of the network namespace's own, the programs beside it for those who look, and the
 * next warden takes the map over as it is, whatever its version. The programs are loaded
 * anew and replace the old ones on an interface in one step. In place means: the first
 * filter of its way, with nothing of tcx before it, and the program that this process
 * loaded, by its number. Only netlink can tell that, so each look is netlink's.
 */
#include "agent/warden/fence.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/warden/fence_links.h"
#include "agent/warden/fence_map.h"
#include "agent/warden/netlink.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#define BPFFS_MAGIC 0xcafe4a11
/* enum bpf_attach_type of Linux 6.6, which older headers do not have */
#define TCX_INGRESS 46
#define TCX_EGRESS 47

#define MS 1000000
#define CLOCK_SLACK_NS (1 * MS)
#define FRAME_MIN 64

_Alignas(8) static const unsigned char object_file[] = {
#include "agent/warden/fence_object.h"
};

enum header { ETHERNET, BARE };
enum way { IN, OUT };
#define HEADERS 2
#define WAYS 2

struct program {
	int fd;
	uint32_t id;
};

struct fence {
	char *folder;
	struct bpf_object *object;
	int map_fd, clock_fd;
	struct program programs[HEADERS][WAYS];
};

/* For each way and link layer: its name in the object, and where it is pinned. */
static const struct {
	const char *name, *pin;
} program_names[HEADERS][WAYS] = {
	[ETHERNET] = { [IN] = { FENCE_IN, FENCE_PIN_IN },
	    [OUT] = { FENCE_OUT, FENCE_PIN_OUT } },
	[BARE] = { [IN] = { FENCE_IN "_bare", FENCE_PIN_IN_BARE },
	    [OUT] = { FENCE_OUT "_bare", FENCE_PIN_OUT_BARE } },
};

static int
on_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[512];

	if (level == LIBBPF_DEBUG || !log_debug_on("vip"))
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	log_debug("vip", "libbpf: %s", line);
	return 0;
}

/* The cookie is never used twice, the number of a namespace's file is. */
static char *
name_of_namespace(void)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	struct stat st;

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0)
		return xasprintf("%llu", (unsigned long long)cookie);
	if (stat("/proc/self/ns/net", &st) != 0)
		return NULL;
	return xasprintf("file-%llu", (unsigned long long)st.st_ino);
}

static int
make_folder(struct fence *fence, const char *parent, char *why, size_t size)
{
	AUTO_FREE char *name = name_of_namespace();
	struct statfs fs;

	if (name == NULL) {
		snprintf(why, size, "this network namespace has no name");
		return -ENOENT;
	}
	if (statfs(parent, &fs) != 0 || (uint32_t)fs.f_type != BPFFS_MAGIC) {
		snprintf(why, size, "its folder is not on a bpf file system");
		return -EINVAL;
	}
	fence->folder = xasprintf("%s/%s", parent, name);
	if (mkdir(fence->folder, 0700) == 0 || errno == EEXIST)
		return 0;
	int error = errno;
	snprintf(why, size, "its folder on the bpf file system cannot be made: %s",
	    strerror(error));
	return -error;
}

/* libbpf takes the map that is pinned there, or pins a new one. */
static int
load(struct fence *fence, char *why, size_t size)
{
	AUTO_FREE char *pin = xasprintf("%s/" FENCE_PIN_MAP, fence->folder);
	struct bpf_map *map;

	fence->object = bpf_object__open_mem(object_file, sizeof(object_file), NULL);
	if (fence->object == NULL) {
		snprintf(
		    why, size, "libbpf cannot read the program: %s", strerror(errno));
		return -EINVAL;
	}
	map = bpf_object__find_map_by_name(fence->object, "deadlines");
	if (map == NULL || bpf_map__set_pin_path(map, pin) != 0 ||
	    bpf_object__load(fence->object) != 0) {
		int error = errno;
		snprintf(why, size, "the kernel does not take the program: %s",
		    strerror(error));
		return -error;
	}
	fence->map_fd = bpf_map__fd(map);
	return 0;
}

static int
find_program(struct fence *fence, const char *name, struct program *out)
{
	struct bpf_program *program =
	    bpf_object__find_program_by_name(fence->object, name);
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (program == NULL)
		return -ENOENT;
	int fd = bpf_program__fd(program);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) != 0)
		return -errno;
	*out = (struct program){ .fd = fd, .id = info.id };
	return 0;
}

/* In the place of an older warden's, which is attached still and needs its pin no more. */
static int
pin(const struct fence *fence, int fd, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", fence->folder, name);

	if (unlink(path) != 0 && errno != ENOENT)
		return -errno;
	return bpf_obj_pin(fd, path) == 0 ? 0 : -errno;
}

static int
take_programs(struct fence *fence, char *why, size_t size)
{
	struct program clock;
	int error = find_program(fence, "lictor_clock", &clock);

	for (int i = 0; error == 0 && i < HEADERS * WAYS; i++) {
		int header = i / WAYS, way = i % WAYS;
		struct program *program = &fence->programs[header][way];
		error = find_program(fence, program_names[header][way].name, program);
		if (error == 0)
			error = pin(fence, program->fd, program_names[header][way].pin);
	}
	if (error != 0)
		snprintf(
		    why, size, "the program cannot be pinned: %s", strerror(-error));
	else
		fence->clock_fd = clock.fd;
	return error;
}

struct fence *
fence_open(const char *folder, char *why, size_t size)
{
	struct fence *fence = xcalloc(1, sizeof(*fence));

	libbpf_set_print(on_libbpf);
	if (make_folder(fence, folder, why, size) == 0 && load(fence, why, size) == 0 &&
	    take_programs(fence, why, size) == 0) {
		if (fence_clock_ok(fence))
			return fence;
		snprintf(
		    why, size, "the program's clock is not ours (a time namespace?)");
	}
	fence_free(fence);
	return NULL;
}

void
fence_free(struct fence *fence)
{
	if (fence == NULL)
		return;
	bpf_object__close(fence->object);
	free(fence->folder);
	free(fence);
}

static int64_t
boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 * MS + now.tv_nsec;
}

bool
fence_clock_ok(struct fence *fence)
{
	unsigned char frame[FRAME_MIN] = { 0 }, answer[FRAME_MIN] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame,
	    .data_size_in = sizeof(frame), .data_out = answer,
	    .data_size_out = sizeof(answer), .repeat = 1);
	int64_t there, before = boot_ns();

	if (bpf_prog_test_run_opts(fence->clock_fd, &run) != 0 || run.retval != 0)
		return false;
	int64_t after = boot_ns();
	memcpy(&there, answer, sizeof(there));
	return before - CLOCK_SLACK_NS <= there && there <= after + CLOCK_SLACK_NS;
}

static struct fence_key
key_of(int family, const unsigned char *address)
{
	struct fence_key key = { .address = { [10] = 0xff, [11] = 0xff } };

	if (family == AF_INET)
		memcpy(key.address + 12, address, 4);
	else
		memcpy(key.address, address, sizeof(key.address));
	return key;
}

int
fence_set(
    struct fence *fence, int family, const unsigned char *address, int64_t until_ms)
{
	struct fence_key key = key_of(family, address);
	uint64_t deadline = until_ms <= 0 ? 0 : (uint64_t)until_ms * MS;

	if (bpf_map_update_elem(fence->map_fd, &key, &deadline, BPF_ANY) != 0)
		return -errno;
	return 0;
}

int
fence_forget(struct fence *fence, int family, const unsigned char *address)
{
	struct fence_key key = key_of(family, address);

	if (bpf_map_delete_elem(fence->map_fd, &key) != 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/* All keys of the map, which somebody who changes it meanwhile would make us miss. */
static int
list_keys(struct fence *fence, struct fence_key *keys, size_t *count)
{
	const struct fence_key *last = NULL;

	for (*count = 0; *count < FENCE_ADDRESSES_MAX; ++*count) {
		if (bpf_map_get_next_key(fence->map_fd, last, &keys[*count]) != 0)
			return errno == ENOENT ? 0 : -errno;
		last = &keys[*count];
	}
	return 0;
}

int
fence_list(struct fence *fence,
    void (*each)(void *arg, int family, const unsigned char *address, int64_t until_ms),
    void *arg)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	AUTO_FREE struct fence_key *keys = xcalloc(FENCE_ADDRESSES_MAX, sizeof(*keys));
	size_t count;
	uint64_t deadline;
	int error = list_keys(fence, keys, &count);

	for (size_t i = 0; error == 0 && i < count; i++) {
		const unsigned char *address = keys[i].address;
		bool v4 = memcmp(address, mapped, sizeof(mapped)) == 0;
		if (bpf_map_lookup_elem(fence->map_fd, &keys[i], &deadline) == 0)
			each(arg, v4 ? AF_INET : AF_INET6, address + (v4 ? 12 : 0),
			    (int64_t)(deadline / MS));
	}
	return error;
}

/* Programs of tcx run before every filter, and may end what comes after them. Older kernels
 * have none and do not know the question. */
static bool
has_tcx(unsigned int ifindex, enum way way)
{
	uint32_t count = 0;

	if (bpf_prog_query((int)ifindex, way == IN ? TCX_INGRESS : TCX_EGRESS, 0, NULL,
		NULL, &count) != 0)
		return false;
	return count > 0;
}

/* On a plain ingress qdisc the two ways are one, and no program can be the first of both. */
static bool
is_first(const struct netlink_hook *hook, uint32_t program)
{
	return hook->first.priority == FENCE_PRIORITY &&
	    hook->first.handle == FENCE_HANDLE && hook->first.program == program;
}

static int
look(struct netlink *netlink, unsigned int ifindex, enum way way,
    struct netlink_hook *hook)
{
	return netlink_hooks(
	    netlink, ifindex, way == OUT, FENCE_PRIORITY, FENCE_HANDLE, hook);
}

struct place {
	struct netlink *netlink;
	const struct netlink_link *link;
	enum way way;
	char *why;
	size_t size;
};

static int
refuse(const struct place *place, int error, const char *format, const char *detail)
{
	char name[4 * IF_NAMESIZE], safe[128], text[256];

	text_escape(name, sizeof(name), place->link->name, strlen(place->link->name));
	text_escape(safe, sizeof(safe), detail, strlen(detail));
	snprintf(text, sizeof(text), format, safe);
	snprintf(place->why, place->size, "%s: %s", name, text);
	return error;
}

/* A clsact qdisc, and nothing of others where the program belongs or before it; *hook is
 * what there is. 0 or -errno with why. A plain ingress qdisc would take the program for
 * what leaves and run it on what comes in, without an error. */
static int
prepare(const struct place *place, struct netlink_hook *hook)
{
	unsigned int ifindex = place->link->ifindex;
	LIBBPF_OPTS(bpf_tc_hook, qdisc, .ifindex = (int)ifindex,
	    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int error = look(place->netlink, ifindex, place->way, hook);

	if (error == 0 && hook->fixed.handle == 0 && hook->qdisc[0] == '\0') {
		error = bpf_tc_hook_create(&qdisc);
		if (error == 0 || error == -EEXIST)
			error = look(place->netlink, ifindex, place->way, hook);
	}
	if (error != 0)
		return refuse(place, error, "no clsact qdisc can be had there: %s",
		    strerror(-error));
	if (hook->fixed.handle == 0 && strcmp(hook->qdisc, "clsact") != 0)
		return refuse(place, -EOPNOTSUPP,
		    "somebody has given it the qdisc %s, where clsact belongs",
		    hook->qdisc);
	if (has_tcx(ifindex, place->way))
		return refuse(place, -EOPNOTSUPP,
		    "a program of somebody else (%s) runs before any filter", "tcx");
	if (hook->fixed.handle != 0 &&
	    !fence_is_ours(hook->fixed.name, place->way == OUT))
		return refuse(place, -EOPNOTSUPP,
		    "the filter %s of somebody else is where the fence belongs",
		    hook->fixed.name);
	return 0;
}

static int
attach(const struct place *place, const struct program *program)
{
	struct netlink_hook hook;
	LIBBPF_OPTS(bpf_tc_hook, to, .ifindex = (int)place->link->ifindex,
	    .attach_point = place->way == IN ? BPF_TC_INGRESS : BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FENCE_HANDLE,
	    .priority = FENCE_PRIORITY, .prog_fd = program->fd,
	    .flags = BPF_TC_F_REPLACE);
	int error = prepare(place, &hook);

	if (error != 0 || is_first(&hook, program->id))
		return error;
	if (hook.fixed.program != program->id)
		error = bpf_tc_attach(&to, &opts);
	if (error == 0)
		error = look(place->netlink, place->link->ifindex, place->way, &hook);
	if (error != 0)
		return refuse(place, error, "the program cannot be attached: %s",
		    strerror(-error));
	if (is_first(&hook, program->id))
		return 0;
	return refuse(place, -EOPNOTSUPP,
	    "the filter %s of somebody else runs before the fence", hook.first.name);
}

int
fence_attach(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *link, const struct netlink_link *links, size_t count,
    char *why, size_t size)
{
	struct place place = { netlink, link, IN, why, size };
	unsigned int l2_length = 0;

	switch (fence_need(link, links, count, &l2_length)) {
	case FENCE_NOT_NEEDED: return 0;
	case FENCE_IMPOSSIBLE:
		return refuse(&place, -EOPNOTSUPP,
		    "the fence cannot read what passes there%s", "");
	case FENCE_NEEDED: break;
	}
	const struct program *programs =
	    fence->programs[l2_length == 0 ? BARE : ETHERNET];
	int error = attach(&place, &programs[IN]);
	if (error != 0)
		return error;
	place.way = OUT;
	return attach(&place, &programs[OUT]);
}

static bool
is_in_place(
    struct netlink *netlink, unsigned int ifindex, const struct program programs[WAYS])
{
	struct netlink_hook hook;

	for (int way = IN; way <= OUT; way++)
		if (look(netlink, ifindex, (enum way)way, &hook) != 0 ||
		    !is_first(&hook, programs[way].id) ||
		    has_tcx(ifindex, (enum way)way))
			return false;
	return true;
}

bool
fence_is_on(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *link, const struct netlink_link *links, size_t count)
{
	unsigned int l2_length = 0;

	switch (fence_need(link, links, count, &l2_length)) {
	case FENCE_NOT_NEEDED: return true;
	case FENCE_IMPOSSIBLE: return false;
	case FENCE_NEEDED: break;
	}
	return is_in_place(
	    netlink, link->ifindex, fence->programs[l2_length == 0 ? BARE : ETHERNET]);
}

bool
fence_verify(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *links, size_t count, unsigned int *open_ifindex)
{
	for (size_t i = 0; i < count; i++) {
		if (fence_is_on(fence, netlink, &links[i], links, count))
			continue;
		*open_ifindex = links[i].ifindex;
		return false;
	}
	return true;
}
