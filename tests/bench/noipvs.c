/* SPDX-License-Identifier: ISC */
/*
 * For keepalived where the kernel has no IPVS (LD_PRELOAD): its checkers refuse to start
 * without one. The load balancer is made to look as if it were there and took everything
 * it was told. What it would be told are the changes of a server's state, and in a window
 * of the benchmark there is none: the checks themselves are keepalived's own.
 */
#include <errno.h>
#include <linux/ip_vs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))

static int
is_ipvs(int level, int name)
{
	return level == IPPROTO_IP && name > IP_VS_BASE_CTL && name <= IP_VS_SO_GET_MAX;
}

VISIBLE int
setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (is_ipvs(level, name))
		return 0;
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

VISIBLE int
getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	if (level == IPPROTO_IP && name == IP_VS_SO_GET_INFO) {
		struct ip_vs_getinfo info = { .version = 0x010201, .size = 4096 };
		memcpy(value, &info, *len < sizeof(info) ? *len : sizeof(info));
		return 0;
	}
	if (is_ipvs(level, name)) {
		errno = ESRCH;
		return -1;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, len);
}
