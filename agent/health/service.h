/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SERVICE_H
#define LICTOR_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checks/check.h"

struct conf;
struct conf_changes;
struct conf_check;
struct conf_service;
struct services;

struct service_verdict {
	enum check_status status;	/* the worst of its checks; PASSING if it has none */
	bool known;			/* every check has a known state */
	const struct conf_check *cause;	/* a check that has that status; NULL if passing */
};

struct services_out {
	/* The verdict changed or became known. */
	void (*changed)(void *arg, const struct conf_service *service,
	    const struct service_verdict *verdict);
	void *arg;
};

/* A service's verdict out of its checks' states. No I/O, no clock. */
struct services *services_new(const struct conf *conf, const struct services_out *out);
void services_free(struct services *services);

/* The configuration is `next` from now on. A check that is in both, changed or not, stays as
 * it is known, an added one is not known. Verdicts may be others then, but nothing is said:
 * who reloads asks for them. */
void services_reload(struct services *services, const struct conf *next,
    const struct conf_changes *changes);

/* News of one check; those of the node are ignored. */
void services_check(struct services *services, const struct conf_check *check,
    enum check_status status, bool known);

const struct service_verdict *services_verdict(const struct services *services,
    uint32_t service);

#endif
