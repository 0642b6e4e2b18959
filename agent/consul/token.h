/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TOKEN_H
#define LICTOR_TOKEN_H

#include "agent/base/file_mark.h"

struct conf_consul;

#define TOKEN_MAX 255

/* The ACL token that Consul is asked with. */
struct token {
	char text[TOKEN_MAX + 1]; /* empty: none */
	struct file_mark seen; /* of the file when it was read last */
	char trouble[256]; /* why it could not be; empty: it could */
};

/* `token` is zeroed. Takes CONSUL_HTTP_TOKEN; a token file is read by the first refresh. */
void token_start(struct token *token, const struct conf_consul *conf);
/* Reads the file again if it has changed; `path` NULL: there is none. A file at fault keeps the
 * token that was good before, and is said once. */
void token_refresh(struct token *token, const char *path);
/* Nothing of it stays in memory. */
void token_forget(struct token *token);

#endif
