/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SIM_FAULT_H
#define LICTOR_SIM_FAULT_H

#include "tests/sim/sim.h"

/* One end of a fault; between sim_fault.c, which has the table, and those that have them. */
typedef void fault_step(
    struct world *world, struct host *host, const struct fault *fault);

/* sim_links.c: of Consul and of the network */
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

/* sim_process.c: of a host */
fault_step begin_pause;
fault_step end_pause;
fault_step begin_crash;
fault_step end_crash;
fault_step begin_upgrade;
fault_step begin_power;
fault_step begin_blackout;
fault_step end_blackout;
fault_step begin_stop;
fault_step begin_claimed_pause;
fault_step begin_claimed_restart;
fault_step begin_claimed_mute;
fault_step end_claimed;
fault_step begin_flap;
fault_step end_flap;
fault_step begin_warden_pause;
fault_step begin_warden_crash;
fault_step begin_service;
fault_step end_service;
fault_step begin_clock;

/* sim_operator.c */
fault_step begin_switchover;
fault_step begin_role_pause;
fault_step end_role_pause;
fault_step begin_force;
fault_step begin_reload;
fault_step begin_yield;
fault_step end_yield;
fault_step begin_namesake;
fault_step begin_perjury;

/* What else a fault brings comes later; `number` is for `run`. */
void fault_follow_up(struct world *world, struct host *host, int64_t delay,
    void (*run)(struct world *world, struct item *item), int64_t number);
struct host *fault_another(struct world *world, const struct host *host,
    uint64_t random);
int64_t fault_soon(const struct fault *fault);
void fault_start_later(struct world *world, struct item *item);
/* For `number`, if the agent is still the same. */
void fault_pause_later(struct world *world, struct item *item);
void fault_cut_all(struct world *world, struct host *host, bool cut);

#endif
