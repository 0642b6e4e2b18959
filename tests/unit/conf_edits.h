/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_CONF_EDITS_H
#define LICTOR_TESTS_CONF_EDITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Configurations that are edited by chance: a model of what stands in the files, its text,
 * and what an edit is to come to. Equal seeds give equal edits. Every option of lictor's own
 * that a reload can take has a part in it.
 */

enum {
	EDITS_SERVICES = 5,
	EDITS_CHECKS = 4,	/* of each service; there are as many of the node */
	EDITS_ROLES = 2,
	EDITS_VIPS = 2,		/* of each role */
	EDITS_OPTIONS = 18,
	EDITS_HOST = EDITS_SERVICES, /* the "service" that has the checks of the node */
};

/* Which value each option of a kind has: 0 is none, in the order of the kind's table. */
struct edits_section {
	bool there;
	uint8_t options[EDITS_OPTIONS];
};
struct edits_check {
	struct edits_section section;
	uint8_t type, own;	/* tcp, script, ttl; the options of the type */
	uint8_t depends;	/* 1 + the number of an earlier check; 0: on none */
};
struct edits {
	uint64_t chance;
	struct edits_section services[EDITS_SERVICES];
	struct edits_check checks[EDITS_SERVICES + 1][EDITS_CHECKS];
	struct edits_section roles[EDITS_ROLES], vips[EDITS_ROLES][EDITS_VIPS];
	uint8_t role_of[EDITS_SERVICES];	/* 1 + its role; 0: none */
	bool reversed;				/* services stand in the other order */
	uint8_t lines;				/* empty lines before all */
	bool local;				/* no check asks the network */
};

void edits_init(struct edits *edits, uint64_t seed, bool local);
/* Some, one at least. */
void edits_change(struct edits *edits);
/* A number below `end`. */
unsigned int edits_draw(struct edits *edits, unsigned int end);

/* The text of a file of services.d; the caller's to free. */
char *edits_text(const struct edits *edits);

/* Whether a check is in a service that is there, or the node's, and is there itself. */
bool edits_has_check(const struct edits *edits, size_t service, size_t check);
/* Whether what is in both says the same. */
bool edits_same_check(
    const struct edits *a, const struct edits *b, size_t service, size_t check);
bool edits_same_service(const struct edits *a, const struct edits *b, size_t service);
bool edits_same_role(const struct edits *a, const struct edits *b, size_t role);
bool edits_same_vip(const struct edits *a, const struct edits *b, size_t role, size_t vip);

/* The options of a kind that have a part in it; how many. */
enum edits_kind { EDITS_OF_CHECK, EDITS_OF_SERVICE, EDITS_OF_ROLE, EDITS_OF_VIP };
size_t edits_options(enum edits_kind kind, const char *names[EDITS_OPTIONS]);

#endif
