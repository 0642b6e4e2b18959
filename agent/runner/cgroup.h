/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CGROUP_H
#define LICTOR_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct cgroup;
struct cgroups;

/*
 * Control groups (version 2) for commands, below the one that this process was started in,
 * if that is plainly ours: delegated to us (systemd's Delegate=yes, or the root of a cgroup
 * namespace) with nobody else in it. This process then moves itself into a leaf
 * ("lictord"), where those that it starts later are as well, and what a predecessor's
 * checks left is killed. NULL: there is none such, or the kernel cannot kill a group
 * (before 5.14).
 */
struct cgroups *cgroups_new(void);
void cgroups_free(struct cgroups *cgroups);	/* all groups were given back */

/* The number of processes in a group can be limited. */
bool cgroups_count_processes(const struct cgroups *cgroups);

/* An empty group, with room for `processes` (0: any number) where that can be limited. It
 * is the caller's until given back. NULL with errno. A hook's may keep what is in it. */
struct cgroup *cgroup_take(struct cgroups *cgroups, bool hook, uint64_t processes);
void cgroup_give(struct cgroup *cgroup);

int cgroup_fd(const struct cgroup *cgroup);
bool cgroup_empty(const struct cgroup *cgroup);	/* zombies do not count */
/* All that is in it dies, soon. */
void cgroup_kill(struct cgroup *cgroup);

#endif
