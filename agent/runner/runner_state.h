/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_RUNNER_STATE_H
#define LICTOR_RUNNER_STATE_H

#include "agent/runner/place.h"
#include "agent/runner/process.h"
#include "agent/runner/runner.h"

/*
 * What runner.c (the two processes, their link, start and stop), runner_run.c (commands for
 * the agent) and runner_rights.c (what may be done on this host) share, and nobody else may
 * see.
 */

struct runner {
	const char *folder;
	struct conf *conf;
	struct retired *retired;	/* the newest first */
	struct loop *loop;
	struct place place;
	struct commands *commands;
	struct blame *blame;
	struct reload *reload;
	struct fence_kind *fence;
	struct upgrade *upgrade;
	bool upgrading;			/* both are told to end, and another version takes over */
	int stop_signal;		/* that came meanwhile, for that version; or 0 */
	struct process_shared shared;
	struct process agent, warden;
	bool may_hold;			/* a warden of ours could set addresses */
	int bpffs_fd;			/* the folder of what the warden pins, or -1 */
	uint32_t instance;		/* of the newest agent */
	bool linked;			/* those two processes have a link */
	struct loop_timer *ping, *stop_limit;
	struct loop_signal *sigterm, *sigint, *sighup, *sigusr2;
};

/* runner.c: addresses are configured, and could be set. */
bool runner_has_warden(const struct runner *runner);

/* runner_run.c: what the agent asks for, with a command of the configuration `generation`. */
void runner_run(struct runner *runner, uint64_t generation, const struct wire_run *run);
/* The news of a command, to the agent. */
void runner_started(void *arg, uint64_t run);
void runner_exited(void *arg, struct wire_message *message);
/* The configuration is `next` from now on; the one before stays while it is in use. */
void runner_retire(struct runner *runner, struct conf *next);
/* Those that are in use no more, or all. */
void runner_free_retired(struct runner *runner, bool all);

/* runner_rights.c: what the two processes are to be; what of it cannot be is said. */
void runner_find_privileges(struct runner *runner);
/* Where the warden pins, if its fence may be bpf. */
void runner_open_bpffs(struct runner *runner);
void runner_warn_of_root(const struct conf *conf);
void runner_warn_of_addresses(struct runner *runner);

#endif
