/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_WARDEN_H
#define LICTOR_WARDEN_H

struct conf;

/*
 * The process that holds addresses: orders of the agent in, netlink out. Every order is
 * judged with this process's own reading of CLOCK_BOOTTIME; at a lease's end it drops the
 * address whatever the agent says (failover-protocol, section 9). `runner_fd`: the
 * socket to the runner; `fence_folder`: on a bpffs, or NULL. Returns the exit status when that
 * socket closes.
 */
int warden_main(const struct conf *conf, int runner_fd, const char *fence_folder);

#endif
