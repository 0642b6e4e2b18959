/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CTL_ASK_H
#define LICTOR_CTL_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/json.h"

/* What lictorctl was told on its command line. */
struct ctl {
	const char *socket_path;
	bool json;
	const char *span, *reason, *fenced; /* NULL: not given */
};

/* The answer, which is the caller's, if lictord says "ok"; else NULL, after its reason was
 * printed. With the members that are not NULL beside the command. */
cJSON *ask(const struct ctl *ctl, const char *command, const char *role, const char *to);
cJSON *ask_with(const struct ctl *ctl, const cJSON *request);
/* The same without a deadline. */
cJSON *ask_long(const struct ctl *ctl, const cJSON *request);

/* Tells an answer and frees it: its JSON, or its "text", or `words`. The exit status. */
int ask_tell(const struct ctl *ctl, cJSON *answer, const char *words);

/* Who asks, as far as can be said. */
void ask_add_who(cJSON *request);

/* The role in an answer to "status", or NULL. */
const cJSON *ask_find_role(const cJSON *answer, const char *name);

void ask_print(const cJSON *json);

#endif
