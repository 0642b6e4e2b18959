/* SPDX-License-Identifier: ISC */
/*
 * Where a database is and the password for it. A plugin sees nothing of lictord but
 * check.h, so what these need is here.
 */
#include "plugins/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
refuse(const char *text, char *why, size_t why_size)
{
	snprintf(why, why_size,
	    "\"%.80s\" is no address, expected \"host:port\", \"192.0.2.1:5432\" or "
	    "\"[2001:db8::1]:5432\"",
	    text);
	return -1;
}

/* Digits only, 1 to 65535. */
static int
read_port(const char *text, uint16_t *out)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (text[strspn(text, "0123456789")] != '\0' || end == text || *end != '\0' ||
	    strlen(text) > 5 || port < 1 || port > 65535)
		return -1;
	*out = (uint16_t)port;
	return 0;
}

/* Where the host's text begins and how long it is, and the text of the port or NULL. */
static const char *
find_parts(const char *text, size_t *len, const char **port)
{
	const char *first = strchr(text, ':'), *last = strrchr(text, ':');

	*port = NULL;
	*len = strlen(text);
	if (text[0] == '[') {
		const char *end = strchr(text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return NULL;
		*len = (size_t)(end - text - 1);
		*port = end[1] == ':' ? end + 2 : NULL;
		return text + 1;
	}
	if (first != NULL && first == last) { /* more colons: an IPv6 address alone */
		*len = (size_t)(first - text);
		*port = first + 1;
	}
	return text;
}

int
target_split(const char *text, uint16_t default_port, struct target *out, char *why,
    size_t why_size)
{
	struct target target = { .port = default_port };
	const char *port;
	size_t len;
	const char *host = find_parts(text, &len, &port);

	if (host == NULL || len == 0 || len > TARGET_HOST_MAX ||
	    (port != NULL && read_port(port, &target.port) != 0))
		return refuse(text, why, why_size);
	memcpy(target.host, host, len);
	if (strpbrk(target.host, " /@[]") != NULL)
		return refuse(text, why, why_size);
	*out = target;
	return 0;
}

void
target_take_addresses(
    struct target_addresses *out, const struct check_address *list, size_t count)
{
	for (size_t i = 0; i < count && i < TARGET_ADDRESSES_MAX; i++) {
		const struct check_address *address = &list[i];
		const void *bytes = address->sa.sa_family == AF_INET6
		    ? (const void *)&address->in6.sin6_addr
		    : (const void *)&address->in.sin_addr;
		inet_ntop(
		    address->sa.sa_family, bytes, out->text[i], sizeof(out->text[i]));
		out->count++;
	}
}

int
target_secret(const char *path, char out[TARGET_SECRET_MAX], char *why, size_t why_size)
{
	out[0] = '\0';
	if (path == NULL)
		return 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len = fd >= 0 ? read(fd, out, TARGET_SECRET_MAX - 1) : -1;
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (len < 0) {
		snprintf(why, why_size, "%s cannot be read: %s", path, strerror(error));
		return -1;
	}
	out[len] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return 0;
}
