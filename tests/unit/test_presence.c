/* SPDX-License-Identifier: ISC */
/*
 * Presence, by way of the lease and against a real Consul (lease_bed): a session and a key
 * by which others see this host, through restarts, losses, another host of the same name, a
 * reload and a stop.
 */
#include "agent/failover/lease.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/merge.h"
#include "tests/unit/lease_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

static bool
two_peers(void *arg)
{
	const struct fixture *f = arg;

	return f->told[0].n_peers == 2;
}

static bool
second_has_lost_priority(void *arg)
{
	const struct fixture *f = arg;

	return f->told[0].peers[1].peer.priority == 3;
}

static bool
second_is_not_heard(void *arg)
{
	const struct fixture *f = arg;

	return !f->told[0].peers[1].peer.hb && f->told[0].peers[1].port == 0;
}

static void
test_peers(void)
{
	struct fixture a, b;
	const struct roster_peer *peer;

	set_up(&a, "peers", 1);
	set_up(&b, "peers", 1);
	str_copy(b.node, sizeof(b.node), "web-2");
	b.roles[0]->priority = 7;
	start(&a, "i1");
	start(&b, "0123456789abcdef");
	lease_reach(b.lease, "fd00::7", 8521);
	lease_present(a.lease, 0, false);
	lease_present(b.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&b, "\"inst\":\"0123456789abcdef\""));
	CU_ASSERT_TRUE(until(a.loop, two_peers, &a, LIMIT_MS));
	peer = &a.told[0].peers[0];
	CU_ASSERT_TRUE(strcmp(peer->peer.node, "web-1") == 0 && !peer->peer.ready);
	CU_ASSERT_EQUAL(peer->peer.priority, 100);
	CU_ASSERT_TRUE(!peer->peer.hb && peer->address[0] == '\0' && peer->inst == 0);
	peer = &a.told[0].peers[1];
	CU_ASSERT_TRUE(strcmp(peer->peer.node, "web-2") == 0 && peer->peer.ready);
	CU_ASSERT_EQUAL(peer->peer.priority, 7);
	CU_ASSERT_TRUE(peer->peer.hb && strcmp(peer->address, "fd00::7") == 0);
	CU_ASSERT_TRUE(peer->port == 8521 && peer->inst == 0x0123456789abcdef);
	lease_priority(b.lease, 0, 3);
	CU_ASSERT_TRUE(wait_candidate(&b, "\"prio\":3"));
	CU_ASSERT_TRUE(until(a.loop, second_has_lost_priority, &a, LIMIT_MS));
	lease_reach(b.lease, "", 0);
	CU_ASSERT_TRUE(wait_candidate(&b, "\"hb\":false"));
	CU_ASSERT_TRUE(until(a.loop, second_is_not_heard, &a, LIMIT_MS));
	lease_present(a.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&a, "\"ready\":true"));
	tear_down(&a);
	tear_down(&b);
}

static uint64_t
created(const struct fixture *f)
{
	AUTO_JSON cJSON *entry = candidate(f);
	uint64_t index = 0;

	json_get_uint(entry, "CreateIndex", &index);
	return index;
}

/* The session goes on over a restart: the key was never gone. */
static void
test_restart(void)
{
	struct fixture f;
	uint64_t index;

	set_up(&f, "restart", 1);
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	index = created(&f);
	CU_ASSERT_TRUE(index > 0);
	lease_free(f.lease);
	start(&f, "i2");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i2\""));
	CU_ASSERT_EQUAL(created(&f), index);
	CU_ASSERT_EQUAL(f.duplicates, 0);
	tear_down(&f);
}

/* The state folder was lost: our old session still holds the key, and is ended. */
static void
test_state_lost(void)
{
	AUTO_FREE char *path = NULL;
	struct fixture f;

	set_up(&f, "forgot", 1);
	path = xasprintf("%s/session", f.state_dir);
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	lease_free(f.lease);
	CU_ASSERT_EQUAL(unlink(path), 0);
	start(&f, "i2");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i2\""));
	CU_ASSERT_EQUAL(f.duplicates, 0);
	tear_down(&f);
}

/* Another node's or machine's file in a copied state folder is not ours. */
static void
test_copied_state(void)
{
	AUTO_JSON cJSON *first = NULL, *second = NULL;
	struct fixture f;

	set_up(&f, "copied", 1);
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	first = candidate(&f);
	lease_free(f.lease);
	str_copy(f.node, sizeof(f.node), "web-3");
	start(&f, "i2");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i2\""));
	second = candidate(&f);
	CU_ASSERT_STRING_NOT_EQUAL(
	    json_text(first, "Session"), json_text(second, "Session"));
	tear_down(&f);
}

/* Whoever takes the key or the session away: both come back. */
static void
test_taken_away(void)
{
	AUTO_JSON cJSON *entry = NULL;
	struct fixture f;
	uint64_t index;
	char out[16];

	set_up(&f, "taken", 1);
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	entry = candidate(&f);
	index = created(&f);
	ask("DELETE", NULL, out, sizeof(out), "/v1/kv/lictor/roles/%s/candidates/%s",
	    f.roles[0]->name, f.node);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	CU_ASSERT_TRUE(created(&f) > index);
	index = created(&f);
	ask("PUT", NULL, out, sizeof(out), "/v1/session/destroy/%s",
	    json_text(entry, "Session"));
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	CU_ASSERT_TRUE(created(&f) > index);
	tear_down(&f);
}

static void
test_duplicate(void)
{
	AUTO_JSON cJSON *json = NULL;
	struct fixture f;
	char out[128];
	const char *session;

	set_up(&f, "twice", 1);
	ask("PUT", "{\"TTL\":\"60s\",\"Behavior\":\"delete\",\"LockDelay\":\"0s\"}",
	    out, sizeof(out), "/v1/session/create");
	json = json_parse(out, strlen(out));
	session = json_text(json, "ID");
	CU_ASSERT_PTR_NOT_NULL_FATAL(session);
	CU_ASSERT_EQUAL(ask("PUT", "{\"machine_id\":\"another\"}", out, sizeof(out),
			    "/v1/kv/lictor/roles/%s/candidates/%s?acquire=%s",
			    f.roles[0]->name, f.node, session),
	    200);
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_count(&f, &f.duplicates, 1, LIMIT_MS) && f.duplicate);
	CU_ASSERT_EQUAL(
	    ask("PUT", NULL, out, sizeof(out), "/v1/session/destroy/%s", session), 200);
	CU_ASSERT_TRUE(wait_count(&f, &f.duplicates, 2, LIMIT_MS) && !f.duplicate);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	CU_ASSERT_EQUAL(f.duplicates, 2);
	tear_down(&f);
}

static void
on_stopped(void *arg)
{
	struct fixture *f = arg;

	f->stopped++;
}

static void
test_stop(void)
{
	AUTO_FREE char *path = NULL;
	struct fixture f;

	set_up(&f, "stop", 1);
	path = xasprintf("%s/session", f.state_dir);
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	lease_stop(f.lease, on_stopped, &f);
	CU_ASSERT_TRUE(wait_count(&f, &f.stopped, 1, 1200));
	CU_ASSERT_EQUAL(f.stopped, 1);
	CU_ASSERT_PTR_NULL(candidate(&f));
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	tear_down(&f);
}

/* Consul hangs, or there never was a session: the stop is over in a second. */
static void
test_stop_without(void)
{
	for (int frozen = 0; frozen < 2; frozen++) {
		struct fixture f;

		set_up(&f, "stopped", 1);
		start(&f, "i1");
		lease_present(f.lease, 0, true);
		if (frozen) {
			CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
			consul_server_freeze(server);
		}
		lease_stop(f.lease, on_stopped, &f);
		CU_ASSERT_EQUAL(f.stopped, 0);
		CU_ASSERT_TRUE(wait_count(&f, &f.stopped, 1, 1200));
		consul_server_thaw(server);
		tear_down(&f);
	}
}

/* ---- another configuration ---- */

/* The next one has the only role, or none; it had it, or had none. */
static void
turn(struct fixture *f, const struct conf *next, bool had)
{
	uint32_t from = had && next->n_roles > 0 ? 0 : CONF_NONE;
	struct conf_changes changes = { .from.roles = &from };

	changes.roles.added = !had && next->n_roles > 0;
	lease_reload(f->lease, next, &changes);
}

static bool
no_candidate(void *arg)
{
	AUTO_JSON cJSON *entry = candidate(arg);

	return entry == NULL;
}

static bool
no_session(void *arg)
{
	char out[4096];

	return ask("GET", NULL, out, sizeof(out), "/v1/session/list") == 200 &&
	    strstr(out, "lictor presence of web-1") == NULL;
}

/* A role that leaves, comes and leaves again while Consul has answered nothing. */
static void
test_reloads(void)
{
	struct fixture f;

	set_up(&f, "reloads", 1);
	struct conf without = f.conf;
	without.n_roles = 0;
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"ready\":true"));
	consul_server_freeze(server);
	turn(&f, &without, true);
	turn(&f, &f.conf, false);
	turn(&f, &without, true);
	consul_server_thaw(server);
	CU_ASSERT_TRUE(until(f.loop, no_candidate, &f, LIMIT_MS));
	CU_ASSERT_TRUE(until(f.loop, no_session, &f, LIMIT_MS));
	turn(&f, &f.conf, false);
	lease_present(f.lease, 0, false);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"ready\":false"));
	tear_down(&f);
}

static const struct tap_case cases[] = {
	{ "candidates see each other", test_peers },
	{ "a restart goes on with its session", test_restart },
	{ "a lost state folder costs nothing", test_state_lost },
	{ "a copied state folder is not believed", test_copied_state },
	{ "what was taken away comes back", test_taken_away },
	{ "another host with this name", test_duplicate },
	{ "a stop ends presence", test_stop },
	{ "a stop without Consul ends in time", test_stop_without },
	{ "a role that leaves, comes and leaves", test_reloads },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "presence", cases, ARRAY_LENGTH(cases), &server);
}
