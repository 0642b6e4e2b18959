/* SPDX-License-Identifier: ISC */
/*
 * Locks by which two processes of the same kind never run at once: a file's flock (one per
 * runtime folder) and an abstract socket (one per network namespace, whatever folders the
 * others were told to use). Both end with their holder, however it dies. A process that was just
 * killed may hold its lock for moments more, so the caller says how long to wait;
 * the wait asks again each few milliseconds, because flock knows no limit of time.
 */
#include "agent/base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define AGAIN_MS 5

/* Calls `take` until it does not say -EWOULDBLOCK or the time is over. */
static int
take_within(
    int (*take)(int fd, const char *name), int fd, const char *name, int64_t limit_ms)
{
	int64_t end = clock_boot_ms() + limit_ms;
	int error = take(fd, name);

	while (error == -EWOULDBLOCK && clock_boot_ms() < end) {
		nanosleep(&(struct timespec){ .tv_nsec = AGAIN_MS * 1000000L }, NULL);
		error = take(fd, name);
	}
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static int
take_flock(int fd, const char *name)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

int
lock_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

int
lock_take(int fd, int64_t limit_ms)
{
	return take_within(take_flock, fd, NULL, limit_ms);
}

int
lock_file(const char *path, int64_t limit_ms)
{
	int fd = lock_open(path);

	return fd < 0 ? fd : lock_take(fd, limit_ms);
}

static int
take_name(int fd, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(name);

	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path + 1, name, len);
	len += offsetof(struct sockaddr_un, sun_path) + 1;
	if (bind(fd, (struct sockaddr *)&address, (socklen_t)len) == 0)
		return 0;
	return errno == EADDRINUSE ? -EWOULDBLOCK : -errno;
}

int
lock_name(const char *name, int64_t limit_ms)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : take_within(take_name, fd, name, limit_ms);
}
