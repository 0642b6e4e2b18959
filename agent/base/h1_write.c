/* SPDX-License-Identifier: ISC */
/*
 * The bytes of a request of HTTP/1.1 (RFC 9112, 3). The caller's headers stand for ours of the
 * same name, and one without a value keeps ours away; nothing of what he gives is judged here:
 * that was done when it was configured.
 */
#include "agent/base/h1_write.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/base/http.h"
#include "agent/base/util.h"

static void
put(struct buf *out, const char *text)
{
	buf_add(out, text, strlen(text));
}

/* Whether the caller has a header of that name; one without a value keeps ours away. */
static bool
has_own(const char *const *own, const char *name)
{
	size_t len = strlen(name);

	for (; own != NULL && *own != NULL; own++)
		if (strncasecmp(*own, name, len) == 0 && (*own)[len] == ':')
			return true;
	return false;
}

static void
put_own(struct buf *out, const char *const *own)
{
	for (; own != NULL && *own != NULL; own++) {
		const char *colon = strchr(*own, ':');
		if (colon == NULL || colon[1 + strspn(colon + 1, " \t")] == '\0')
			continue;
		put(out, *own);
		put(out, "\r\n");
	}
}

/* A fragment is ours alone. */
static void
put_target(struct buf *out, const char *path)
{
	put(out, *path == '/' ? " " : " /");
	buf_add(out, path, strcspn(path, "#"));
	put(out, " HTTP/1.1\r\n");
}

static void
put_length(struct buf *out, const struct http_request *request)
{
	char text[48];

	snprintf(text, sizeof(text), "Content-Length: %zu\r\n",
	    request->body != NULL ? request->body_len : 0);
	put(out, text);
}

void
h1_write(
    struct buf *out, const struct http_request *request, const char *method, bool keep)
{
	const char *const *own = request->headers;
	const char *authority = strstr(request->url, "//") + 2;
	size_t len = strcspn(authority, "/?#");
	bool empty = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

	put(out, method);
	put_target(out, authority + len);
	if (!has_own(own, "Host")) {
		put(out, "Host: ");
		buf_add(out, authority, len);
		put(out, "\r\n");
	}
	if (!has_own(own, "User-Agent"))
		put(out, "User-Agent: lictor/" PACKAGE_VERSION "\r\n");
	if (!has_own(own, "Accept"))
		put(out, "Accept: */*\r\n");
	if (!keep && !has_own(own, "Connection"))
		put(out, "Connection: close\r\n");
	put_own(out, own);
	if ((request->body != NULL || !empty) && !has_own(own, "Content-Length"))
		put_length(out, request);
	put(out, "\r\n");
	if (request->body != NULL)
		buf_add(out, request->body, request->body_len);
}
