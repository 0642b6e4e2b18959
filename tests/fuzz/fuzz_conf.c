/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a configuration: it is taken, or refused in one printable line with a file
 * and a line, and nothing breaks. A line "-- services" parts lictor.conf from a file of
 * services.d. The host is not asked, so that a finding is the same everywhere. That
 * libconfuse and our scan read the same is held here: its own refusal is a finding.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "tests/fuzz/fuzz.h"

static const char part[] = "-- services\n";

/* "FILE:LINE: WHAT", where WHAT is not that libconfuse differs. */
static bool
is_good_line(const char *error)
{
	const char *digits = strchr(error, ':');

	for (const char *p = error; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			return false;
	if (strncmp(error, "lictor.conf:", 12) != 0 &&
	    strncmp(error, "a.conf:", 7) != 0)
		return false;
	size_t len = strspn(digits + 1, "0123456789");
	const char *what = digits + 1 + len;
	return len > 0 && digits[1] != '0' && strncmp(what, ": ", 2) == 0 &&
	    strncmp(what + 2, "libconfuse", 10) != 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *middle = size > 0 ? memmem(text, size, part, strlen(part)) : NULL;
	size_t first = middle != NULL ? (size_t)(middle - text) : size;
	const char *rest = middle != NULL ? middle + strlen(part) : "";
	struct bundle_file files[] = {
		{ "environment", "", 0 },
		{ "lictor.conf", text, first },
		{ "a.conf", rest, middle != NULL ? size - first - strlen(part) : 0 },
	};
	char error[CONF_ERROR_MAX];
	struct conf_bundle *bundle = bundle_new(files, ARRAY_LENGTH(files));

	bundle->received = true;
	struct conf *conf = conf_parse(bundle, error);
	if (conf == NULL && !is_good_line(error)) {
		fprintf(stderr, "not a line for people: %s\n", error);
		abort();
	}
	conf_free(conf);
	return 0;
}
