/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FENCE_BED_H
#define LICTOR_FENCE_BED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/warden/links.h"

/* Where fence_bed_enter has mounted a bpf file system of the test's own. */
#define FENCE_BED_FOLDER "/sys/fs/bpf"

/* Moves into a network namespace (netns_enter) and a mount namespace of the test's own.
 * False: printed is the TAP line that skips the whole test. */
bool fence_bed_enter(void);

/* Where a fence pins in this namespace; NULL: none has. The caller frees it. Folders whose
 * names begin with "test-" are the test's. */
char *fence_bed_path(const char *name);

/* A descriptor of the program that a fence pinned last in this namespace (FENCE_PIN_), and
 * of its map; -1: there is none. */
int fence_bed_pinned(const char *name);

/* What the map says of an address: milliseconds of CLOCK_BOOTTIME; -1: nothing. */
int64_t fence_bed_deadline(int family, const unsigned char *address);

/* A fence and what it must be asked with, on a veth pair: va is ours, vb the neighbour's. */
struct fence_bed {
	struct loop *loop;
	struct netlink *netlink;
	struct links links;
	struct fence *fence;
	pid_t neighbour;
};
void fence_bed_open(struct fence_bed *bed);
void fence_bed_close(struct fence_bed *bed);

/* What `sees` says in a process for which CLOCK_BOOTTIME is another; true where there are no
 * time namespaces. */
bool fence_bed_in_other_time(bool (*sees)(void *arg), void *arg);

/* Links as they are now. */
void fence_bed_look(struct fence_bed *bed);
/* Looks, and attaches to every link; the first error, whose `why` is printed. */
int fence_bed_attach(struct fence_bed *bed);
/* Looks, and asks; `name` is that of the link which is said to be open, or NULL. */
bool fence_bed_stands(struct fence_bed *bed, const char *name);

#endif
