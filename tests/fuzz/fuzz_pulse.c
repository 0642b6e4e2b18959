/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a message of another agent: as they come, and signed, so that what stands
 * behind the code is reached. What is taken has one form: written again it is the same bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/pulse.h"
#include "tests/fuzz/fuzz.h"

static void
check(const uint8_t *data, size_t size, const struct pulse_keys *keys)
{
	struct pulse pulse = { .type = PULSE_HELLO };
	uint8_t again[PULSE_MAX];
	int err = pulse_read(data, size, keys, &pulse);

	if (err == -EPROTO && pulse.version == PULSE_VERSION)
		abort();
	if (err != 0)
		return;
	if (pulse_print(&pulse, keys, again) != size || memcmp(again, data, size) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bytes[1][MAC_KEY_SIZE] = { "the key of these tests" };
	struct pulse_keys keys = { 0 };
	AUTO_FREE uint8_t *copy = xcalloc(1, size > 0 ? size : 1);

	pulse_keys_set(&keys, bytes, 1);
	memcpy(copy, data, size);
	check(copy, size, &keys);
	if (size >= 8 + MAC_SIZE) {
		memcpy(copy + 4, keys.list[0].id, 2);
		mac_sign(
		    keys.list[0].mac, copy, size - MAC_SIZE, copy + size - MAC_SIZE);
		check(copy, size, &keys);
	}
	pulse_keys_clear(&keys);
	return 0;
}
