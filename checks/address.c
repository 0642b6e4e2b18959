/* SPDX-License-Identifier: ISC */
/*
 * Addresses in the options of checks, with the words for what is wrong with them.
 */
#include "checks/address.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/resolve.h"
#include "agent/base/url.h"
#include "agent/base/util.h"

/* "host" or "[2001:db8::1]". */
static bool
take_host(const char *text, size_t len, struct address *out)
{
	bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	AUTO_FREE char *host =
	    brackets ? xstrndup(text + 1, len - 2) : xstrndup(text, len);

	if (brackets && strchr(host, ':') == NULL)
		return false;
	return str_copy(out->host, sizeof(out->host), host) && url_is_host(out->host);
}

/* The colon before a port, or NULL: there is none. */
static const char *
find_port(const char *text)
{
	const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');

	if (colon == NULL || (bracket != NULL && bracket > colon))
		return NULL;
	/* one colon of several that are not in brackets is part of the address */
	return bracket == NULL && strchr(text, ':') != colon ? NULL : colon;
}

static const char *
find_fault(const char *text, bool has_port)
{
	if (has_port)
		return "neither an address nor a host name";
	if (strchr(text, ':') == NULL || text[0] == '[')
		return "it has no port";
	if (strspn(text, "0123456789abcdefABCDEF:.") == strlen(text))
		return "an IPv6 address stands in brackets";
	return "neither an address nor a host name";
}

int
address_parse(const char *text, uint16_t default_port, struct address *out, char *why,
    size_t why_size)
{
	const char *colon = find_port(text);
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
	struct address address = { .port = default_port };

	if (colon != NULL && url_port(colon + 1, &address.port, why, why_size) != 0)
		return -1;
	if (address.port != 0 && take_host(text, len, &address)) {
		*out = address;
		return 0;
	}
	snprintf(why, why_size,
	    "%s, expected \"host:port\", \"192.0.2.1:80\" or \"[2001:db8::1]:80\"%s",
	    find_fault(text, address.port != 0),
	    default_port != 0 ? ", or one of them without the port" : "");
	return -1;
}

int
address_parse_host(const char *text, struct address *out, char *why, size_t why_size)
{
	struct address address = { .port = 0 };

	if (take_host(text, strlen(text), &address)) {
		*out = address;
		return 0;
	}
	snprintf(why, why_size,
	    "neither an address nor a host name, expected \"host\", \"192.0.2.1\" or "
	    "\"2001:db8::1\"");
	return -1;
}
