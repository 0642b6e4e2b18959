/* SPDX-License-Identifier: ISC */
/*
 * Tables for a person's eyes: gathered whole, so that the columns fit what stands in them;
 * the last one is not padded. Their cells come out of lictord's JSON.
 */
#include "agent/ctl/table.h"

#include "agent/base/util.h"

#include <stdlib.h>
#include <string.h>

void
table_row(struct table *table, char *const *cells)
{
	table->cells = xrealloc(
	    table->cells, (table->count + 1) * table->columns, sizeof(*table->cells));
	for (size_t i = 0; i < table->columns; i++)
		table->cells[table->count * table->columns + i] = cells[i];
	table->count++;
}

void
table_print(FILE *out, struct table *table)
{
	size_t width[TABLE_COLUMNS] = { 0 };

	for (size_t i = 0; i < table->count * table->columns; i++) {
		size_t len = strlen(table->cells[i]);
		if (len > width[i % table->columns])
			width[i % table->columns] = len;
	}
	for (size_t i = 0; i < table->count * table->columns; i++) {
		bool last = i % table->columns == table->columns - 1;
		fprintf(out, "%-*s%s", last ? 0 : (int)width[i % table->columns],
		    table->cells[i], last ? "\n" : "  ");
		free(table->cells[i]);
	}
	free(table->cells);
}

void
table_head(struct table *table, const char *const *names, size_t columns)
{
	char *cells[TABLE_COLUMNS] = { NULL };

	*table = (struct table){ .columns = columns };
	for (size_t i = 0; i < columns; i++)
		cells[i] = xstrdup(names[i]);
	table_row(table, cells);
}

const char *
table_text(const cJSON *object, const char *name)
{
	const char *text = json_text(object, name);

	return text != NULL && text[0] != '\0' ? text : "-";
}

char *
table_number(const cJSON *object, const char *name)
{
	uint64_t value = 0;

	if (!json_get_uint(object, name, &value) || value == 0)
		return xstrdup("-");
	return xasprintf("%llu", (unsigned long long)value);
}
