/* SPDX-License-Identifier: ISC */
/*
 * What tells this machine from a copy of its files: state that was kept on one must not
 * be taken for the other's. Read each time, which is at starts alone.
 */
#include "agent/base/machine.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

void
machine_id(char out[MACHINE_ID_SIZE])
{
	AUTO_FCLOSE FILE *file = fopen("/etc/machine-id", "re");

	out[0] = '\0';
	if (file == NULL || fgets(out, MACHINE_ID_SIZE, file) == NULL)
		out[0] = '\0';
	out[strspn(out, "0123456789abcdef")] = '\0';
}
