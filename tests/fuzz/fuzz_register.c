/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a role's register in Consul, where whoever may write can write: what is taken
 * can be written, and is read back as the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/failover/role.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct role_register read = { 0 }, again = { 0 };
	char text[1024], why[256] = "";

	if (role_register_parse((const char *)data, size, &read, why, sizeof(why)) !=
	    0) {
		if (why[0] == '\0')
			abort();
		return 0;
	}
	role_register_print(&read, text);
	if (role_register_parse(text, strlen(text), &again, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s: %s\n", why, text);
		abort();
	}
	if (read.rev != again.rev || strcmp(read.wid, again.wid) != 0 ||
	    strcmp(read.holder, again.holder) != 0 ||
	    read.fence.present != again.fence.present)
		abort();
	return 0;
}
