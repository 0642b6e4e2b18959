/* SPDX-License-Identifier: ISC */
/*
 * The registers of this host's roles in Consul: what they say, writes to them, and the
 * first one where nobody ever made one. lease owns this and brings what its watch saw; the
 * news goes on to roles, which decides: nothing is judged here but whether a reply proves
 * what it seems to say.
 *
 * Results are matched by their exact key; a register is missing only when Consul said 404
 * for it, since what a token may not see is left out elsewhere. All reads asked for in one
 * turn of the loop go out together; whatever is not a clear success of a write is told as
 * unsure.
 *
 * Each call out is an errand in one list, so that freeing the registers ends them all.
 */
#include "agent/failover/registers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/base/base64.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/consul/consul.h"
#include "agent/consul/scope.h"
#include "agent/failover/kv.h"
#include "agent/failover/marker.h"
#include "agent/failover/roster.h"

#define READ_ROLES 60 /* a transaction takes 64 operations */
#define READS_OUT 16 /* more wait for one to end */
#define INIT_MS 100 /* until it is asked again whether a first register may be made */
#define PATH_SIZE 512

struct errand {
	LIST_ENTRY(errand) link;
	struct registers *registers;
	struct consul_call *call;
	bool is_read; /* counted in `reads` */
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
	uint64_t index; /* of the newest consistent read; 0: missing */
};

struct registers {
	struct loop *loop;
	struct consul *consul;
	const struct conf *conf;
	struct registers_out out;
	struct role_params params; /* for a first register, but for its lease */
	bool bpf;
	char *state_dir;
	struct loop_timer *read_timer, *init_timer;
	bool unkept; /* said of a marker */
	size_t reads;
	LIST_HEAD(errands, errand) errands;
	struct seat *seats;
};

static struct errand *
errand_new(struct registers *registers)
{
	struct errand *errand = xcalloc(1, sizeof(*errand));

	errand->registers = registers;
	LIST_INSERT_HEAD(&registers->errands, errand, link);
	return errand;
}

static struct errand *
errand_for(struct registers *registers, uint32_t role)
{
	struct errand *errand = errand_new(registers);

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
	errand->call = consul_send(errand->registers->consul, request, done, errand);
}

/* Of the keys of a role. A token that Consul does not know is said by who reports; one that
 * may only read goes on being said until a write succeeds. */
static void
note_denied(struct seat *seat, bool write, const struct consul_reply *reply)
{
	const char *name = seat->conf->name;

	if (consul_token_unknown(reply))
		return;
	if (!seat->read_denied && !seat->write_denied)
		log_error("role",
		    "%s: Consul does not let this host's token use the keys of the "
		    "role: %s (it needs key_prefix \"" ROSTER_PREFIX "%s/\" write)",
		    name, reply->why, name);
	*(write ? &seat->write_denied : &seat->read_denied) = true;
}

static void
note_granted(struct seat *seat, bool write)
{
	bool was = seat->read_denied || seat->write_denied;

	seat->read_denied = false;
	if (write)
		seat->write_denied = false;
	if (was && !seat->write_denied)
		log_notice("role",
		    "%s: Consul lets this host use the role's keys again",
		    seat->conf->name);
}

static int64_t
lease_of(const struct registers *registers, uint32_t role)
{
	return conf_role_lease(
	    registers->conf, registers->seats[role].conf, registers->bpf);
}

static void
mark_seen(struct registers *registers, struct seat *seat)
{
	if (seat->seen)
		return;
	seat->seen = true;
	marker_make(registers->state_dir, seat->conf->name, &registers->unkept);
}

void
registers_read(struct registers *registers, uint32_t role)
{
	registers->seats[role].due = true;
	if (registers->reads < READS_OUT)
		loop_timer_after(registers->read_timer, 0);
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

/* A register was seen. One that cannot be read is left alone. */
static void
tell_register(struct registers *registers, uint32_t role, const cJSON *entry,
    int64_t sent_at, bool consistent)
{
	struct seat *seat = &registers->seats[role];
	struct role_register reg;
	char why[128];

	mark_seen(registers, seat);
	if (parse_register(entry, &reg, why, sizeof(why)) != 0) {
		if (!seat->unreadable)
			log_error("role",
			    "%s: its register in Consul cannot be read: %s; this host "
			    "leaves it alone",
			    seat->conf->name, why);
		seat->unreadable = true;
		if (consistent)
			registers->out.unreadable(registers->out.arg, role);
		else
			registers_read(registers, role);
		return;
	}
	seat->unreadable = false;
	note_granted(seat, false);
	if (consistent)
		seat->index = reg.index;
	registers->out.reg(registers->out.arg, role, sent_at, consistent, &reg);
}

/* Writes. */

static void
send_cas(struct errand *errand, uint64_t base, const struct role_register *content,
    int64_t timeout_ms, consul_done_fn *done)
{
	AUTO_JSON cJSON *body = cJSON_CreateArray();
	const struct seat *seat = &errand->registers->seats[errand->roles[0]];
	const struct conf_consul *consul = &errand->registers->conf->consul;
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
	scope_operation(consul, kv);
	errand_send(errand, &request, done);
}

/* Whether a write was a success, and its index then. */
static bool
judge_write(
    const struct errand *errand, const struct consul_reply *reply, uint64_t *index)
{
	struct seat *seat = &errand->registers->seats[errand->roles[0]];
	const cJSON *entry = kv_result(reply->json, seat->key);

	if (reply->result == CONSUL_DENIED)
		note_denied(seat, true, reply);
	if (reply->result != CONSUL_OK || !json_get_uint(entry, "ModifyIndex", index))
		return false;
	note_granted(seat, true);
	return true;
}

static void
on_wrote(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct registers *registers = errand->registers;
	uint64_t index = 0;
	bool ok = judge_write(errand, reply, &index);

	registers->out.wrote(
	    registers->out.arg, errand->roles[0], errand->wid, ok, index);
	errand_free(errand);
}

void
registers_write(struct registers *registers, uint32_t role, uint64_t base,
    const struct role_register *content, int64_t timeout_ms)
{
	struct errand *errand = errand_for(registers, role);

	str_copy(errand->wid, sizeof(errand->wid), content->wid);
	send_cas(errand, base, content, timeout_ms, on_wrote);
}

static void
on_init(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct registers *registers = errand->registers;
	uint32_t role = errand->roles[0];
	uint64_t index;
	bool ok = judge_write(errand, reply, &index);

	errand_free(errand);
	if (ok) {
		mark_seen(registers, &registers->seats[role]);
		log_notice("role",
		    "%s: its register was made in Consul, nobody holds the role yet",
		    registers->seats[role].conf->name);
	}
	if (ok || reply->result == CONSUL_CONFLICT) /* another host was faster */
		registers_read(registers, role);
}

void
registers_init(struct registers *registers, uint32_t role, uint64_t rev)
{
	int64_t wall = clock_wall_ms();
	struct role_params params = registers->params;
	struct role_register reg;

	params.lease_ms = lease_of(registers, role);
	role_register_init(
	    &reg, &params, wall > (int64_t)rev ? wall : (int64_t)rev, random_u64());
	send_cas(errand_for(registers, role), registers->seats[role].index, &reg,
	    params.lease_ms, on_init);
}

/* Reads. */

/* Consul says that there is no register. */
static void
register_missing(struct registers *registers, uint32_t role, int64_t sent_at)
{
	struct seat *seat = &registers->seats[role];
	uint64_t rev = 0;

	seat->index = 0;
	note_granted(seat, false);
	if (seat->seen || !seat->conf->auto_init)
		registers->out.reg(registers->out.arg, role, sent_at, true, NULL);
	else if (registers->out.may_init(registers->out.arg, role, &rev))
		registers_init(registers, role, rev);
	else
		loop_timer_after(registers->init_timer, INIT_MS);
}

static void
on_asked(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct registers *registers = errand->registers;
	uint32_t role = errand->roles[0];
	struct seat *seat = &registers->seats[role];
	const cJSON *entry = cJSON_GetArrayItem(reply->json, 0);

	errand_free(errand);
	seat->asking = false;
	if (reply->result == CONSUL_DENIED)
		note_denied(seat, false, reply);
	else if (reply->result == CONSUL_NOT_FOUND && !reply->filtered)
		register_missing(registers, role, reply->sent_at);
	else if (reply->result == CONSUL_OK && entry != NULL)
		tell_register(registers, role, entry, reply->sent_at, true);
}

/* A transaction leaves out a key that is missing, and one that the token may not see. */
static void
ask_missing(struct registers *registers, uint32_t role)
{
	char name[3 * CONF_NAME_MAX + 1], path[PATH_SIZE];
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.path = path,
		.timeout_ms = lease_of(registers, role),
	};

	if (registers->seats[role].asking)
		return;
	registers->seats[role].asking = true;
	consul_escape(name, sizeof(name), registers->seats[role].conf->name);
	snprintf(
	    path, sizeof(path), "/v1/kv/" ROSTER_PREFIX "%s/register?consistent", name);
	errand_send(errand_for(registers, role), &request, on_asked);
}

static void
tell_results(const struct errand *errand, const struct consul_reply *reply)
{
	struct registers *registers = errand->registers;

	for (size_t i = 0; i < errand->n_roles; i++) {
		uint32_t role = errand->roles[i];
		const cJSON *entry = kv_result(reply->json, registers->seats[role].key);

		if (entry != NULL)
			tell_register(registers, role, entry, reply->sent_at, true);
		else
			ask_missing(registers, role);
	}
}

static void
on_read(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct registers *registers = errand->registers;

	registers->reads--;
	if (reply->result == CONSUL_OK && cJSON_IsObject(reply->json))
		tell_results(errand, reply);
	for (size_t i = 0; i < errand->n_roles; i++) {
		if (reply->result == CONSUL_DENIED)
			note_denied(&registers->seats[errand->roles[i]], false, reply);
	}
	errand_free(errand);
	for (size_t i = 0; i < registers->conf->n_roles; i++) {
		if (registers->seats[i].due)
			loop_timer_after(registers->read_timer, 0);
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
		.timeout_ms = lease_of(errand->registers, errand->roles[0]),
	};

	for (size_t i = 1; i < errand->n_roles; i++) {
		int64_t lease_ms = lease_of(errand->registers, errand->roles[i]);

		if (lease_ms < request.timeout_ms) /* of no use after it */
			request.timeout_ms = lease_ms;
	}
	for (size_t i = 0; i < errand->n_roles; i++)
		scope_operation(&errand->registers->conf->consul,
		    kv_operation(body, "get-tree",
			errand->registers->seats[errand->roles[i]].key));
	errand->is_read = true;
	errand->registers->reads++;
	errand_send(errand, &request, on_read);
}

static void
on_read_due(void *arg)
{
	struct registers *registers = arg;
	uint32_t role = 0;

	while (registers->reads < READS_OUT) {
		uint32_t due[READ_ROLES];
		size_t count = 0;

		for (; role < registers->conf->n_roles && count < READ_ROLES; role++) {
			if (registers->seats[role].due)
				due[count++] = role;
			registers->seats[role].due = false;
		}
		if (count == 0)
			return;

		struct errand *errand = errand_new(registers);

		memcpy(errand->roles, due, count * sizeof(due[0]));
		errand->n_roles = count;
		send_read(errand);
	}
}

static void
on_init_due(void *arg)
{
	struct registers *registers = arg;

	for (uint32_t i = 0; i < registers->conf->n_roles; i++) {
		if (!registers->seats[i].seen)
			registers_read(registers, i);
	}
}

void
registers_seen(
    struct registers *registers, uint32_t role, const cJSON *entry, int64_t sent_at)
{
	tell_register(registers, role, entry, sent_at, false);
}

void
registers_wrote_beside(
    struct registers *registers, uint32_t role, const struct consul_reply *reply)
{
	if (reply->result == CONSUL_DENIED)
		note_denied(&registers->seats[role], true, reply);
	else if (reply->result == CONSUL_OK)
		note_granted(&registers->seats[role], true);
}

static void
seat_init(
    struct seat *seat, const struct registers *registers, const struct conf_role *conf)
{
	seat->conf = conf;
	seat->key = xasprintf(ROSTER_PREFIX "%s/register", conf->name);
	seat->seen = marker_exists(registers->state_dir, conf->name);
}

/* False: none of its roles is left. */
static bool
errand_turn(struct errand *errand, const uint32_t *to)
{
	size_t count = 0;

	for (size_t i = 0; i < errand->n_roles; i++)
		if (to[errand->roles[i]] != CONF_NONE)
			errand->roles[count++] = to[errand->roles[i]];
	errand->n_roles = count;
	return count > 0;
}

static void
turn_errands(struct registers *registers, const uint32_t *to)
{
	struct errand *next;

	for (struct errand *errand = LIST_FIRST(&registers->errands); errand != NULL;
	     errand = next) {
		next = LIST_NEXT(errand, link);
		if (errand_turn(errand, to))
			continue;
		registers->reads -= errand->is_read;
		consul_cancel(errand->call);
		errand_free(errand);
	}
}

void
registers_reload(struct registers *registers, const struct conf *next,
    const struct conf_changes *changes)
{
	size_t count = registers->conf->n_roles;
	uint32_t *to = conf_invert(changes->from.roles, next->n_roles, count);
	struct seat *before = registers->seats;

	turn_errands(registers, to);
	registers->seats = xcalloc(next->n_roles + 1, sizeof(*registers->seats));
	for (size_t i = 0; i < count; i++) {
		if (to[i] == CONF_NONE)
			free(before[i].key);
		else
			registers->seats[to[i]] = before[i];
	}
	for (size_t i = 0; i < next->n_roles; i++) {
		struct seat *seat = &registers->seats[i];
		if (changes->from.roles[i] == CONF_NONE)
			seat_init(seat, registers, next->roles[i]);
		seat->conf = next->roles[i];
	}
	free(to);
	free(before);
	registers->conf = next;
}

struct registers *
registers_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const struct role_params *params, bool bpf, const char *state_dir,
    const struct registers_out *out)
{
	struct registers *registers = xcalloc(1, sizeof(*registers));

	registers->loop = loop;
	registers->consul = consul;
	registers->conf = conf;
	registers->out = *out;
	registers->params = *params;
	registers->bpf = bpf;
	LIST_INIT(&registers->errands);
	registers->state_dir = xstrdup(state_dir);
	registers->seats = xcalloc(conf->n_roles + 1, sizeof(*registers->seats));
	for (size_t i = 0; i < conf->n_roles; i++)
		seat_init(&registers->seats[i], registers, conf->roles[i]);
	registers->read_timer = loop_timer_new(loop, on_read_due, registers);
	registers->init_timer = loop_timer_new(loop, on_init_due, registers);
	return registers;
}

void
registers_free(struct registers *registers)
{
	if (registers == NULL)
		return;
	for (struct errand *errand = LIST_FIRST(&registers->errands), *next;
	     errand != NULL; errand = next) {
		next = LIST_NEXT(errand, link);
		consul_cancel(errand->call);
		free(errand);
	}
	loop_timer_free(registers->read_timer);
	loop_timer_free(registers->init_timer);
	for (size_t i = 0; i < registers->conf->n_roles; i++)
		free(registers->seats[i].key);
	free(registers->seats);
	free(registers->state_dir);
	free(registers);
}
