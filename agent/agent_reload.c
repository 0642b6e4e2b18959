/* SPDX-License-Identifier: ISC */
/*
 * The agent's part in a reload. The runner has it parse the next configuration aside, then
 * give away what that takes away, and then, when both processes can, turn to it. Turning is
 * one turn of the loop: what is the same moves into the new tree, each module is told in an
 * order in which nobody hears of a thing that it does not know yet, and the old tree is kept
 * until no run uses it any more. Nothing here decides; a reload that is given up leaves
 * everything as it was.
 */
#include "agent/agent_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/blackbox.h"
#include "agent/base/lock.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/report.h"
#include "agent/consul/upkeep.h"
#include "agent/failover/hooks.h"
#include "agent/failover/roles.h"
#include "agent/failover/track.h"
#include "agent/failover/vip.h"
#include "agent/health/sched.h"
#include "agent/health/service.h"
#include "agent/health/trust.h"

#define RETIRE_MS 1000

struct retired {
	struct conf *conf;
	struct retired *next;
};

/* ---- prepare and abort ---- */

static void
drop_next(struct agent *agent)
{
	conf_free(agent->next);
	agent->next = NULL;
	conf_changes_clear(&agent->changes);
}

/* Its first addresses: from now on no other agent may have any here. Kept until the process
 * ends, as those of a start are. */
static bool
may_have_addresses(
    struct agent *agent, const struct conf *next, char error[CONF_ERROR_MAX])
{
	if (next->n_vips == 0 || agent->locked)
		return true;
	agent->locked = lock_name("lictor-agent", 0) >= 0;
	if (!agent->locked)
		str_copy(error, CONF_ERROR_MAX,
		    "another lictord on this host has addresses: only one can");
	return agent->locked;
}

static struct conf *
load(struct agent *agent, int fd, uint64_t generation, char error[CONF_ERROR_MAX])
{
	struct conf_loading loading = {
		.strict = true, .blackbox = agent->blackbox, .running = agent->conf
	};
	struct conf_bundle *bundle = conf_receive(fd, error);
	struct conf *next = bundle == NULL ? NULL : conf_load(bundle, &loading, error);

	if (next == NULL)
		return NULL;
	if (next->generation != generation)
		str_copy(error, CONF_ERROR_MAX, "it is not what was announced");
	else if (conf_reloadable(next, agent->conf, error) &&
	    may_have_addresses(agent, next, error))
		return next;
	conf_free(next);
	return NULL;
}

_Static_assert(WIRE_WHY_MAX == CONF_ERROR_MAX, "any fault fits into an answer");

/* What changes in the options of a plugin's check is seen only here. */
static void
prepare(struct agent *agent, uint64_t generation, int fd)
{
	struct wire_message message = { .type = WIRE_PREPARED,
		.prepared = { .next = generation } };
	char *why = message.prepared.why;

	drop_next(agent);
	agent->next = load(agent, fd, generation, why);
	if (agent->next != NULL) {
		conf_compare(agent->next, agent->conf, &agent->changes);
		conf_changes_text(&agent->changes, why, WIRE_WHY_MAX);
	}
	message.prepared.ok = agent->next != NULL;
	wire_send(agent->runner, &message, -1);
}

static void
abandon(struct agent *agent)
{
	if (agent->next == NULL)
		return;
	if (agent->roles != NULL)
		roles_keep(agent->roles);
	drop_next(agent);
}

/* ---- yield ---- */

static void
send_step(struct agent *agent, uint32_t type, uint64_t generation)
{
	struct wire_message message = { .type = type, .step = { generation } };

	wire_send(agent->runner, &message, -1);
}

static void
on_yielded(void *arg)
{
	struct agent *agent = arg;

	send_step(agent, WIRE_YIELDED, agent->next->generation);
}

static void
yield(struct agent *agent)
{
	if (agent->next == NULL)
		return;
	if (agent->roles != NULL)
		roles_yield(
		    agent->roles, agent->next, &agent->changes, on_yielded, agent);
	else
		on_yielded(agent);
}

/* ---- commit ---- */

/* Runs that hang in another thread use what they began with. */
static void
free_retired(struct agent *agent)
{
	struct retired *next;

	for (struct retired *retired = agent->retired; retired != NULL;
	     retired = next) {
		next = retired->next;
		conf_free(retired->conf);
		free(retired);
	}
	agent->retired = NULL;
}

static void
on_retire(void *arg)
{
	struct agent *agent = arg;

	if (sched_hangs(agent->sched))
		loop_timer_after(agent->retire, RETIRE_MS);
	else
		free_retired(agent);
}

static void
retire(struct agent *agent, struct conf *prev)
{
	struct retired *retired = xcalloc(1, sizeof(*retired));

	*retired = (struct retired){ prev, agent->retired };
	agent->retired = retired;
	loop_timer_after(agent->retire, 0);
}

/* From the wire's next message on both mean the next one; the link to the warden is made
 * anew when that has turned too. */
static void
turn_wires(struct agent *agent)
{
	uint64_t generation = agent->next->generation;

	vips_link(agent->vips, NULL, 0);
	wire_free(agent->warden);
	agent->warden = NULL;
	wire_turn(agent->runner, generation);
	send_step(agent, WIRE_COMMITTED, generation);
}

/* A service that has joined a role hears what that is here. */
static void
tell_roles(struct agent *agent)
{
	struct role_view view;

	for (uint32_t i = 0; i < agent->conf->n_roles; i++) {
		roles_view(agent->roles, i, &view);
		if (view.known)
			agent_tell_role(agent, i, view.state == ROLE_MASTER, view.term);
	}
}

static void
reload_roles(struct agent *agent)
{
	if (agent->roles == NULL)
		return;
	roles_reload(agent->roles, agent->conf, &agent->changes, agent->services);
	tell_roles(agent);
	vips_tell(agent->vips);
}

static void
reload_track(struct agent *agent)
{
	struct sched_state state;

	track_reload(agent->track, agent->conf);
	for (size_t i = 0; i < agent->conf->n_tracks; i++) {
		const struct conf_check *check = agent->conf->tracks[i]->check;
		if (check == NULL)
			continue;
		sched_state(agent->sched, check->index, &state);
		track_check(agent->track, check, state.status, state.known);
	}
}

static void
reload_modules(struct agent *agent)
{
	const struct conf *conf = agent->conf;
	const struct conf_changes *changes = &agent->changes;

	services_reload(agent->services, conf, changes);
	consul_reload(agent->consul, &conf->consul);
	report_reload(agent->report, conf, changes);
	vips_reload(agent->vips, conf, changes);
	hooks_reload(agent->hooks, conf, changes);
	reload_roles(agent);
	upkeep_reload(agent->upkeep, conf, changes);
	agent_look_for_self(agent);
	agent_start_roles(agent); /* if they are the first: it asks all of the above */
	sched_reload(agent->sched, conf, changes);
	reload_track(agent);
	trust_reload(agent->sched, conf);
}

static void
commit(struct agent *agent)
{
	struct conf *prev = agent->conf, *next = agent->next;
	char text[CONF_ERROR_MAX];

	if (next == NULL)
		return;
	turn_wires(agent);
	conf_changes_text(&agent->changes, text, sizeof(text));
	log_debug("conf", "another configuration counts: %s", text);
	conf_merge(next, prev, &agent->changes);
	agent->conf = next;
	agent->next = NULL;
	blackbox_turn(agent->blackbox, agent->changes.from.checks, next->n_checks);
	reload_modules(agent);
	conf_changes_clear(&agent->changes);
	retire(agent, prev);
}

void
agent_reload_message(struct agent *agent, const struct wire_message *message, int fd)
{
	if (message->type == WIRE_PREPARE)
		prepare(agent, message->prepare.next, fd);
	else if (message->type == WIRE_YIELD)
		yield(agent);
	else if (message->type == WIRE_COMMIT)
		commit(agent);
	else if (message->type == WIRE_ABORT)
		abandon(agent);
	if (fd >= 0)
		close(fd);
}

void
agent_reload_init(struct agent *agent)
{
	agent->locked = agent->conf->n_vips > 0; /* by start.c */
	agent->retire = loop_timer_new(agent->loop, on_retire, agent);
}

void
agent_reload_done(struct agent *agent)
{
	loop_timer_free(agent->retire);
	drop_next(agent);
	free_retired(agent);
}
