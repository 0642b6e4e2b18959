/* SPDX-License-Identifier: ISC */
/* => "other-abi" was built for interface [0-9]+ of checks, expected one built for [0-9]+ */
#include "checks/check.h"

/* Nothing behind the number is what it was. */
CHECK_EXPORT const struct {
	unsigned int abi;
	char rest[4];
} other __asm__("check_plugin") = { CHECK_ABI + 1, "xyz" };
