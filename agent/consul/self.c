/* SPDX-License-Identifier: ISC */
/*
 * Finds out what the local Consul agent says of itself: the name of this host, which is the
 * name of its node there, the address it advertises, and what a role on this host should
 * know of it. Asked again and again until it answers, with growing waits, then never again.
 * A refusal is said once, with the permission that is missing and the way round it.
 *
 * The answer is kept in the state folder (a keeper writes it): who starts while Consul is
 * away can take part by it. It is of this machine and this datacenter alone: the state of
 * another host, copied, must not give this one its name.
 */
#include "agent/consul/self.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/keeper.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/machine.h"
#include "agent/base/util.h"
#include "agent/consul/consul.h"

#define DEADLINE_MS 2000
#define PATIENCE_MS 200 /* then what is kept counts */
#define KEPT_MAX 1024

struct self {
	struct consul *consul;
	struct self_out out;
	const char *datacenter; /* NULL: whichever it is */
	struct loop_timer *timer, *kept_timer;
	struct consul_call *call;
	unsigned int failures;
	bool complained;
	char machine[MACHINE_ID_SIZE];
	struct keeper *keeper; /* NULL: nothing is kept */
	char *where; /* the datacenter of the facts */
	struct self_facts kept; /* node "": none */
	struct self_facts facts;
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
is_elsewhere(struct self *self, const char *datacenter)
{
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

/* ---- what is kept ---- */

static void
fill_text(void *arg, struct buf *out)
{
	const struct self *self = arg;
	AUTO_JSON cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "node", self->facts.node);
	cJSON_AddStringToObject(json, "address", self->facts.address);
	cJSON_AddStringToObject(json, "datacenter", self->where);
	cJSON_AddStringToObject(json, "machine", self->machine);
	AUTO_FREE char *line = json_print(json);
	buf_printf(out, "%s\n", line);
}

static void
on_judged(void *arg, int err)
{
	if (err != 0)
		log_warning("consul",
		    "the name of this node cannot be kept for a start without Consul: "
		    "%s",
		    strerror(-err));
}

static void
read_kept(struct self *self, const char *path)
{
	struct buf text = { .limit = KEPT_MAX };
	char machine[MACHINE_ID_SIZE];
	struct self_facts facts = { .kept = true };

	if (keeper_read(path, &text) == 0 && text.len > 0) {
		AUTO_JSON cJSON *json = json_parse(text.data, text.len);
		const char *where = json_text(json, "datacenter");
		bool here = self->datacenter == NULL ||
		    (where != NULL && strcmp(where, self->datacenter) == 0);

		if (here && self->machine[0] != '\0' &&
		    json_get_text(json, "machine", machine, sizeof(machine)) &&
		    strcmp(machine, self->machine) == 0 &&
		    json_get_text(
			json, "address", facts.address, sizeof(facts.address)) &&
		    json_get_text(json, "node", facts.node, sizeof(facts.node)))
			self->kept = facts;
	}
	buf_free(&text);
}

static void
on_patience(void *arg)
{
	struct self *self = arg;

	log_notice("consul",
	    "Consul does not say yet what this node is called: it was %s before",
	    self->kept.node);
	self->out.known(self->out.arg, &self->kept);
}

static void
keep(struct self *self)
{
	if (self->keeper == NULL ||
	    (strcmp(self->kept.node, self->facts.node) == 0 &&
		strcmp(self->kept.address, self->facts.address) == 0))
		return;
	keeper_save(self->keeper);
}

/* ---- what it says ---- */

/* A duration as Go prints it, of what is here of seconds and below: "5s", "52ms", "1.5s". */
static int64_t
read_duration(const char *text)
{
	char *end;
	double value;

	if (text == NULL)
		return 0;
	value = strtod(text, &end);
	if (value < 0 || value > 86400e3 ||
	    (strcmp(end, "s") != 0 && strcmp(end, "ms") != 0))
		return 0;
	return (int64_t)(strcmp(end, "s") == 0 ? value * 1000 : value);
}

/* Consul makes a node's id of the host's or keeps one it made in its data folder, which may get
 * lost: then its node is refused by its own name. */
static void
read_debug(const cJSON *debug, struct self_facts *facts)
{
	const char *id = json_text(debug, "NodeID");
	bool random = true;

	json_get_bool(debug, "DisableHostNodeID", &random);
	facts->node_id_pinned = !random || (id != NULL && id[0] != '\0');
	facts->debug = json_get_bool(debug, "ServerMode", &facts->server) &&
	    json_get_bool(debug, "LeaveOnTerm", &facts->leave_on_terminate);
	facts->election_timeout_ms =
	    read_duration(json_text(debug, "ConsulRaftElectionTimeout"));
}

static bool
read_facts(const cJSON *json, struct self_facts *facts)
{
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(json, "Config");
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, "Member");

	*facts = (struct self_facts){ 0 };
	if (!json_get_text(config, "NodeName", facts->node, sizeof(facts->node)) ||
	    facts->node[0] == '\0')
		return false;
	json_get_text(member, "Addr", facts->address, sizeof(facts->address));
	json_get_bool(config, "Server", &facts->server);
	read_debug(cJSON_GetObjectItemCaseSensitive(json, "DebugConfig"), facts);
	return true;
}

static void
on_answer(void *arg, const struct consul_reply *reply)
{
	struct self *self = arg;
	const char *datacenter;

	self->call = NULL;
	if (reply->result == CONSUL_OK && read_facts(reply->json, &self->facts)) {
		datacenter =
		    json_text(cJSON_GetObjectItemCaseSensitive(reply->json, "Config"),
			"Datacenter");
		if (!is_elsewhere(self, datacenter)) {
			loop_timer_stop(self->kept_timer);
			self->where = xstrdup(datacenter != NULL ? datacenter : "");
			keep(self);
			self->out.known(self->out.arg, &self->facts);
			return;
		}
		loop_timer_stop(self->kept_timer);
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

static void
take_kept(struct self *self, struct loop *loop, const char *state_dir)
{
	AUTO_FREE char *path = xasprintf("%s/node", state_dir);

	machine_id(self->machine);
	read_kept(self, path);
	self->keeper =
	    keeper_new(loop, path, &(struct keeper_out){ fill_text, on_judged, self });
	if (self->kept.node[0] != '\0')
		loop_timer_after(self->kept_timer, PATIENCE_MS);
}

struct self *
self_new(struct loop *loop, struct consul *consul, const char *datacenter,
    const char *state_dir, const struct self_out *out)
{
	struct self *self = xcalloc(1, sizeof(*self));

	*self = (struct self){ .consul = consul, .out = *out };
	self->datacenter = datacenter;
	self->timer = loop_timer_new(loop, ask, self);
	self->kept_timer = loop_timer_new(loop, on_patience, self);
	if (state_dir != NULL)
		take_kept(self, loop, state_dir);
	ask(self);
	return self;
}

void
self_free(struct self *self)
{
	if (!self)
		return;
	consul_cancel(self->call);
	if (self->keeper != NULL)
		keeper_free(self->keeper);
	loop_timer_free(self->timer);
	loop_timer_free(self->kept_timer);
	free(self->where);
	free(self);
}
