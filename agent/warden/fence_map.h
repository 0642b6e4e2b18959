/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FENCE_MAP_H
#define LICTOR_FENCE_MAP_H

/* What the program (fence.bpf.c) and its loader (fence.c) must agree on; both outlive a
 * lictord, so that the next one, of another version perhaps, finds them again. */
#include <linux/types.h>

/* Where the program stands in the chain of an interface, and what it is called there: the
 * name begins so, whatever follows. */
#define FENCE_PRIORITY 1
#define FENCE_HANDLE 0x11c
#define FENCE_IN "lictor_in"
#define FENCE_OUT "lictor_out"

/* The map's name and the programs' in the file system, the latter by the length of the
 * link layer's header. */
#define FENCE_PIN_MAP "deadlines"
#define FENCE_PIN_IN "in14"
#define FENCE_PIN_OUT "out14"
#define FENCE_PIN_IN_BARE "in0"
#define FENCE_PIN_OUT_BARE "out0"

#define FENCE_ADDRESSES_MAX 4096

/* The value is a __u64, nanoseconds of CLOCK_BOOTTIME: from then on the host is mute for
 * the address; 0: it is. An address that is not in the map is none of ours. */
struct fence_key {
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
};

#endif
