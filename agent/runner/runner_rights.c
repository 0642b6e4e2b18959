/* SPDX-License-Identifier: ISC */
/*
 * What the main process and the two that it starts may do on this host, found out once, at
 * the start: the users of the agent and the warden, the user of commands, the rights without
 * which no address can be set, and the folder where the warden pins. What is missing is said
 * here, and lictord goes on without it.
 */
#include "agent/runner/runner_state.h"

#include "agent/base/log.h"
#include "agent/conf/conf.h"
#include "agent/runner/account.h"
#include "agent/runner/bpffs.h"
#include "agent/runner/fence_kind.h"

/* Said once, at the start. */
void
runner_warn_of_root(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_commands; i++)
		if (conf->commands[i]->user == NULL && accounts_default_missing()) {
			log_warning("runner",
			    "commands without an option user run as lictord's own, for "
			    "there is no user " ACCOUNT_DEFAULT
			    ": \"systemd-sysusers\" or \"useradd --system\" makes it");
			return;
		}
}

/* Rights do not come back, so no warden is tried. */
void
runner_warn_of_addresses(struct runner *runner)
{
	static const char why[] = "lictord has not both CAP_NET_ADMIN and CAP_NET_RAW";

	if (runner->may_hold || runner->conf->n_vips == 0)
		return;
	log_error("runner", "no address can be set here, for %s", why);
	fence_kind_no_folder(runner->fence, why);
}

/* What the two processes are to be; what of it cannot be is said once. */
void
runner_find_privileges(struct runner *runner)
{
	struct privileges *agent = &runner->agent.privileges;
	struct privileges *warden = &runner->warden.privileges;
	char why[192], other[192];
	bool is_agent = privileges_find(WIRE_AGENT, agent, why, sizeof(why)) != 0;
	bool is_warden =
	    privileges_find(WIRE_WARDEN, warden, other, sizeof(other)) != 0;

	if (is_agent || (is_warden && runner_has_warden(runner)))
		log_warning("runner",
		    "the %s keeps lictord's own user, for %s: \"systemd-sysusers\" or "
		    "\"useradd --system\" makes the users that are missing",
		    is_agent ? "agent" : "warden", is_agent ? why : other);
}

/* Where the warden pins, if its fence may be bpf. */
void
runner_open_bpffs(struct runner *runner)
{
	const struct conf *conf = runner->conf;
	const struct privileges *warden = &runner->warden.privileges;
	char why[WIRE_WHY_MAX];

	if (!conf_has_bpf() || !runner->may_hold ||
	    conf->fence == CONF_FENCE_LIFETIME ||
	    (conf->fence == CONF_FENCE_AUTO && conf->n_vips == 0))
		return;
	runner->bpffs_fd = bpffs_open(warden->uid, warden->gid, why, sizeof(why));
	if (runner->bpffs_fd < 0)
		fence_kind_no_folder(runner->fence, why);
	runner->warden.bpffs_fd = runner->bpffs_fd;
}
