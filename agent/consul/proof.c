/* SPDX-License-Identifier: ISC */
/*
 * Three blocking queries of a minute: the checks and the services that Consul's servers
 * show of this node, and the definition of "lictor" that the local agent has, which is
 * answered without servers. ledger judges the answers by what was told. One that differs
 * leads to a reading of the agent's picture, report's business; if the servers still differ
 * after that, the agent is right and they are not: somebody wrote to the catalog directly,
 * or they refuse what the agent, which answered 200, tells them. The first is mended by
 * registering the thing again; what that does not mend is said, with the reason.
 * What the agent dropped and they keep is nobody's to mend here, and is said as well.
 *
 * Answers are big where there are many checks, so they are asked for patiently.
 */
#include "agent/consul/proof.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/ledger.h"
#include "agent/consul/sight.h"
#include "agent/consul/watch.h"

#define WAIT_MS 60000
#define FRESH_MS 350 /* for what is fresh to ledger, and a bit */
#define REPAIRED_MS 1050
#define REFUSED_MS 60000
#define BLIND_MS 5000
#define LEFT_MS 3000
#define WAITS_MAX 4 /* doublings */
#define DEADLINE_MS 2000
#define ID_MAX 64

/* One of the servers' two answers. */
struct view {
	struct proof *proof;
	struct watch *watch;
	struct loop_timer *again;
	bool services; /* not checks */
	bool seen; /* an answer came */
	uint64_t others; /* ledger_seen_others of the last one */
	bool doubted; /* it differed: the agent's picture is to be read */
	int64_t doubted_at;
	bool looked; /* that was done, and nothing was seen since */
	unsigned int repairs;
	bool waiting; /* for what is fresh */
	unsigned int waits; /* in a row */
};

struct proof {
	struct loop *loop;
	struct consul *consul;
	struct ledger *ledger;
	struct proof_out out;
	char *node;
	struct view views[2];
	struct watch *lictor;
	struct sight *sight; /* by the checks */
	struct consul_call *self_call;
	struct loop_timer *leaving; /* what is left over may be on its way out */
	char left[4 * CONF_NAME_MAX]; /* a service that only the servers have */
	bool left_said;
	char refused[2 * CONF_NAME_MAX +
	    2]; /* what the servers do not show; empty: nothing */
	char node_id[ID_MAX]; /* that they know */
};

static void
look_again(void *arg)
{
	struct view *view = arg;

	view->waiting = false;
	watch_again(view->watch);
}

static void
say_refused(const struct proof *proof, const char *own_id)
{
	if (own_id[0] && proof->node_id[0] && strcmp(own_id, proof->node_id) != 0)
		log_warning("consul",
		    "Consul's servers know node %s by another id (%s) than its agent "
		    "(%s), and take nothing from it: deregister the old node, or give "
		    "the agent its old node_id",
		    proof->node, proof->node_id, own_id);
	else
		log_warning("consul",
		    "Consul's agent took %s, and its servers do not show it so: the "
		    "agent's own token lacks service or node \"%s\" write",
		    proof->refused, proof->node);
}

static void
on_self(void *arg, const struct consul_reply *reply)
{
	struct proof *proof = arg;
	char id[ID_MAX] = "";

	proof->self_call = NULL;
	json_get_text(cJSON_GetObjectItemCaseSensitive(reply->json, "Config"), "NodeID",
	    id, sizeof(id));
	if (proof->refused[0])
		say_refused(proof, id);
}

/* Said once, until the servers show all. */
static void
refused(struct proof *proof, const char *what)
{
	static const struct consul_request request = {
		.channel = CONSUL_REPORT,
		.path = "/v1/agent/self",
		.timeout_ms = DEADLINE_MS,
	};

	if (proof->refused[0])
		return;
	text_escape(proof->refused, sizeof(proof->refused), what, strlen(what));
	consul_cancel(proof->self_call);
	proof->self_call = consul_send(proof->consul, &request, on_self, proof);
}

static void
view_fine(struct view *view)
{
	struct proof *proof = view->proof;

	loop_timer_stop(view->again);
	view->doubted = view->waiting = false;
	view->repairs = 0;
	if (!proof->refused[0] || proof->views[0].repairs || proof->views[1].repairs)
		return;
	proof->refused[0] = '\0';
	log_notice("consul", "Consul's servers show this node as it is again");
}

static void
view_repair(struct view *view)
{
	struct proof *proof = view->proof;
	const char *what = ledger_repair(proof->ledger, view->services);
	char shown[4 * CONF_NAME_MAX];

	if (!what) {
		view->looked = true;
		loop_timer_after(view->again, REPAIRED_MS);
		return;
	}
	text_escape(shown, sizeof(shown), what, strlen(what));
	if (++view->repairs == 1)
		log_notice("consul",
		    "%s is not shown by Consul's servers as its agent has it: "
		    "registering it again",
		    shown);
	else
		refused(proof, what);
	loop_timer_after(view->again, view->repairs == 1 ? REPAIRED_MS : REFUSED_MS);
}

/* What the agent's picture did not put right is right there. */
static void
view_differs(struct view *view, bool looked)
{
	struct proof *proof = view->proof;

	if (looked) {
		view_repair(view);
		return;
	}
	if (!view->doubted)
		view->doubted_at = loop_now(proof->loop);
	view->doubted = true;
	proof->out.look(proof->out.arg);
}

/* Where something is refused for long this is not asked for in haste. */
static void
view_wait(struct view *view)
{
	if (view->waiting)
		return;
	view->waiting = true;
	loop_timer_after(view->again, (int64_t)FRESH_MS << view->waits);
	if (view->waits < WAITS_MAX)
		view->waits++;
}

static void
view_judge(struct view *view, const cJSON *shown)
{
	struct proof *proof = view->proof;
	enum ledger_seen seen = LEDGER_FRESH;
	bool looked = view->looked;

	view->looked = false;
	if (proof->out.settled(proof->out.arg))
		seen = view->services ? ledger_seen_services(proof->ledger, shown)
				      : ledger_seen_checks(proof->ledger, shown);
	switch (seen) {
	case LEDGER_SAME: view_fine(view); break;
	case LEDGER_FRESH: view_wait(view); return;
	case LEDGER_OTHER: view_differs(view, looked); break;
	}
	view->waits = 0;
}

static void
on_left(void *arg)
{
	struct proof *proof = arg;

	proof->left_said = true;
	log_warning("consul",
	    "service %s was removed from Consul's agent, and its servers go on showing "
	    "it: the agent's own token lacks service or node \"%s\" write; it can be "
	    "deregistered in the catalog",
	    proof->left, proof->node);
}

/* Said once, until they show no such thing. */
static void
look_for_left(struct proof *proof, const cJSON *services)
{
	const char *left = ledger_seen_left(proof->ledger, services);

	if (left && !proof->left[0])
		loop_timer_after(proof->leaving, LEFT_MS);
	if (left && !proof->left_said) {
		text_escape(proof->left, sizeof(proof->left), left, strlen(left));
		return;
	}
	if (left)
		return;
	loop_timer_stop(proof->leaving);
	if (proof->left_said)
		log_notice(
		    "consul", "Consul's servers show service %s no more", proof->left);
	proof->left[0] = '\0';
	proof->left_said = false;
}

static void
take_node_id(struct proof *proof, const cJSON *answer)
{
	json_get_text(cJSON_GetObjectItemCaseSensitive(answer, "Node"), "ID",
	    proof->node_id, sizeof(proof->node_id));
}

static void
on_view(void *arg, const struct consul_reply *reply)
{
	struct view *view = arg;
	struct proof *proof = view->proof;
	const cJSON *shown = view->services
	    ? cJSON_GetObjectItemCaseSensitive(reply->json, "Services")
	    : reply->json;
	uint64_t others = ledger_seen_others(proof->ledger, shown);

	if (!view->services)
		sight_look(proof->sight, reply);
	if (view->services ? !shown : cJSON_GetArraySize(shown) == 0) {
		/* not refused: the index says nothing of a permission that comes */
		loop_timer_after(view->again, BLIND_MS);
		return;
	}
	if (view->services)
		take_node_id(proof, reply->json);
	if (view->services && proof->out.settled(proof->out.arg))
		look_for_left(proof, shown);
	view_judge(view, shown);
	if (!view->seen || others != view->others)
		proof->out.look(proof->out.arg);
	view->seen = true;
	view->others = others;
}

static void
on_lictor(void *arg, const struct consul_reply *reply)
{
	struct proof *proof = arg;

	(void)reply;
	proof->out.look(proof->out.arg);
}

static void
trouble(struct proof *proof, const struct consul_reply *reply)
{
	if (reply->result == CONSUL_AWAY && !reply->late)
		proof->out.broken(proof->out.arg);
}

static void
on_view_trouble(void *arg, const struct consul_reply *reply)
{
	struct view *view = arg;

	trouble(view->proof, reply);
}

static void
on_lictor_trouble(void *arg, const struct consul_reply *reply)
{
	trouble(arg, reply);
}

static void
view_new(struct proof *proof, struct view *view, struct loop *loop, bool services)
{
	static const struct watch_way way = { .wait_ms = WAIT_MS, .patient = true };
	struct watch_out out = { on_view, on_view_trouble, view };
	char escaped[3 * CONF_NAME_MAX + 1], path[sizeof(escaped) + 32];

	consul_escape(escaped, sizeof(escaped), proof->node);
	snprintf(path, sizeof(path), "/v1/%s/node/%s", services ? "catalog" : "health",
	    escaped);
	view->proof = proof;
	view->services = services;
	view->again = loop_timer_new(loop, look_again, view);
	view->watch = watch_new(loop, proof->consul, path, &way, &out);
}

struct proof *
proof_new(struct loop *loop, struct consul *consul, struct ledger *ledger,
    const char *node, const struct proof_out *out)
{
	static const struct watch_way way = { .wait_ms = WAIT_MS, .by_hash = true };
	struct proof *proof = xcalloc(1, sizeof(*proof));
	struct watch_out lictor = { on_lictor, on_lictor_trouble, proof };

	assert(out->look && out->broken && out->settled);
	*proof = (struct proof){ .loop = loop, .consul = consul, .ledger = ledger };
	proof->out = *out;
	proof->node = xstrdup(node);
	proof->sight = sight_new(loop, node);
	proof->leaving = loop_timer_new(loop, on_left, proof);
	view_new(proof, &proof->views[0], loop, false);
	view_new(proof, &proof->views[1], loop, true);
	proof->lictor =
	    watch_new(loop, consul, "/v1/agent/service/lictor", &way, &lictor);
	return proof;
}

void
proof_free(struct proof *proof)
{
	if (!proof)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(proof->views); i++) {
		watch_free(proof->views[i].watch);
		loop_timer_free(proof->views[i].again);
	}
	watch_free(proof->lictor);
	sight_free(proof->sight);
	consul_cancel(proof->self_call);
	loop_timer_free(proof->leaving);
	free(proof->node);
	free(proof);
}

void
proof_looked(struct proof *proof, int64_t asked_at)
{
	if (!proof)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(proof->views); i++) {
		struct view *view = &proof->views[i];

		if (!view->doubted || view->doubted_at > asked_at)
			continue;
		view->looked = true;
		view->doubted = false;
		loop_timer_after(view->again, 0);
	}
}
