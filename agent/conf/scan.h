/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SCAN_H
#define LICTOR_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/conf/conf.h"

/* An option or a section as it stands in a file, with the line where it begins. */
struct node {
	const char *file;	/* borrowed */
	int line;
	char *name;		/* NULL: the file itself */
	bool section;
	bool list;		/* an option written with braces */
	char *title;		/* of a section; NULL: none was written */
	char **values;		/* of an option; filled in by the parse (tree.h) */
	size_t n_values;
	struct node **children;	/* of a section, in the order of the file */
	size_t n_children;
	size_t begin, end;	/* where it stands in the text */
};

/*
 * Reads the structure of `text` (len bytes and a NUL) and refuses, with the line, what
 * libconfuse would let pass or read differently than it looks. Comments in it are
 * overwritten with blanks. NULL with `error`.
 */
struct node *scan_text(const char *file, char *text, size_t len,
    char error[CONF_ERROR_MAX]);
void node_free(struct node *node);

/* The option of that name, or NULL: it was not written. */
const struct node *node_find(const struct node *section, const char *name);

#endif
