/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FUZZ_H
#define LICTOR_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* What libFuzzer, or replay.c in its place, calls with each input. Ends the process when
 * something is wrong; returns 0. */
__attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(
    const uint8_t *data, size_t size);

#endif
