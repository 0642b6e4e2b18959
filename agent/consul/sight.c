/* SPDX-License-Identifier: ISC */
/*
 * Notices that Consul shows us nothing of our own node. Without it what others change
 * behind our back is not seen until the next heartbeat, and Consul's maintenance mode not
 * at all, while every answer is a success.
 *
 * report owns it and feeds it what its watch of the node brings. A node that has just
 * joined is not in the catalog for a moment, hence the patience.
 */
#include "agent/consul/sight.h"

#include <stdbool.h>
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/consul/consul.h"

#define PATIENCE_MS 3000

struct sight {
	struct loop_timer *timer;
	char *node;
	bool blind, said;
};

static void
on_lasted(void *arg)
{
	struct sight *sight = arg;

	sight->said = true;
	log_warning("consul",
	    "Consul shows nothing of the node %s: it is not in the catalog, or the "
	    "token lacks node_prefix \"\" read",
	    sight->node);
}

struct sight *
sight_new(struct loop *loop, const char *node)
{
	struct sight *sight = xcalloc(1, sizeof(*sight));

	sight->timer = loop_timer_new(loop, on_lasted, sight);
	sight->node = xstrdup(node);
	return sight;
}

void
sight_free(struct sight *sight)
{
	if (!sight)
		return;
	loop_timer_free(sight->timer);
	free(sight->node);
	free(sight);
}

void
sight_look(struct sight *sight, const struct consul_reply *reply)
{
	bool blind = cJSON_GetArraySize(reply->json) == 0;

	if (reply->result != CONSUL_OK || blind == sight->blind)
		return;
	sight->blind = blind;
	if (blind) {
		loop_timer_after(sight->timer, PATIENCE_MS);
		return;
	}
	loop_timer_stop(sight->timer);
	if (sight->said)
		log_notice("consul", "Consul shows the node %s again", sight->node);
	sight->said = false;
}
