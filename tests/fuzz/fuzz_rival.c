/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as the frame of another host: it claims an address or not, and nothing is read
 * beyond it. The first byte chooses the family; the address is then the one in the frame's
 * place for it, so that what comes behind is reached, and one that differs in a bit, which
 * must never be claimed as well.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/util.h"
#include "agent/failover/rival.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char address[16] = { 0 }, mac[6], found[6] = { 0 };

	if (size < 1)
		return 0;
	int family = data[0] % 2 != 0 ? AF_INET6 : AF_INET;
	size_t at = family == AF_INET ? 28 : 62, len = size - 1;
	size_t width = family == AF_INET ? 4 : 16;
	AUTO_FREE unsigned char *frame = xcalloc(1, len > 0 ? len : 1);

	memcpy(frame, data + 1, len);
	if (len >= at + width)
		memcpy(address, frame + at, width);
	if (rival_read(frame, len, family, address, mac)) {
		bool in = false;
		for (size_t i = 0; i + 6 <= len; i++)
			in = in || memcmp(frame + i, mac, 6) == 0;
		address[width - 1] ^= 1;
		if (!in || rival_read(frame, len, family, address, found) ||
		    found[0] != 0)
			abort();
	}
	return 0;
}
