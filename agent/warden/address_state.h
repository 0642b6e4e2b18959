/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ADDRESS_STATE_H
#define LICTOR_ADDRESS_STATE_H

#include "agent/warden/address.h"

/* What address.c and address_order.c share, and nobody else sees. */

/* So far a lifetime, which has whole seconds, may reach beyond the lease. */
#define ADDRESS_LATE_MS 50

/* Tells the agent, if there is one. */
void address_answer(struct vip *vip, enum wire_type type, uint64_t order,
    enum wire_refusal reason);
/* Kind bpf: when it is mute; 0: from now on. 0 or -errno. */
int address_set_deadline(const struct vip *vip, int64_t until);

#endif
