/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CLASSES_H
#define LICTOR_CLASSES_H

#include <stdbool.h>
#include <stddef.h>

struct check_class;
struct classes;

/* The types of check of one configuration: those built in, and what was added since. For
 * NULL the functions below speak of those built in. */
struct classes *classes_new(void);
void classes_free(struct classes *classes);

size_t classes_count(const struct classes *classes);
const struct check_class *classes_at(const struct classes *classes, size_t i);
const struct check_class *classes_find(const struct classes *classes, const char *name);

/* A type that was loaded. */
void classes_add(struct classes *classes, const struct check_class *class);
/* A type that is known by name alone, as it is where no plugin is loaded: a class without
 * options or code, the list's own. */
const struct check_class *classes_stand_in(struct classes *classes, const char *name);
bool classes_stands_in(const struct classes *classes, const struct check_class *class);

#endif
