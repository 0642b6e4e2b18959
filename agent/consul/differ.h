/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_DIFFER_H
#define LICTOR_DIFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "checks/check.h"

/*
 * What differs between what is to be shown of a service and what Consul's agent shows, and
 * the next thing to do about it. No I/O, no time. The checks of the node are those of a
 * service that is shown, in form, and foreign.
 */

/* A check of ours, or one that is shown under an id that could be. */
struct differ_check {
	bool wanted;	/* it is configured */
	bool ready;	/* its state is known, or was waited for long enough */
	bool ours;	/* what is shown was made by lictor */
	bool shown;
	bool same_form;	/* and shown as it would be registered, whatever its status */
	bool apart;	/* never part of a registration of its service: that would be too big */
	enum check_status want, have;
};

struct differ_service {
	bool wanted;
	bool foreign;	/* somebody else registers it, lictor adds its checks */
	bool shown;
	bool ours;	/* what is shown was registered by lictor */
	bool same_form;	/* of name, address, tags, meta and so on */
	bool alias_shown;
	bool maintained;	/* the check of Consul's maintenance mode is shown … */
	bool maintained_by_us;	/* … and is ours */
	bool want_maintained;
	bool strange;	/* a check that is not lictor's is shown in it */
	/* of its checks */
	size_t waited_for;	/* wanted, not shown, not ready */
	size_t lacking;		/* wanted, ready, not apart; not shown, or in another form */
	size_t apart;		/* wanted, apart */
	size_t surplus;		/* ours, shown, not wanted */
};

enum differ_do {
	DIFFER_NOTHING,
	/* of the service */
	DIFFER_REGISTER,	/* with the alias and all its checks that are wanted, not apart, and
				   shown or ready */
	DIFFER_REGISTER_REPLACING, /* likewise; Consul removes all others */
	DIFFER_ADD_ALIAS,
	DIFFER_REMOVE_SERVICE,
	DIFFER_MAINTAIN,
	DIFFER_MAINTAIN_NO_MORE,
	/* of a check */
	DIFFER_ADD_CHECK,
	DIFFER_UPDATE,
	DIFFER_REMOVE_CHECK,
};

/* Counts the check in. */
void differ_count(struct differ_service *service, const struct differ_check *check);

/* The most important thing to do about the service itself. */
enum differ_do differ_service(const struct differ_service *service);

/* About one of its checks, whatever is done about the service. */
enum differ_do differ_check(
    const struct differ_service *service, const struct differ_check *check);

#endif
