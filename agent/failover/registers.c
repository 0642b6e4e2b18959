/* SPDX-License-Identifier: ISC */
/*
 * The registers of this host's roles in Consul: what they say, writes to them, and the
 * first one where nobody ever made one. lease owns this and brings what its watch saw; the
 * news goes on to roles, which decides: nothing is judged here but whether a reply proves
 * what it seems to say.
 *
 * Here are writes, what the token may do, and life; reads are in registers_read.c. Results
 * are matched by their exact key; whatever is not a clear success of a write is told as
 * unsure.
 *
 * Each call out is an errand in one list, so that freeing the registers ends them all.
 */
#include "agent/failover/registers_state.h"

#include <stdlib.h>
#include <string.h>

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

/* Between two writes of a role that Consul does not let this host do: who decides would try each C
 * what an operator has to mend. */
#define REFUSED_MS 1000

struct errand *
registers_errand_new(struct registers *registers)
{
	struct errand *errand = xcalloc(1, sizeof(*errand));

	errand->registers = registers;
	LIST_INSERT_HEAD(&registers->errands, errand, link);
	return errand;
}

struct errand *
registers_errand(struct registers *registers, uint32_t role)
{
	struct errand *errand = registers_errand_new(registers);

	errand->roles[0] = role;
	errand->n_roles = 1;
	return errand;
}

void
registers_errand_free(struct errand *errand)
{
	loop_timer_free(errand->refused);
	LIST_REMOVE(errand, link);
	free(errand);
}

void
registers_errand_send(
    struct errand *errand, const struct consul_request *request, consul_done_fn *done)
{
	errand->call = consul_send(errand->registers->consul, request, done, errand);
}

/* Of the keys of a role. A token that Consul does not know is said by who reports; one that
 * may only read goes on being said until a write succeeds. */
void
registers_denied(struct seat *seat, bool write, const struct consul_reply *reply)
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

void
registers_granted(struct seat *seat, bool write)
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

int64_t
registers_lease(const struct registers *registers, uint32_t role)
{
	return conf_role_lease(
	    registers->conf, registers->seats[role].conf, registers->bpf);
}

void
registers_mark(struct registers *registers, struct seat *seat)
{
	if (seat->seen)
		return;
	seat->seen = true;
	marker_make(registers->state_dir, seat->conf->name, &registers->unkept);
}

/* Writes. */

cJSON *
registers_cas(const struct conf_consul *consul, const char *key, uint64_t base,
    const struct role_register *content)
{
	cJSON *body = cJSON_CreateArray();
	cJSON *kv = kv_operation(body, "cas", key);
	AUTO_FREE char *value = NULL;
	char text[1024];

	role_register_print(content, text);
	value = base64_encode(text, strlen(text));
	json_add_uint(kv, "Index", base);
	cJSON_AddStringToObject(kv, "Value", value);
	scope_operation(consul, kv);
	return body;
}

static void
send_cas(struct errand *errand, uint64_t base, const struct role_register *content,
    int64_t timeout_ms, consul_done_fn *done)
{
	const struct registers *registers = errand->registers;
	AUTO_JSON cJSON *body = registers_cas(&registers->conf->consul,
	    registers->seats[errand->roles[0]].key, base, content);
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = "PUT",
		.path = "/v1/txn",
		.body = body,
		.timeout_ms = timeout_ms,
	};

	registers_errand_send(errand, &request, done);
}

/* Whether a write was a success, and its index then. */
static bool
judge_write(
    const struct errand *errand, const struct consul_reply *reply, uint64_t *index)
{
	struct seat *seat = &errand->registers->seats[errand->roles[0]];
	const cJSON *entry = kv_result(reply->json, seat->key);

	if (reply->result == CONSUL_DENIED)
		registers_denied(seat, true, reply);
	if (reply->result != CONSUL_OK || !json_get_uint(entry, "ModifyIndex", index))
		return false;
	registers_granted(seat, true);
	return true;
}

/* A token that Consul does not know yet it may know in a moment. */
static bool
is_refused(const struct consul_reply *reply)
{
	return reply->result == CONSUL_DENIED && !consul_token_unknown(reply);
}

static void
tell_refused(void *arg)
{
	struct errand *errand = arg;
	struct registers *registers = errand->registers;

	registers->out.wrote(
	    registers->out.arg, errand->roles[0], errand->wid, false, 0);
	registers_errand_free(errand);
}

static void
on_wrote(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct registers *registers = errand->registers;
	uint64_t index = 0;
	bool ok = judge_write(errand, reply, &index);

	if (is_refused(reply)) {
		errand->call = NULL;
		errand->refused = loop_timer_new(registers->loop, tell_refused, errand);
		loop_timer_after(errand->refused, REFUSED_MS);
		return;
	}
	registers->out.wrote(
	    registers->out.arg, errand->roles[0], errand->wid, ok, index);
	registers_errand_free(errand);
}

void
registers_write(struct registers *registers, uint32_t role, uint64_t base,
    const struct role_register *content, int64_t timeout_ms)
{
	struct errand *errand = registers_errand(registers, role);

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

	registers_errand_free(errand);
	if (is_refused(reply))
		registers->seats[role].init_after =
		    loop_now(registers->loop) + REFUSED_MS;
	if (ok) {
		registers_mark(registers, &registers->seats[role]);
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

	params.lease_ms = registers_lease(registers, role);
	role_register_init(
	    &reg, &params, wall > (int64_t)rev ? wall : (int64_t)rev, random_u64());
	send_cas(registers_errand(registers, role), registers->seats[role].index, &reg,
	    params.lease_ms, on_init);
}

void
registers_wrote_beside(
    struct registers *registers, uint32_t role, const struct consul_reply *reply)
{
	if (reply->result == CONSUL_DENIED)
		registers_denied(&registers->seats[role], true, reply);
	else if (reply->result == CONSUL_OK)
		registers_granted(&registers->seats[role], true);
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
		registers_errand_free(errand);
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
	registers->read_timer = loop_timer_new(loop, registers_read_due, registers);
	registers->init_timer = loop_timer_new(loop, registers_init_due, registers);
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
		registers_errand_free(errand);
	}
	loop_timer_free(registers->read_timer);
	loop_timer_free(registers->init_timer);
	for (size_t i = 0; i < registers->conf->n_roles; i++)
		free(registers->seats[i].key);
	free(registers->seats);
	free(registers->state_dir);
	free(registers);
}
