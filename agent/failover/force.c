/* SPDX-License-Identifier: ISC */
/*
 * An operator's oath that the host which may still have a role's addresses is off (10.9):
 * the register is read anew, role_force judges it, and the role is written to another host
 * without a fence, over exactly what was read. No machine takes part: to this host's own
 * the write is one of somebody else.
 *
 * At most one force of a role goes on; its seat owns it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/failover/kv.h"
#include "agent/failover/registers.h"
#include "agent/failover/roles_state.h"
#include "agent/failover/roster.h"

#define CALL_MS 2000
#define LIVES_MS 5000 /* who was heard so lately is not off */
#define WRITES_MAX 3 /* somebody else's may come between a read and ours */

struct force {
	struct seat *seat;
	struct consul_call *call;
	char node[ROLE_NODE_SIZE], old[ROLE_NODE_SIZE];
	struct role_register next; /* what was written */
	uint64_t base; /* over this */
	struct role_fence fence; /* of old, as it was then */
	unsigned int writes;
	char said[256]; /* by Consul of the last one */
	char facts[256]; /* of old, before it was written */
	void (*done)(void *arg, bool ok, const char *why);
	void *arg;
};

void
force_free(struct force *force)
{
	if (force == NULL)
		return;
	consul_cancel(force->call);
	free(force);
}

static void
end(struct force *force, bool ok, const char *why)
{
	struct seat *seat = force->seat;
	void (*done)(void *, bool, const char *) = force->done;
	void *arg = force->arg;

	if (!ok)
		log_warning("role", "%s: an operator's failover is refused: %s",
		    seat->conf->name, why);
	seat->force = NULL;
	force->call = NULL;
	force_free(force);
	done(arg, ok, why);
}

void
force_end(struct seat *seat)
{
	if (seat->force == NULL)
		return;
	consul_cancel(seat->force->call);
	end(seat->force, false, "a new configuration has no such role");
}

/* When anything of that host was heard last, by clock_boot_ms; negative: never. */
static int64_t
last_heard(const struct seat *seat, const char *node)
{
	struct role_view view;
	int64_t at = -1;

	role_view(seat->role, &view);
	for (size_t i = 0; i < view.n_members; i++) {
		const struct role_member_view *member = &view.members[i];

		if (strcmp(member->node, node) == 0)
			at = member->heard_at > member->acked_at ? member->heard_at
								 : member->acked_at;
	}
	return at;
}

/* What the oath spares, in words: how long it has been silent, and what is left to wait. */
static void
print_facts(const struct seat *seat, const char *old, char *out, size_t size)
{
	int64_t now = clock_boot_ms(), at = last_heard(seat, old);
	char heard[64] = "it has never been heard here";
	struct role_view view;

	role_view(seat->role, &view);
	if (at >= 0)
		snprintf(heard, sizeof(heard), "its last heartbeat was %.1f s ago",
		    (double)(now - at) / 1000);
	if (view.state == ROLE_WAITING && view.wait_until > now)
		snprintf(out, size, "%s; %s would take over in %.1f s", heard,
		    seat->roles->node, (double)(view.wait_until - now) / 1000);
	else if (view.known && strcmp(view.reg.holder, old) != 0 &&
	    view.reg.holder[0] != '\0')
		snprintf(out, size, "%s; %s has claimed the role and waits", heard,
		    view.reg.holder);
	else
		snprintf(out, size, "%s; nobody has claimed the role", heard);
}

static void
end_well(struct force *force)
{
	struct seat *seat = force->seat;
	char why[512];

	log_warning("role",
	    "%s: an operator swears that %s is off: %s takes the role at once (%s)",
	    seat->conf->name, force->old, force->node, force->facts);
	snprintf(why, sizeof(why), "%s takes the role at once; of %s: %s", force->node,
	    force->old, force->facts);
	end(force, true, why);
}

static void send_read(struct force *force);

/* Unless it is a success, what became of it only a read tells. */
static void
on_written(void *arg, const struct consul_reply *reply)
{
	struct force *force = arg;

	force->call = NULL;
	if (reply->result == CONSUL_OK) {
		end_well(force);
		return;
	}
	str_copy(force->said, sizeof(force->said), reply->why);
	send_read(force);
}

static void
send_write(struct force *force, uint64_t base)
{
	const struct roles *roles = force->seat->roles;
	AUTO_FREE char *key =
	    xasprintf(ROSTER_PREFIX "%s/register", force->seat->conf->name);
	AUTO_JSON cJSON *body =
	    registers_cas(&roles->conf->consul, key, base, &force->next);
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = "PUT",
		.path = "/v1/txn",
		.body = body,
		.timeout_ms = CALL_MS,
	};

	force->call = consul_send(roles->consul, &request, on_written, force);
}

static bool
parse(const cJSON *entry, struct role_register *reg, char *why, size_t size)
{
	size_t len = 0;
	AUTO_FREE char *text = kv_value(entry, &len);

	if (text == NULL) {
		snprintf(why, size, "its register is empty");
		return false;
	}
	if (role_register_parse(text, len, reg, why, size) != 0)
		return false;
	return json_get_uint(entry, "ModifyIndex", &reg->index);
}

/* Somebody wrote between our read and our write. If it was old, it lives. */
static bool
has_old_written(const struct force *force, const struct role_register *now)
{
	struct role_wid wid;

	return strcmp(now->fence.text, force->fence.text) != 0 ||
	    !role_wid_split(now->wid, &wid) || strcmp(wid.node, force->old) == 0;
}

static bool
judge(struct force *force, const struct role_register *now, char *why, size_t size)
{
	const struct roles *roles = force->seat->roles;
	struct role_params by = { .inst = roles->inst_number };

	str_copy(by.node, sizeof(by.node), roles->node);
	if (!role_force(now, &by, random_u64(), force->node, force->old, &force->next,
		why, size))
		return false;
	if (strcmp(force->old, roles->node) == 0)
		snprintf(why, size,
		    "this is that host, and it lives: a switchover is enough");
	else if (force->writes == WRITES_MAX ||
	    (force->writes > 0 && now->index == force->base))
		snprintf(why, size, "the write did not succeed, Consul says %s",
		    force->said);
	else if (force->writes > 0 && has_old_written(force, now))
		snprintf(why, size, "%s has just written its register: it lives",
		    force->old);
	else
		return true;
	return false;
}

static void
on_read(void *arg, const struct consul_reply *reply)
{
	struct force *force = arg;
	struct role_register now = { 0 };
	char why[512] = "its register cannot be read";

	force->call = NULL;
	if (reply->result == CONSUL_NOT_FOUND) {
		end(force, false, "its register is lost: see lictorctl init");
	} else if (reply->result != CONSUL_OK) {
		snprintf(why, sizeof(why), "%s%s",
		    force->writes > 0 ? "whether it was written is not known: " : "",
		    reply->why);
		end(force, false, why);
	} else if (!parse(cJSON_GetArrayItem(reply->json, 0), &now, why, sizeof(why))) {
		end(force, false, why);
	} else if (force->writes > 0 && strcmp(now.wid, force->next.wid) == 0) {
		end_well(force);
	} else if (!judge(force, &now, why, sizeof(why))) {
		end(force, false, why);
	} else {
		force->fence = now.fence;
		force->base = now.index;
		force->writes++;
		print_facts(
		    force->seat, force->old, force->facts, sizeof(force->facts));
		send_write(force, now.index);
	}
}

static void
send_read(struct force *force)
{
	const struct seat *seat = force->seat;
	char name[3 * CONF_NAME_MAX + 1], path[512];
	struct consul_request request = {
		.channel = CONSUL_LEASE, .path = path, .timeout_ms = CALL_MS
	};

	consul_escape(name, sizeof(name), seat->conf->name);
	snprintf(
	    path, sizeof(path), "/v1/kv/" ROSTER_PREFIX "%s/register?consistent", name);
	force->call = consul_send(seat->roles->consul, &request, on_read, force);
}

static bool
is_candidate(const struct seat *seat, const char *node, char *why, size_t size)
{
	for (size_t i = 0; i < seat->n_peers; i++) {
		if (strcmp(seat->peers[i].node, node) != 0)
			continue;
		if (!seat->peers[i].ready)
			snprintf(why, size, "%s is not ready for it", node);
		return seat->peers[i].ready;
	}
	snprintf(why, size, "%s is no candidate for it", node);
	return false;
}

/* What this host can say against it before Consul is asked. */
static bool
is_sound(
    const struct seat *seat, const char *node, const char *old, char *why, size_t size)
{
	struct role_view view;
	int64_t silent;

	if (seat->role == NULL) {
		snprintf(why, size, "this host takes no role");
		return false;
	}
	role_view(seat->role, &view);
	if (view.lost) {
		snprintf(why, size, "its register is lost: see lictorctl init");
		return false;
	}
	if (!is_candidate(seat, node, why, size))
		return false;
	silent = clock_boot_ms() - last_heard(seat, old);
	if (last_heard(seat, old) >= 0 && silent < LIVES_MS) {
		snprintf(why, size,
		    "%s was heard %.1f s ago: it lives, a switchover is enough", old,
		    (double)silent / 1000);
		return false;
	}
	if (seat->force != NULL) {
		snprintf(why, size, "another one goes on");
		return false;
	}
	return true;
}

void
roles_force(struct roles *roles, uint32_t role, const char *node, const char *old,
    void (*done)(void *arg, bool ok, const char *why), void *arg)
{
	struct seat *seat = roles->seats[role];
	char why[320];

	if (!is_sound(seat, node, old, why, sizeof(why))) {
		done(arg, false, why);
		return;
	}
	seat->force = xcalloc(1, sizeof(*seat->force));
	*seat->force = (struct force){ .seat = seat, .done = done, .arg = arg };
	str_copy(seat->force->node, sizeof(seat->force->node), node);
	str_copy(seat->force->old, sizeof(seat->force->old), old);
	send_read(seat->force);
}
