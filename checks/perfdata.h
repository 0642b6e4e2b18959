/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PERFDATA_H
#define LICTOR_PERFDATA_H

#include <stdbool.h>
#include <stddef.h>

#define PERFDATA_NAME_MAX 63
#define PERFDATA_UNIT_MAX 15

struct perfdata {
	char name[PERFDATA_NAME_MAX + 1];	/* cut, if it is longer */
	char unit[PERFDATA_UNIT_MAX + 1];	/* "", "s", "%", "B", "c", … */
	double value;
};

/*
 * Parts what a plugin wrote into the text for people and the performance data
 * (Monitoring Plugins Development Guidelines, "Performance data"): they follow the first '|'
 * of the first line up to its end, and the first '|' of the later lines up to the end of
 * all. `text` is cut in place; `data`, of at least the same size, gets the figures.
 */
void perfdata_part(char *text, char *data);

/*
 * The next figure of "'label'=value[unit];[warn];[crit];[min];[max] …", and *at moves behind
 * it; false: there is none any more. What is not of that form is passed over, up to the next
 * blank, as is a value that is "U" or no finite number.
 */
bool perfdata_next(const char **at, struct perfdata *out);

#endif
