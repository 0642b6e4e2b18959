/* SPDX-License-Identifier: ISC */
/*
 * Any text as a URL, as a server may send it with a redirect: what is taken has a host and a
 * port, and a refusal has words.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/url.h"
#include "agent/base/util.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = xstrndup((const char *)data, size);
	char why[160] = "";
	struct url url = { 0 };
	uint16_t port = 0;

	if (url_split(text, &url, why, sizeof(why)) == 0) {
		if (url.port == 0 || !url_is_host(url.host) ||
		    strlen(url.host) > strlen(text))
			abort();
	} else if (why[0] == '\0') {
		abort();
	}
	why[0] = '\0';
	if (url_port(text, &port, why, sizeof(why)) == 0 ? port == 0 : why[0] == '\0')
		abort();
	return 0;
}
