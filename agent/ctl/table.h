/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CTL_TABLE_H
#define LICTOR_CTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "agent/base/json.h"

#define TABLE_COLUMNS 8

/* A table of texts, whose first row are its names. */
struct table {
	size_t columns, count;
	char **cells;
};

void table_head(struct table *table, const char *const *names, size_t columns);
/* As many cells as there are columns, which become the table's. */
void table_row(struct table *table, char *const *cells);
/* Prints and ends it. */
void table_print(FILE *out, struct table *table);

/* Members of a JSON object as cells: "-" for what is missing or empty. */
const char *table_text(const cJSON *object, const char *name);
char *table_number(const cJSON *object, const char *name);

#endif
