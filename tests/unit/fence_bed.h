/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FENCE_BED_H
#define LICTOR_FENCE_BED_H

#include <stdbool.h>

/* Where fence_bed_enter has mounted a bpf file system of the test's own. */
#define FENCE_BED_FOLDER "/sys/fs/bpf"

/* Moves into a network namespace (netns_enter) and a mount namespace of the test's own.
 * False: printed is the TAP line that skips the whole test. */
bool fence_bed_enter(void);

/* A descriptor of the program that a fence pinned last in this namespace (FENCE_PIN_), and
 * of its map; -1: there is none. */
int fence_bed_pinned(const char *name);

#endif
