/* SPDX-License-Identifier: ISC */
/*
 * The words for what the kernel says of a connection: one table, so that the same fault has
 * the same words wherever it is met. What stands here as our own fault says nothing of the
 * other end, and nobody may take it for a failure of a service.
 */
#include "agent/base/net.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/base/util.h"

#define KEPT_DESCRIPTORS 64

static const struct {
	int number;
	enum net_error error;
	const char *words;
} faults[] = {
	{ ECONNREFUSED, NET_REFUSED, "the connection was refused" },
	{ EHOSTUNREACH, NET_REFUSED, "there is no route to the host" },
	{ ENETUNREACH, NET_REFUSED, "the network cannot be reached" },
	{ EACCES, NET_REFUSED, "a rule of this host forbids it" },
	{ EPERM, NET_REFUSED, "a rule of this host forbids it" },
	{ ETIMEDOUT, NET_TIMEOUT, "the other end does not answer" },
	{ ECONNRESET, NET_CLOSED, "the connection was reset" },
	{ ECONNABORTED, NET_CLOSED, "the connection was reset" },
	{ EPIPE, NET_CLOSED, "the connection was closed" },
	{ EMFILE, NET_LOCAL, "no descriptor is left" },
	{ ENFILE, NET_LOCAL, "no descriptor is left" },
	{ ENOSPC, NET_LOCAL, "no descriptor can be watched any more" },
	{ ENOMEM, NET_LOCAL, "no memory is left for a socket" },
	{ ENOBUFS, NET_LOCAL, "no memory is left for a socket" },
	{ EADDRNOTAVAIL, NET_LOCAL, "no local port is left" },
	{ EAGAIN, NET_LOCAL, "no local port is left" }, /* connect(2) */
	{ EAFNOSUPPORT, NET_LOCAL, "this host does not speak that kind of address" },
};

enum net_error
net_error_of(int error, const char **why)
{
	for (size_t i = 0; i < ARRAY_LENGTH(faults); i++)
		if (faults[i].number == error) {
			*why = faults[i].words;
			return faults[i].error;
		}
	*why = strerror(error);
	return NET_REFUSED;
}

int
net_descriptor_end(void)
{
	struct rlimit limit;
	rlim_t kept = KEPT_DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	if (kept > limit.rlim_cur / 4)
		kept = limit.rlim_cur / 4;
	return (int)(limit.rlim_cur - kept);
}
