/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CHECKS_DATAGRAM_H
#define LICTOR_CHECKS_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "checks/check.h"

#define DATAGRAM_ADDRESSES 16

/* Part of a run's state: zeroed, it has no socket. */
struct datagram {
	bool open;
	int fd;
	int error;	/* why there is no answer, so far */
	size_t count, at;
	struct check_address addresses[DATAGRAM_ADDRESSES]; /* the one of `fd`: at - 1 */
};

enum datagram_kind { DATAGRAM_UDP, DATAGRAM_PING };

void datagram_take(
    struct datagram *datagram, const struct check_address *addresses, size_t count);
/* A socket that is connected to the next address, in place of the one before; false: none
 * is left, and `error` says why. It is told what ICMP says. */
bool datagram_next(struct datagram *datagram, enum datagram_kind kind);
/* What came of this address. */
void datagram_failed(struct datagram *datagram, int error);
void datagram_close(struct datagram *datagram);	/* after check_unwatch */

/* An errno as a reason, and what that makes of the run. */
enum check_reason datagram_reason(int error);
enum check_status datagram_status(int error);

#endif
