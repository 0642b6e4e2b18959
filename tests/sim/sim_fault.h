/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SIM_FAULT_H
#define LICTOR_SIM_FAULT_H

#include "tests/sim/sim.h"

/* One end of a fault; between sim_links.c, which has those of Consul and of the network, and
 * sim_fault.c, which has the others and the table. */
typedef void fault_step(
    struct world *world, struct host *host, const struct fault *fault);

fault_step begin_outage;
fault_step end_outage;
fault_step begin_cut;
fault_step end_cut;
fault_step begin_mute;
fault_step end_mute;
fault_step begin_foreign;
fault_step end_foreign;
fault_step begin_rewrite;
fault_step begin_session;
fault_step begin_wipe;
fault_step begin_restore;
fault_step begin_clusters;
fault_step end_clusters;
fault_step begin_udp;
fault_step end_udp;
fault_step begin_isolation;
fault_step end_isolation;
fault_step begin_pair;
fault_step end_pair;
fault_step begin_datagrams;
fault_step end_datagrams;
fault_step begin_replies;
fault_step end_replies;
fault_step begin_slow;
fault_step end_slow;

/* What else a fault brings comes later; `number` is for `run`. */
void fault_follow_up(struct world *world, struct host *host, int64_t delay,
    void (*run)(struct world *world, struct item *item), int64_t number);
struct host *fault_another(struct world *world, const struct host *host,
    uint64_t random);
void fault_cut_all(struct world *world, struct host *host, bool cut);

#endif
