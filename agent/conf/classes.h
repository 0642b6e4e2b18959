/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CLASSES_H
#define LICTOR_CLASSES_H

#include <stddef.h>

struct check_class;

/* All known types of check: built in for now, loaded ones join here. */
size_t classes_count(void);
const struct check_class *classes_at(size_t i);
const struct check_class *classes_find(const char *name);

#endif
