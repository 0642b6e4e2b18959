/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_NAME_SERVER_H
#define LICTOR_NAME_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the server says of a name; of one that is not in its list, that there is none. */
struct name_record {
	const char *name;
	int rcode;
	const char *a, *aaaa;	/* parted by spaces */
	uint32_t ttl;		/* seconds */
	const char *alias;	/* the name leads there (CNAME), for so long */
	uint32_t alias_ttl;
	bool counts;		/* `a` is 192.0.2.N: asked for the Nth time */
	unsigned int bad_times;	/* it fails so often for each type before */
	unsigned int slow_ms;	/* the answer takes so long, nobody else's does */
	unsigned int lost;	/* so many questions get no answer at all */
};
#define NAME_SERVER_LOST 0xffffffffu	/* none ever does */

/* Moves the process into a mount and a network namespace of its own, where it may change
 * /etc/resolv.conf and /etc/hosts (by name_server_file), once for all cases. False: that
 * cannot be had here. */
bool name_server_world(void);
void name_server_file(const char *path, const char *text);

/* A name server on port 53 of that address, a process of its own. */
pid_t name_server_start(
    const char *address, const struct name_record *records, size_t count);
void name_server_stop(pid_t pid);

#endif
