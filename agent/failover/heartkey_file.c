/* SPDX-License-Identifier: ISC */
/*
 * The heartbeats' keys in a file of the operator's: read again when the file changes, and
 * said in the log, for what becomes of it is the operator's work. heartkey.c looks every now
 * and then and owns what was read; the file's text is heartkey_text.c's.
 *
 * A file that cannot be read or says no keys changes nothing: those before go on.
 */
#include "agent/failover/heartkey_file.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/keeper.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/failover/heartkey_text.h"

#define TEXT_MAX 1024

static bool
parse(const char *path, struct heartkeys *keys, int *err)
{
	struct heartkeys found;
	struct buf text = { .limit = TEXT_MAX };
	bool good;

	*err = keeper_read(path, &text);
	good = *err == 0 && text.len > 0 && heartkey_parse_file(text.data, &found);
	if (good)
		*keys = found;
	if (text.data != NULL)
		mac_wipe(text.data, text.len);
	buf_free(&text);
	return good;
}

bool
heartkey_file_read(struct heartkey_file *file, bool has_keys, struct heartkeys *keys)
{
	/* a file that is being written is read again in a moment: its mark is of before */
	struct file_mark mark = file_mark(file->path);
	bool again = file->read, good;
	int err;

	if (again && file_mark_same(&mark, &file->mark))
		return false;
	file->read = true;
	file->mark = mark;
	good = parse(file->path, keys, &err);
	if (good && again)
		log_notice(
		    "peer", "the key of heartbeats is read again: %s", file->path);
	if (!good)
		log_error("peer", "%s: %s: %s", file->path,
		    err != 0 ? strerror(-err)
			     : "one or two keys of 64 hexadecimal digits, each on a "
			       "line, are expected",
		    has_keys ? "the key before goes on"
			     : "there are no heartbeats without it");
	return good;
}

void
heartkey_file_close(struct heartkey_file *file)
{
	free(file->path);
	*file = (struct heartkey_file){ 0 };
}
