/* SPDX-License-Identifier: ISC */
/*
 * The few words that systemd wants to hear from a service of Type=notify, one datagram
 * each, to a socket in the file system or in the abstract space ('@'). Nobody answers,
 * and a word that is lost harms nothing: the next one of the watchdog comes a second later.
 */
#include "agent/runner/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/util.h"

void
notify_send(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (name == NULL || (name[0] != '/' && name[0] != '@') ||
	    !str_copy(address.sun_path, sizeof(address.sun_path), name))
		return;
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	size_t len = offsetof(struct sockaddr_un, sun_path) + strlen(name);
	AUTO_CLOSE int fd =
	    socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		    (struct sockaddr *)&address, (socklen_t)len);
}
