/* SPDX-License-Identifier: ISC */
/*
 * Takes a URL apart as far as we must know it ourselves: who is asked, on which port, with
 * or without TLS. libcurl reads the same text again when it sends; what the two could
 * understand differently (users, blanks, half addresses, odd ports) is refused here, so
 * that the name we resolve is the name that libcurl connects to.
 */
#include "agent/base/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

static int
fault(char *why, size_t why_size, const char *what)
{
	snprintf(why, why_size, "%s", what);
	return -EINVAL;
}

/* The part after the scheme, or NULL. */
static const char *
after_scheme(const char *text, bool *tls)
{
	*tls = strncmp(text, "https://", 8) == 0;
	if (*tls)
		return text + 8;
	return strncmp(text, "http://", 7) == 0 ? text + 7 : NULL;
}

static bool
is_ip6(const char *host)
{
	struct in6_addr ip6;

	return inet_pton(AF_INET6, host, &ip6) == 1;
}

/* Letters, digits, '-', '_' and '.'; what ends in a number must be a whole address. */
static bool
is_name_or_ip4(const char *host)
{
	static const char digits[] = "0123456789";
	const char *dot = strrchr(host, '.');
	const char *last = dot != NULL ? dot + 1 : host;
	struct in_addr ip4;

	for (const char *p = host; *p != '\0'; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789-_.",
			*p) == NULL)
			return false;
	if (host[0] == '\0' || host[0] == '.' || strstr(host, "..") != NULL)
		return false;
	if (last[0] != '\0' && strspn(last, digits) == strlen(last))
		return inet_pton(AF_INET, host, &ip4) == 1;
	return true;
}

bool
url_is_host(const char *text)
{
	return is_ip6(text) || is_name_or_ip4(text);
}

/* Copies the host to `out`; *rest is what follows it in the authority. */
static int
take_host(const char *authority, size_t len, char *out, size_t size, const char **rest)
{
	const char *end = authority + len, *from = authority, *to;
	bool brackets = len > 0 && authority[0] == '[';

	if (brackets) {
		from++;
		to = memchr(from, ']', (size_t)(end - from));
		*rest = to != NULL ? to + 1 : end;
	} else {
		to = memchr(from, ':', len);
		to = to != NULL ? to : end;
		*rest = to;
	}
	if (to == NULL || (size_t)(to - from) >= size)
		return -EINVAL;
	memcpy(out, from, (size_t)(to - from));
	out[to - from] = '\0';
	return (brackets ? is_ip6(out) : is_name_or_ip4(out)) ? 0 : -EINVAL;
}

int
url_port(const char *text, uint16_t *out, char *why, size_t why_size)
{
	uint64_t port;

	switch (parse_uint(text, 1, 65535, &port)) {
	case 0: *out = (uint16_t)port; return 0;
	case -ERANGE:
		snprintf(why, why_size,
		    "port %.24s is out of range, expected 1 to 65535", text);
		return -EINVAL;
	default:
		snprintf(why, why_size,
		    "port \"%.24s\" is not a number, expected 1 to 65535", text);
		return -EINVAL;
	}
}

int
url_split(const char *text, struct url *out, char *why, size_t why_size)
{
	struct url url = { 0 };
	const char *authority = after_scheme(text, &url.tls), *rest;

	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p > '~')
			return fault(why, why_size,
			    "a URL has no blanks and nothing but ASCII, expected them "
			    "as %XX");
	if (authority == NULL)
		return fault(why, why_size,
		    "the URL has another scheme than expected: "
		    "http:// or https://");
	size_t len = strcspn(authority, "/?#");
	if (memchr(authority, '@', len) != NULL)
		return fault(why, why_size,
		    "the URL has a user name, expected none (use "
		    "a header for credentials)");
	if (take_host(authority, len, url.host, sizeof(url.host), &rest) != 0)
		return fault(why, why_size,
		    "the URL's host is not valid, expected a "
		    "name, 192.0.2.1 or [2001:db8::1]");
	url.port = url.tls ? 443 : 80;
	if (rest < authority + len) {
		AUTO_FREE char *port = xstrndup(rest, (size_t)(authority + len - rest));
		if (port[0] != ':')
			return fault(why, why_size,
			    "something else than a port follows the "
			    "host, expected http://HOST:PORT/PATH");
		if (url_port(port + 1, &url.port, why, why_size) != 0)
			return -EINVAL;
	}
	*out = url;
	return 0;
}
