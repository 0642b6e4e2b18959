/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_UPKEEP_FILE_H
#define LICTOR_UPKEEP_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/conf/conf.h"

struct buf;

#define UPKEEP_REASON_SIZE 121
#define UPKEEP_WHO_SIZE 41
#define UPKEEP_SPAN_MAX_MS (INT64_C(365) * 24 * 3600 * 1000)

/* One maintenance of ours as it is kept. */
struct upkeep_record {
	char id[CONF_NAME_MAX + 1];	/* of the service; "": the whole host */
	int64_t until;			/* of the wall clock, in ms; 0: no end */
	int64_t span;			/* how long it was to last; 0: no end */
	char reason[UPKEEP_REASON_SIZE], who[UPKEEP_WHO_SIZE];
};

/* The record as a line of the file. */
void upkeep_file_add(struct buf *text, const struct upkeep_record *record);

/* Each line in turn; one that cannot be read is counted and left out. 0, or -errno: -ENOENT
 * where there is none, -EINVAL for what is no file. */
int upkeep_file_read(const char *path,
    void (*found)(void *arg, const struct upkeep_record *record), void *arg,
    unsigned int *damaged);

#endif
