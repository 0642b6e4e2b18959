/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HEARTKEY_FILE_H
#define LICTOR_HEARTKEY_FILE_H

#include <stdbool.h>

#include "agent/base/file_mark.h"
#include "agent/failover/heartkey.h"

/* failover's key-file. All 0: there is none. */
struct heartkey_file {
	char *path;			/* owned */
	bool read;			/* once */
	struct file_mark mark;		/* of what was read */
};

/* Reads it if it has changed. True: `keys` are from it. Logs what it found; `has_keys`: others
 * go on if it says none. */
bool heartkey_file_read(struct heartkey_file *file, bool has_keys, struct heartkeys *keys);
void heartkey_file_close(struct heartkey_file *file);

#endif
