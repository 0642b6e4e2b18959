/* SPDX-License-Identifier: ISC */
/*
 * Consul's side of the roles: what their registers say (consistent reads, and a watch as
 * a hint), writes to them by compare-and-set, and what a watch on all of lictor/roles/ shows: who
 * stands (roster sorts it) and an operator's requests. presence does this host's own
 * candidacy.
 *
 * Above is roles, which decides; this module judges nothing but whether a reply proves
 * what it seems to say. Results are matched by their exact key; a register is missing only
 * when Consul said 404 for it, since what a token may not see is left out elsewhere. All
 * reads asked for in one turn of the loop go out together; whatever is not a clear success
 * of a write is told as unsure.
 *
 * Each call out is an errand in one list, so that freeing the lease ends them all.
 */
#include "agent/failover/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/base64.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/watch.h"
#include "agent/failover/kv.h"
#include "agent/failover/presence.h"
#include "agent/failover/roster.h"

#define READ_ROLES 60 /* a transaction takes 64 operations */
#define READS_OUT 16 /* more wait for one to end */
#define INIT_WAIT_MS 2400 /* four silences: a master might be heard (10.1) */
#define CONTROL_MS 5000
#define PATH_SIZE 512
#define REQUEST_SIZE 64

struct errand {
	LIST_ENTRY(errand) link;
	struct lease *lease;
	struct consul_call *call;
	size_t n_roles;
	uint32_t roles[READ_ROLES];
	char wid[ROLE_WID_SIZE]; /* of a write */
};

struct seat {
	const struct conf_role *conf;
	char *key;
	bool due; /* a read was asked for */
	bool asking; /* is the key really missing? */
	bool seen; /* this host has seen a register of the role */
	bool unreadable; /* said */
	bool read_denied, write_denied; /* said */
	bool crowded; /* said */
	uint64_t index; /* of the newest consistent read; 0: missing */
	uint64_t watched; /* index of what the watch told last */
	uint64_t request_index; /* of control/switchover */
	char request[REQUEST_SIZE];
	size_t n_peers;
	struct role_peer peers[ROLE_PEERS];
};

struct lease {
	struct loop *loop;
	struct consul *consul;
	const struct conf *conf;
	struct lease_out out;
	struct role_params params; /* for a first register */
	char *state_dir;
	struct presence *presence;
	struct watch *watch;
	struct loop_timer *read_timer, *init_timer;
	int64_t init_at; /* loop time */
	bool watched; /* the watch has answered once */
	bool unkept; /* said */
	size_t reads;
	LIST_HEAD(errands, errand) errands;
	struct seat *seats;
};

static struct errand *
errand_new(struct lease *lease)
{
	struct errand *errand = xcalloc(1, sizeof(*errand));

	errand->lease = lease;
	LIST_INSERT_HEAD(&lease->errands, errand, link);
	return errand;
}

static struct errand *
errand_for(struct lease *lease, uint32_t role)
{
	struct errand *errand = errand_new(lease);

	errand->roles[0] = role;
	errand->n_roles = 1;
	return errand;
}

static void
errand_free(struct errand *errand)
{
	LIST_REMOVE(errand, link);
	free(errand);
}

static void
errand_send(
    struct errand *errand, const struct consul_request *request, consul_done_fn *done)
{
	errand->call = consul_send(errand->lease->consul, request, done, errand);
}

/* Said once, until the role's register can be read, or written, again. */
static void
say_denied(const struct seat *seat, bool *said, const char *why)
{
	const char *name = seat->conf->name;

	if (!*said)
		log_error("role",
		    "%s: Consul does not let this host's token use its register: %s "
		    "(it needs key_prefix \"" ROSTER_PREFIX "%s/\" write)",
		    name, why, name);
	*said = true;
}

/* The marker of 10.1: a role that was once here is never made anew by itself. */

static char *
marker_path(const struct lease *lease, const struct seat *seat)
{
	char name[3 * CONF_NAME_MAX + 1];

	consul_escape(name, sizeof(name), seat->conf->name);
	return xasprintf("%s/roles/%s.seen", lease->state_dir, name);
}

static bool
marker_exists(const struct lease *lease, const struct seat *seat)
{
	AUTO_FREE char *path = marker_path(lease, seat);

	return access(path, F_OK) == 0;
}

static void
mark_seen(struct lease *lease, struct seat *seat)
{
	AUTO_FREE char *folder = NULL, *path = NULL;
	AUTO_CLOSE int fd = -1;

	if (seat->seen)
		return;
	seat->seen = true;
	folder = xasprintf("%s/roles", lease->state_dir);
	path = marker_path(lease, seat);
	if (mkdir(folder, 0750) == 0 || errno == EEXIST)
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0 && !lease->unkept) {
		log_warning("role", "%s cannot be made: %s", path, strerror(errno));
		lease->unkept = true;
	}
}

static int
parse_register(const cJSON *entry, struct role_register *reg, char *why, size_t size)
{
	size_t len;
	AUTO_FREE char *text = kv_value(entry, &len);
	int err;

	if (text == NULL) {
		str_copy(why, size, "it is empty");
		return -EPROTO;
	}
	err = role_register_parse(text, len, reg, why, size);
	if (err == 0 && !json_get_uint(entry, "ModifyIndex", &reg->index)) {
		str_copy(why, size, "its ModifyIndex is missing");
		err = -EPROTO;
	}
	return err;
}

/* A register was seen. One that cannot be read is left alone: nobody hears of it. */
static void
tell_register(struct lease *lease, uint32_t role, const cJSON *entry, int64_t sent_at,
    bool consistent)
{
	struct seat *seat = &lease->seats[role];
	struct role_register reg;
	char why[128];

	mark_seen(lease, seat);
	if (parse_register(entry, &reg, why, sizeof(why)) != 0) {
		if (!seat->unreadable)
			log_error("role",
			    "%s: its register in Consul cannot be read: %s; this host "
			    "leaves it alone",
			    seat->conf->name, why);
		seat->unreadable = true;
		return;
	}
	seat->unreadable = seat->read_denied = false;
	if (consistent)
		seat->index = reg.index;
	lease->out.reg(lease->out.arg, role, sent_at, consistent, &reg);
}

/* Writes. */

static void
send_cas(struct errand *errand, uint64_t base, const struct role_register *content,
    int64_t timeout_ms, consul_done_fn *done)
{
	AUTO_JSON cJSON *body = cJSON_CreateArray();
	const struct seat *seat = &errand->lease->seats[errand->roles[0]];
	cJSON *kv = kv_operation(body, "cas", seat->key);
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = "PUT",
		.path = "/v1/txn",
		.body = body,
		.timeout_ms = timeout_ms,
	};
	AUTO_FREE char *value = NULL;
	char text[1024];

	role_register_print(content, text);
	value = base64_encode(text, strlen(text));
	json_add_uint(kv, "Index", base);
	cJSON_AddStringToObject(kv, "Value", value);
	errand_send(errand, &request, done);
}

/* Whether a write was a success, and its index then. */
static bool
judge_write(
    const struct errand *errand, const struct consul_reply *reply, uint64_t *index)
{
	struct seat *seat = &errand->lease->seats[errand->roles[0]];
	const cJSON *entry = kv_result(reply->json, seat->key);

	if (reply->result == CONSUL_DENIED)
		say_denied(seat, &seat->write_denied, reply->why);
	if (reply->result != CONSUL_OK || !json_get_uint(entry, "ModifyIndex", index))
		return false;
	seat->write_denied = false;
	return true;
}

static void
on_wrote(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct lease *lease = errand->lease;
	uint64_t index = 0;
	bool ok = judge_write(errand, reply, &index);

	lease->out.wrote(lease->out.arg, errand->roles[0], errand->wid, ok, index);
	errand_free(errand);
}

void
lease_write(struct lease *lease, uint32_t role, uint64_t base,
    const struct role_register *content, int64_t timeout_ms)
{
	struct errand *errand = errand_for(lease, role);

	str_copy(errand->wid, sizeof(errand->wid), content->wid);
	send_cas(errand, base, content, timeout_ms, on_wrote);
}

static void
on_init(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct lease *lease = errand->lease;
	uint32_t role = errand->roles[0];
	uint64_t index;
	bool ok = judge_write(errand, reply, &index);

	errand_free(errand);
	if (ok) {
		mark_seen(lease, &lease->seats[role]);
		log_notice("role",
		    "%s: its register was made in Consul, nobody holds the role yet",
		    lease->seats[role].conf->name);
	}
	if (ok || reply->result == CONSUL_CONFLICT) /* another host was faster */
		lease_read(lease, role);
}

void
lease_init(struct lease *lease, uint32_t role, uint64_t rev)
{
	int64_t wall = clock_wall_ms();
	struct role_register reg;

	role_register_init(&reg, &lease->params,
	    wall > (int64_t)rev ? wall : (int64_t)rev, random_u64());
	send_cas(errand_for(lease, role), lease->seats[role].index, &reg,
	    lease->conf->lease_ms, on_init);
}

/* Reads. */

/* Consul says that there is no register. */
static void
register_missing(struct lease *lease, uint32_t role, int64_t sent_at)
{
	struct seat *seat = &lease->seats[role];
	int64_t now = loop_now(lease->loop);

	seat->index = 0;
	seat->read_denied = false;
	if (seat->seen || !seat->conf->auto_init)
		lease->out.reg(lease->out.arg, role, sent_at, true, NULL);
	else if (now < lease->init_at)
		loop_timer_at(lease->init_timer, lease->init_at);
	else
		lease_init(lease, role, 0);
}

static void
on_asked(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct lease *lease = errand->lease;
	uint32_t role = errand->roles[0];
	struct seat *seat = &lease->seats[role];
	const cJSON *entry = cJSON_GetArrayItem(reply->json, 0);

	errand_free(errand);
	seat->asking = false;
	if (reply->result == CONSUL_DENIED)
		say_denied(seat, &seat->read_denied, reply->why);
	else if (reply->result == CONSUL_NOT_FOUND && !reply->filtered)
		register_missing(lease, role, reply->sent_at);
	else if (reply->result == CONSUL_OK && entry != NULL)
		tell_register(lease, role, entry, reply->sent_at, true);
}

/* A transaction leaves out a key that is missing, and one that the token may not see. */
static void
ask_missing(struct lease *lease, uint32_t role)
{
	char name[3 * CONF_NAME_MAX + 1], path[PATH_SIZE];
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.path = path,
		.timeout_ms = lease->conf->lease_ms,
	};

	if (lease->seats[role].asking)
		return;
	lease->seats[role].asking = true;
	consul_escape(name, sizeof(name), lease->seats[role].conf->name);
	snprintf(
	    path, sizeof(path), "/v1/kv/" ROSTER_PREFIX "%s/register?consistent", name);
	errand_send(errand_for(lease, role), &request, on_asked);
}

static void
tell_results(const struct errand *errand, const struct consul_reply *reply)
{
	struct lease *lease = errand->lease;

	for (size_t i = 0; i < errand->n_roles; i++) {
		uint32_t role = errand->roles[i];
		const cJSON *entry = kv_result(reply->json, lease->seats[role].key);

		if (entry != NULL)
			tell_register(lease, role, entry, reply->sent_at, true);
		else
			ask_missing(lease, role);
	}
}

static void
on_read(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct lease *lease = errand->lease;

	lease->reads--;
	if (reply->result == CONSUL_OK && cJSON_IsObject(reply->json))
		tell_results(errand, reply);
	for (size_t i = 0; i < errand->n_roles; i++) {
		struct seat *seat = &lease->seats[errand->roles[i]];

		if (reply->result == CONSUL_DENIED)
			say_denied(seat, &seat->read_denied, reply->why);
	}
	errand_free(errand);
	for (size_t i = 0; i < lease->conf->n_roles; i++) {
		if (lease->seats[i].due)
			loop_timer_after(lease->read_timer, 0);
	}
}

static void
send_read(struct errand *errand)
{
	AUTO_JSON cJSON *body = cJSON_CreateArray();
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = "PUT",
		.path = "/v1/txn?consistent",
		.body = body,
		.timeout_ms = errand->lease->conf->lease_ms,
	};

	for (size_t i = 0; i < errand->n_roles; i++)
		kv_operation(
		    body, "get-tree", errand->lease->seats[errand->roles[i]].key);
	errand->lease->reads++;
	errand_send(errand, &request, on_read);
}

static void
on_read_due(void *arg)
{
	struct lease *lease = arg;
	uint32_t role = 0;

	while (lease->reads < READS_OUT) {
		uint32_t due[READ_ROLES];
		size_t count = 0;

		for (; role < lease->conf->n_roles && count < READ_ROLES; role++) {
			if (lease->seats[role].due)
				due[count++] = role;
			lease->seats[role].due = false;
		}
		if (count == 0)
			return;

		struct errand *errand = errand_new(lease);

		memcpy(errand->roles, due, count * sizeof(due[0]));
		errand->n_roles = count;
		send_read(errand);
	}
}

void
lease_read(struct lease *lease, uint32_t role)
{
	lease->seats[role].due = true;
	if (lease->reads < READS_OUT)
		loop_timer_after(lease->read_timer, 0);
}

static void
on_init_due(void *arg)
{
	struct lease *lease = arg;

	for (uint32_t i = 0; i < lease->conf->n_roles; i++) {
		if (!lease->seats[i].seen)
			lease_read(lease, i);
	}
}

/* The watch. */

/* A request is acted on once, and never when it was there before we looked. */
static void
tell_request(struct lease *lease, struct seat *seat, const cJSON *entry)
{
	AUTO_JSON cJSON *json = kv_json(entry);
	char id[REQUEST_SIZE], to[ROLE_NODE_SIZE];

	if (json == NULL || !json_get_text(json, "id", id, sizeof(id)) ||
	    !json_get_text(json, "to", to, sizeof(to)) ||
	    strcmp(id, seat->request) == 0 ||
	    !json_get_uint(entry, "ModifyIndex", &seat->request_index))
		return;
	str_copy(seat->request, sizeof(seat->request), id);
	if (lease->watched)
		lease->out.switchover(lease->out.arg, seat->conf->index, to);
}

static void
tell_peers(struct lease *lease, struct seat *seat, const struct roster_role *news)
{
	if (news->crowded && !seat->crowded)
		log_warning("role",
		    "%s: more than %d hosts stand for it, the others are not seen",
		    seat->conf->name, ROLE_PEERS);
	seat->crowded = news->crowded;
	if (lease->watched && roster_same_peers(news, seat->peers, seat->n_peers))
		return;
	seat->n_peers = news->n_peers;
	memcpy(seat->peers, news->peers, sizeof(seat->peers));
	lease->out.peers(lease->out.arg, seat->conf->index, seat->peers, seat->n_peers);
}

static void
tell_news(struct lease *lease, struct seat *seat, const struct roster_role *news,
    int64_t sent_at)
{
	uint32_t role = seat->conf->index;
	uint64_t index;

	presence_seen(lease->presence, role, news->own_session, news->own_value);
	tell_peers(lease, seat, news);
	if (news->reg != NULL && json_get_uint(news->reg, "ModifyIndex", &index) &&
	    index != seat->watched) {
		seat->watched = index;
		tell_register(lease, role, news->reg, sent_at, false);
	}
	tell_request(lease, seat, news->request);
}

static void
on_news(void *arg, const struct consul_reply *reply)
{
	struct lease *lease = arg;
	struct roster_role *roster;

	roster = roster_new(lease->conf, lease->params.node, reply->json);
	for (size_t i = 0; i < lease->conf->n_roles; i++)
		tell_news(lease, &lease->seats[i], &roster[i], reply->sent_at);
	roster_free(roster, lease->conf);
	lease->watched = true;
}

/* The watch only hints: the reads find out, and say, what is wrong. */
static void
on_trouble(void *arg, const struct consul_reply *reply)
{
	(void)arg, (void)reply;
}

/* An operator's request. */

static void
on_controlled(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	const struct seat *seat = &errand->lease->seats[errand->roles[0]];

	if (reply->result != CONSUL_OK)
		log_warning("role", "%s: the request to switch over: Consul says %s",
		    seat->conf->name, reply->why);
	errand_free(errand);
}

static void
send_control(struct lease *lease, uint32_t role, const char *method, const char *query,
    const char *text)
{
	char name[3 * CONF_NAME_MAX + 1], path[PATH_SIZE];
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = method,
		.path = path,
		.text = text,
		.timeout_ms = CONTROL_MS,
	};

	consul_escape(name, sizeof(name), lease->seats[role].conf->name);
	snprintf(path, sizeof(path), "/v1/kv/" ROSTER_PREFIX "%s/control/switchover%s",
	    name, query);
	errand_send(errand_for(lease, role), &request, on_controlled);
}

void
lease_switchover(struct lease *lease, uint32_t role, const char *to)
{
	AUTO_JSON cJSON *json = cJSON_CreateObject();
	AUTO_FREE char *text = NULL;
	char id[32];

	snprintf(id, sizeof(id), "%016" PRIx64, random_u64());
	cJSON_AddStringToObject(json, "to", to);
	cJSON_AddStringToObject(json, "id", id);
	text = json_print(json);
	send_control(lease, role, "PUT", "", text);
}

void
lease_switchover_done(struct lease *lease, uint32_t role)
{
	char query[64];

	snprintf(
	    query, sizeof(query), "?cas=%" PRIu64, lease->seats[role].request_index);
	send_control(lease, role, "DELETE", query, NULL);
}

/* Life. */

static void
on_duplicate(void *arg, bool duplicate)
{
	struct lease *lease = arg;

	lease->out.duplicate(lease->out.arg, duplicate);
}

struct lease *
lease_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const char *node, const char *inst, const char *state_dir, int64_t margin_ms,
    const struct lease_out *out)
{
	struct lease *lease = xcalloc(1, sizeof(*lease));
	struct presence_out presence_out = { on_duplicate, lease };

	lease->loop = loop;
	lease->consul = consul;
	lease->conf = conf;
	lease->out = *out;
	LIST_INIT(&lease->errands);
	lease->params.lease_ms = conf->lease_ms;
	lease->params.margin_ms = margin_ms;
	str_copy(lease->params.node, sizeof(lease->params.node), node);
	str_copy(lease->params.inst, sizeof(lease->params.inst), inst);
	lease->state_dir = xstrdup(state_dir);
	lease->seats = xcalloc(conf->n_roles + 1, sizeof(*lease->seats));
	for (size_t i = 0; i < conf->n_roles; i++) {
		struct seat *seat = &lease->seats[i];

		seat->conf = conf->roles[i];
		seat->key = xasprintf(ROSTER_PREFIX "%s/register", seat->conf->name);
		seat->seen = marker_exists(lease, seat);
	}
	lease->read_timer = loop_timer_new(loop, on_read_due, lease);
	lease->init_timer = loop_timer_new(loop, on_init_due, lease);
	lease->presence =
	    presence_new(loop, consul, conf, node, inst, state_dir, &presence_out);
	return lease;
}

void
lease_free(struct lease *lease)
{
	if (lease == NULL)
		return;
	presence_free(lease->presence);
	watch_free(lease->watch);
	for (struct errand *errand = LIST_FIRST(&lease->errands), *next; errand != NULL;
	     errand = next) {
		next = LIST_NEXT(errand, link);
		consul_cancel(errand->call);
		free(errand);
	}
	loop_timer_free(lease->read_timer);
	loop_timer_free(lease->init_timer);
	for (size_t i = 0; i < lease->conf->n_roles; i++)
		free(lease->seats[i].key);
	free(lease->seats);
	free(lease->state_dir);
	free(lease);
}

void
lease_start(struct lease *lease)
{
	struct watch_out out = { on_news, on_trouble, lease };

	if (lease->conf->n_roles == 0)
		return;
	lease->init_at = loop_now(lease->loop) + INIT_WAIT_MS;
	lease->watch = watch_new(
	    lease->loop, lease->consul, "/v1/kv/" ROSTER_PREFIX "?recurse", &out);
	presence_start(lease->presence);
}

void
lease_present(struct lease *lease, uint32_t role, bool ready)
{
	presence_set(lease->presence, role, ready);
}

void
lease_withdraw(struct lease *lease, uint32_t role)
{
	presence_withdraw(lease->presence, role);
}

void
lease_stop(struct lease *lease, void (*done)(void *arg), void *arg)
{
	presence_stop(lease->presence, done, arg);
}
