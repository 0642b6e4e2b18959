/* SPDX-License-Identifier: ISC */
/*
 * The fence of a lictord that was built without bpf (configure --without-bpf, or no clang
 * or libbpf was there): it cannot be had, and says so. The warden asks nothing else of a
 * fence that it did not get, so the rest is never called; fence_hooks.c removes
 * what another build left.
 */
#include "agent/warden/fence.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

struct fence *
fence_open(const char *folder, char *why, size_t size)
{
	snprintf(why, size, "this lictord was built without bpf");
	return NULL;
}

void
fence_free(struct fence *fence)
{
	assert(fence == NULL);
}

bool
fence_clock_ok(struct fence *fence)
{
	assert(fence != NULL);
	return false;
}

int
fence_set(
    struct fence *fence, int family, const unsigned char *address, int64_t until_ms)
{
	assert(fence != NULL);
	return -ENOSYS;
}

int
fence_forget(struct fence *fence, int family, const unsigned char *address)
{
	assert(fence != NULL);
	return -ENOSYS;
}

int
fence_list(struct fence *fence,
    void (*each)(void *arg, int family, const unsigned char *address, int64_t until_ms),
    void *arg)
{
	assert(fence != NULL);
	return -ENOSYS;
}

int
fence_attach(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *link, const struct netlink_link *links, size_t count,
    char *why, size_t size)
{
	assert(fence != NULL);
	return -ENOSYS;
}

bool
fence_is_on(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *link, const struct netlink_link *links, size_t count)
{
	assert(fence != NULL);
	return false;
}

bool
fence_verify(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *links, size_t count, unsigned int *open_ifindex)
{
	assert(fence != NULL);
	return false;
}
