/* SPDX-License-Identifier: ISC */
/*
 * Reads of the registers, and what a reply proves of one. All reads asked for in one turn of
 * the loop go out together. A transaction leaves out a key that is missing and one that the
 * token may not see: such a key is asked for by itself, and its register is missing only when
 * Consul said 404 to that.
 *
 * What the watch saw comes here as well, and is told as not consistent: it may be older than
 * the newest read. registers.c makes and sends the errands; whether a first register may be
 * made is asked of its owner.
 */
#include "agent/failover/registers_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/scope.h"
#include "agent/failover/kv.h"
#include "agent/failover/roster.h"

#define READS_OUT 16 /* more wait for one to end */
#define INIT_MS 100 /* until it is asked again whether a first register may be made */
#define PATH_SIZE 512

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

	registers_mark(registers, seat);
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
	registers_granted(seat, false);
	if (consistent)
		seat->index = reg.index;
	registers->out.reg(registers->out.arg, role, sent_at, consistent, &reg);
}

void
registers_seen(
    struct registers *registers, uint32_t role, const cJSON *entry, int64_t sent_at)
{
	tell_register(registers, role, entry, sent_at, false);
}

static void
await_init(struct registers *registers, struct seat *seat)
{
	seat->awaited = true;
	loop_timer_after(registers->init_timer, INIT_MS);
}

/* Consul says that there is no register. */
static void
register_missing(struct registers *registers, uint32_t role, int64_t sent_at)
{
	struct seat *seat = &registers->seats[role];
	uint64_t rev = 0;

	seat->index = 0;
	registers_granted(seat, false);
	if (seat->seen || !seat->conf->auto_init)
		registers->out.reg(registers->out.arg, role, sent_at, true, NULL);
	else if (!registers->out.may_init(registers->out.arg, role, &rev))
		await_init(registers, seat);
	else if (loop_now(registers->loop) >= seat->init_after) /* or at a later read */
		registers_init(registers, role, rev);
}

static void
on_asked(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	struct registers *registers = errand->registers;
	uint32_t role = errand->roles[0];
	struct seat *seat = &registers->seats[role];
	const cJSON *entry = cJSON_GetArrayItem(reply->json, 0);

	registers_errand_free(errand);
	seat->asking = false;
	if (reply->result == CONSUL_DENIED)
		registers_denied(seat, false, reply);
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
		.timeout_ms = registers_lease(registers, role),
	};

	if (registers->seats[role].asking)
		return;
	registers->seats[role].asking = true;
	consul_escape(name, sizeof(name), registers->seats[role].conf->name);
	snprintf(
	    path, sizeof(path), "/v1/kv/" ROSTER_PREFIX "%s/register?consistent", name);
	registers_errand_send(registers_errand(registers, role), &request, on_asked);
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
			registers_denied(
			    &registers->seats[errand->roles[i]], false, reply);
	}
	registers_errand_free(errand);
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
		.timeout_ms = registers_lease(errand->registers, errand->roles[0]),
	};

	for (size_t i = 1; i < errand->n_roles; i++) {
		int64_t lease_ms = registers_lease(errand->registers, errand->roles[i]);

		if (lease_ms < request.timeout_ms) /* of no use after it */
			request.timeout_ms = lease_ms;
	}
	for (size_t i = 0; i < errand->n_roles; i++)
		scope_operation(&errand->registers->conf->consul,
		    kv_operation(body, "get-tree",
			errand->registers->seats[errand->roles[i]].key));
	errand->is_read = true;
	errand->registers->reads++;
	registers_errand_send(errand, &request, on_read);
}

void
registers_read_due(void *arg)
{
	struct registers *registers = arg;
	uint32_t role = 0;

	while (registers->reads < READS_OUT) {
		uint32_t due[REGISTERS_READ];
		size_t count = 0;

		for (; role < registers->conf->n_roles && count < REGISTERS_READ;
		     role++) {
			if (registers->seats[role].due)
				due[count++] = role;
			registers->seats[role].due = false;
		}
		if (count == 0)
			return;

		struct errand *errand = registers_errand_new(registers);

		memcpy(errand->roles, due, count * sizeof(due[0]));
		errand->n_roles = count;
		send_read(errand);
	}
}

/* That is this host's own question, and may be one for long: Consul is asked no more often for
 * that. */
void
registers_init_due(void *arg)
{
	struct registers *registers = arg;
	uint64_t rev;

	for (uint32_t i = 0; i < registers->conf->n_roles; i++) {
		struct seat *seat = &registers->seats[i];

		if (!seat->awaited)
			continue;
		seat->awaited = false;
		if (seat->seen)
			continue;
		if (registers->out.may_init(registers->out.arg, i, &rev))
			registers_read(registers, i);
		else
			await_init(registers, seat);
	}
}
