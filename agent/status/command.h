/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_COMMAND_H
#define LICTOR_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/json.h"

struct control_out;

enum command_access { COMMAND_NOTHING, COMMAND_READ, COMMAND_CHANGE };

struct command_call {
	const struct control_out *out;
	enum command_access access;	/* what the caller may */
	uid_t uid;			/* who the caller is */
	uint64_t number;		/* of this request, should it be answered later */
	bool later;			/* set: it will be, by control_answer */
};

/* One line of a client's, answered with a fresh object; NULL: later. */
cJSON *command_answer(struct command_call *call, const char *line, size_t len);

#endif
