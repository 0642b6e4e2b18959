/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TREE_H
#define LICTOR_TREE_H

#include <stddef.h>

#include "agent/conf/conf.h"

struct node;
struct schema;

/* Parses one file strictly by what `schema` says it may hold; every option of the result
 * has its values, an option that takes a list any number of them. `file` is borrowed for
 * the tree's life. NULL with `error`. The caller frees it with node_free. */
struct node *tree_parse(const char *file, const char *text, size_t len,
    const struct schema *schema, char error[CONF_ERROR_MAX]);

#endif
