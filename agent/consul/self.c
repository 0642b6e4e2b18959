/* SPDX-License-Identifier: ISC */
/*
 * Finds the name of this host in Consul, which is the name of its node there: asked of
 * the local agent again and again until it answers, with growing waits, then never again.
 * A refusal is said once, with the permission that is missing and the way round it.
 */
#include "agent/consul/self.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"

#define DEADLINE_MS 2000

struct self {
	struct consul *consul;
	struct self_out out;
	const char *datacenter; /* NULL: whichever it is */
	struct loop_timer *timer;
	struct consul_call *call;
	unsigned int failures;
	bool complained;
};

static void
complain(struct self *self, const struct consul_reply *reply)
{
	if (self->complained || reply->result == CONSUL_AWAY ||
	    reply->result == CONSUL_BUSY)
		return;
	self->complained = true;
	if (reply->result == CONSUL_DENIED)
		log_warning("consul",
		    "the name of this node is not told (%s): the token lacks agent "
		    "read for this node; or set node in lictor.conf",
		    reply->why);
	else
		log_warning("consul",
		    "the name of this node is not told (%s): set node in lictor.conf",
		    reply->why);
}

/* A host of this name may well be in another datacenter: what is done there would be done
 * to it. */
static bool
is_elsewhere(struct self *self, const cJSON *config)
{
	const char *datacenter = json_text(config, "Datacenter");

	if (!self->datacenter || !datacenter || !strcmp(self->datacenter, datacenter))
		return false;
	if (!self->complained)
		log_error("consul",
		    "the local agent is in the datacenter %.64s, and datacenter in "
		    "lictor.conf is %s: no role is taken until that is mended",
		    datacenter, self->datacenter);
	self->complained = true;
	return true;
}

static void
on_answer(void *arg, const struct consul_reply *reply)
{
	struct self *self = arg;
	char node[CONF_NAME_MAX + 1];
	const cJSON *config;

	self->call = NULL;
	config = cJSON_GetObjectItemCaseSensitive(reply->json, "Config");
	if (reply->result == CONSUL_OK &&
	    json_get_text(config, "NodeName", node, sizeof(node)) && node[0]) {
		if (!is_elsewhere(self, config)) {
			self->out.known(self->out.arg, node);
			return;
		}
	} else {
		complain(self, reply);
	}
	loop_timer_after(self->timer, consul_backoff(++self->failures));
}

static void
ask(void *arg)
{
	static const struct consul_request request = {
		.channel = CONSUL_REPORT,
		.path = "/v1/agent/self",
		.timeout_ms = DEADLINE_MS,
	};
	struct self *self = arg;

	self->call = consul_send(self->consul, &request, on_answer, self);
}

struct self *
self_new(struct loop *loop, struct consul *consul, const char *datacenter,
    const struct self_out *out)
{
	struct self *self = xcalloc(1, sizeof(*self));

	*self = (struct self){ .consul = consul, .out = *out };
	self->datacenter = datacenter;
	self->timer = loop_timer_new(loop, ask, self);
	ask(self);
	return self;
}

void
self_free(struct self *self)
{
	if (!self)
		return;
	consul_cancel(self->call);
	loop_timer_free(self->timer);
	free(self);
}
