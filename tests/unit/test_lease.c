/* SPDX-License-Identifier: ISC */
/*
 * Consul's side of the roles, against a real Consul: every case has roles of its own, so
 * that one server does for all. What a case sets up or looks at goes past lictor, by
 * consul_server_ask.
 */
#include "agent/failover/lease.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/base64.h"
#include "agent/base/json.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/consul/consul.h"
#include "agent/failover/kv.h"
#include "agent/failover/roster.h"
#include "tests/unit/consul_server.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000
#define ROLES 130
#define INIT_MS 300 /* until a first register may be made */

static struct consul_server *server;

struct told {
	unsigned int regs, missing, /* of consistent reads */
	    peers_told, wrote;
	int64_t sent_at;
	struct role_register reg;
	bool wrote_ok;
	uint64_t wrote_index;
	char wid[ROLE_WID_SIZE];
	size_t n_peers;
	struct roster_peer peers[ROLE_PEERS];
	unsigned int pauses, unreadable;
	struct lease_pause pause;
	unsigned int switchovers;
	char to[ROLE_NODE_SIZE];
};

struct fixture {
	struct loop *loop;
	struct conf conf;
	struct conf_role *roles[ROLES];
	struct consul *consul;
	struct lease *lease;
	char node[32], prefix[32], state_dir[64];
	struct told told[ROLES];
	int64_t began;
	uint64_t heard_rev;
	unsigned int duplicates, stopped;
	bool duplicate;
	const char *text; /* what a condition waits for */
	unsigned int count;
};

static void
on_reg(void *arg, uint32_t role, int64_t sent_at, bool consistent,
    const struct role_register *content)
{
	struct fixture *f = arg;
	struct told *told = &f->told[role];

	if (content == NULL) {
		CU_ASSERT_TRUE(consistent);
		told->missing++;
	} else if (consistent) {
		told->regs++;
		told->reg = *content;
		told->sent_at = sent_at;
	}
}

static void
on_wrote(void *arg, uint32_t role, const char *wid, bool ok, uint64_t index)
{
	struct fixture *f = arg;
	struct told *told = &f->told[role];

	told->wrote++;
	told->wrote_ok = ok;
	told->wrote_index = index;
	str_copy(told->wid, sizeof(told->wid), wid);
}

static void
on_peers(void *arg, uint32_t role, const struct roster_peer *list, size_t count)
{
	struct fixture *f = arg;
	struct told *told = &f->told[role];

	told->peers_told++;
	told->n_peers = count;
	memcpy(told->peers, list, count * sizeof(*list));
}

static void
on_switchover(void *arg, uint32_t role, const char *to)
{
	struct fixture *f = arg;

	f->told[role].switchovers++;
	str_copy(f->told[role].to, sizeof(f->told[role].to), to);
}

static void
on_pause(void *arg, uint32_t role, const struct lease_pause *pause)
{
	struct fixture *f = arg;

	f->told[role].pauses++;
	f->told[role].pause = *pause;
}

static void
on_unreadable(void *arg, uint32_t role)
{
	struct fixture *f = arg;

	f->told[role].unreadable++;
}

/* It may when a while has passed. */
static bool
on_may_init(void *arg, uint32_t role, uint64_t *rev)
{
	const struct fixture *f = arg;

	*rev = f->heard_rev + role;
	return clock_boot_ms() >= f->began + INIT_MS;
}

static void
on_duplicate(void *arg, bool duplicate)
{
	struct fixture *f = arg;

	f->duplicates++;
	f->duplicate = duplicate;
}

static void
on_stopped(void *arg)
{
	struct fixture *f = arg;

	f->stopped++;
}

/* An agent starts, or starts again, with what its state folder holds. */
static void
start(struct fixture *f, const char *inst)
{
	struct lease_out out = { on_reg, on_wrote, on_peers, on_unreadable, on_may_init,
		on_switchover, on_pause, on_duplicate, f };

	f->lease = lease_new(
	    f->loop, f->consul, &f->conf, f->node, inst, f->state_dir, false, &out);
	lease_start(f->lease);
}

static void
set_up(struct fixture *f, const char *prefix, size_t n_roles)
{
	memset(f, 0, sizeof(*f));
	str_copy(f->node, sizeof(f->node), "web-1");
	str_copy(f->prefix, sizeof(f->prefix), prefix);
	str_copy(f->state_dir, sizeof(f->state_dir), "/tmp/lictor-test-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->state_dir));
	f->began = clock_boot_ms();
	f->loop = loop_new();
	f->conf.lease_ms = 2250;
	f->conf.roles = f->roles;
	f->conf.n_roles = n_roles;
	f->conf.consul.address = xstrdup(consul_server_address(server));
	for (uint32_t i = 0; i < n_roles; i++) {
		f->roles[i] = xcalloc(1, sizeof(*f->roles[i]));
		f->roles[i]->index = i;
		f->roles[i]->name = xasprintf("%s%u", prefix, i);
		f->roles[i]->priority = 100 + i;
		f->roles[i]->auto_init = true;
	}
	f->consul = consul_new(f->loop, &f->conf.consul);
}

static void
remove_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		AUTO_FREE char *path = xasprintf("%s/%s", folder, entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		if (unlink(path) != 0)
			remove_folder(path);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(folder);
}

static void
tear_down(struct fixture *f)
{
	lease_free(f->lease);
	consul_free(f->consul);
	loop_free(f->loop);
	for (size_t i = 0; i < f->conf.n_roles; i++) {
		free(f->roles[i]->name);
		free(f->roles[i]);
	}
	free(f->conf.consul.address);
	remove_folder(f->state_dir);
}

static int
ask(const char *method, const char *body, char *out, size_t size, const char *fmt, ...)
{
	AUTO_FREE char *path = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&path, fmt, args) < 0)
		abort();
	va_end(args);
	return consul_server_ask(server, method, path, body, out, size);
}

/* A register as JSON, with `holder` telling one from another. */
static void
put_register(const struct fixture *f, uint32_t role, const char *holder)
{
	AUTO_FREE char *text =
	    xasprintf("{\"v\":1,\"rev\":%u,\"wid\":\"web-9.i.OWN.1\",\"holder\":\"%s\","
		      "\"fence\":null}",
		role + 5, holder);
	char out[16];

	CU_ASSERT_EQUAL(ask("PUT", text, out, sizeof(out),
			    "/v1/kv/lictor/roles/%s/register", f->roles[role]->name),
	    200);
}

/* This node's candidacy as Consul has it; NULL: no key. The caller frees it. */
static cJSON *
candidate(const struct fixture *f)
{
	char out[2048];
	AUTO_JSON cJSON *list = NULL;

	if (ask("GET", NULL, out, sizeof(out),
		"/v1/kv/lictor/roles/%s/candidates/%s?consistent", f->roles[0]->name,
		f->node) != 200)
		return NULL;
	list = json_parse(out, strlen(out));
	return cJSON_DetachItemFromArray(list, 0);
}

static bool
candidate_says(void *arg)
{
	const struct fixture *f = arg;
	AUTO_JSON cJSON *entry = candidate(f);
	size_t len;
	AUTO_FREE char *value = kv_value(entry, &len);

	return value != NULL && json_text(entry, "Session") != NULL &&
	    strstr(value, f->text) != NULL;
}

static bool
wait_candidate(struct fixture *f, const char *text)
{
	f->text = text;
	return until(f->loop, candidate_says, f, LIMIT_MS);
}

static bool
is_read(void *arg)
{
	const struct fixture *f = arg;

	for (size_t i = 0; i < f->conf.n_roles; i++)
		if (f->told[i].regs + f->told[i].missing < f->count)
			return false;
	return true;
}

/* Reads all roles and waits for the answers. */
static bool
read_all(struct fixture *f)
{
	for (uint32_t i = 0; i < f->conf.n_roles; i++) {
		f->told[i].regs = f->told[i].missing = 0;
		lease_read(f->lease, i);
	}
	f->count = 1;
	return until(f->loop, is_read, f, LIMIT_MS);
}

static bool
is_written(void *arg)
{
	const struct fixture *f = arg;

	return f->told[0].wrote >= f->count;
}

static bool
write_and_wait(struct fixture *f, uint64_t base, uint64_t rev)
{
	struct role_register reg = { .rev = rev, .wid = "web-1.i.OWN.7" };

	str_copy(reg.holder, sizeof(reg.holder), f->node);
	f->count = f->told[0].wrote + 1;
	lease_write(f->lease, 0, base, &reg, 2000);
	return until(f->loop, is_written, f, LIMIT_MS);
}

static void
mark_seen(const struct fixture *f)
{
	AUTO_FREE char *folder = xasprintf("%s/roles", f->state_dir);
	AUTO_FREE char *path = xasprintf("%s/%s.seen", folder, f->roles[0]->name);
	AUTO_FCLOSE FILE *file = NULL;

	mkdir(folder, 0700);
	file = fopen(path, "we");
	CU_ASSERT_PTR_NOT_NULL(file);
}

static bool
is_marked(const struct fixture *f)
{
	AUTO_FREE char *path =
	    xasprintf("%s/roles/%s.seen", f->state_dir, f->roles[0]->name);

	return access(path, F_OK) == 0;
}

/* ---- registers ---- */

static void
test_first_start(void)
{
	struct fixture f;
	int64_t began = clock_boot_ms();

	set_up(&f, "first", 1);
	f.heard_rev = (uint64_t)clock_wall_ms() + 3600000; /* Consul was wiped */
	start(&f, "i1");
	CU_ASSERT_TRUE(read_all(&f));
	CU_ASSERT_TRUE(f.told[0].regs == 1 && f.told[0].missing == 0);
	CU_ASSERT_TRUE(clock_boot_ms() - began >= INIT_MS);
	CU_ASSERT_EQUAL(f.told[0].reg.rev, f.heard_rev);
	CU_ASSERT_TRUE(f.told[0].reg.holder[0] == '\0' && f.told[0].reg.fence.present);
	CU_ASSERT_TRUE(f.told[0].reg.fence.node[0] == '\0' &&
	    f.told[0].reg.fence.lease_ms >= 4000);
	CU_ASSERT_TRUE(is_marked(&f));
	tear_down(&f);
}

/* As where the mark is in a folder of another user's. */
static void
mark_blindly(const struct fixture *f)
{
	AUTO_FREE char *folder = xasprintf("%s/roles", f->state_dir);

	CU_ASSERT_EQUAL(symlink("roles", folder), 0);
}

/* Told missing where it must not be made: the role was seen before, or nobody can tell, or so
 * configured. */
static void
test_missing(void)
{
	static const char *const prefixes[] = { "manual", "gone", "blind" };

	for (int seen = 0; seen < 3; seen++) {
		struct fixture f;

		set_up(&f, prefixes[seen], 1);
		if (seen == 1)
			mark_seen(&f);
		else if (seen == 2)
			mark_blindly(&f);
		f.roles[0]->auto_init = seen != 0;
		start(&f, "i1");
		CU_ASSERT_TRUE(read_all(&f));
		CU_ASSERT_TRUE(f.told[0].missing == 1 && f.told[0].regs == 0);
		lease_init(f.lease, 0, UINT64_C(1) << 50);
		f.count = 2;
		CU_ASSERT_TRUE(until(f.loop, is_read, &f, LIMIT_MS));
		CU_ASSERT_EQUAL(f.told[0].reg.rev, UINT64_C(1) << 50);
		tear_down(&f);
	}
}

static void
test_write(void)
{
	struct fixture f;
	uint64_t index;

	set_up(&f, "write", 1);
	mark_seen(&f);
	start(&f, "i1");
	CU_ASSERT_TRUE(write_and_wait(&f, 0, 1) && f.told[0].wrote_ok);
	CU_ASSERT_STRING_EQUAL(f.told[0].wid, "web-1.i.OWN.7");
	index = f.told[0].wrote_index;
	CU_ASSERT_TRUE(read_all(&f));
	CU_ASSERT_TRUE(f.told[0].reg.index == index && f.told[0].reg.rev == 1);
	CU_ASSERT_STRING_EQUAL(f.told[0].reg.holder, f.node);
	CU_ASSERT_TRUE(write_and_wait(&f, 0, 2) && !f.told[0].wrote_ok);
	CU_ASSERT_TRUE(write_and_wait(&f, index - 1, 2) && !f.told[0].wrote_ok);
	CU_ASSERT_TRUE(write_and_wait(&f, index, 2) && f.told[0].wrote_ok);
	CU_ASSERT_TRUE(f.told[0].wrote_index > index);
	CU_ASSERT_TRUE(write_and_wait(&f, index, 3) && !f.told[0].wrote_ok);
	tear_down(&f);
}

/* Many roles in one turn: each has its own answer, though names begin alike, and three
 * transactions were enough. */
static void
test_many(void)
{
	struct fixture f;
	unsigned int requests = 1;

	set_up(&f, "many", ROLES);
	start(&f, "i1");
	for (uint32_t i = 0; i < ROLES; i++)
		if (i != 1) /* many1 is missing, many10 and many100 are not */
			put_register(&f, i, f.roles[i]->name);
	run_for(f.loop, 0);
	int64_t before = clock_boot_ms();
	CU_ASSERT_TRUE(read_all(&f));
	for (uint32_t i = 0; i < ROLES; i++) {
		const struct told *told = &f.told[i];

		if (i == 1) {
			CU_ASSERT_STRING_EQUAL(told->reg.holder, "");
			continue;
		}
		CU_ASSERT_EQUAL(told->regs, 1);
		CU_ASSERT_STRING_EQUAL(told->reg.holder, f.roles[i]->name);
		CU_ASSERT_TRUE(told->sent_at >= before);
		if (i > 0 && told->sent_at != f.told[i == 2 ? 0 : i - 1].sent_at)
			requests++;
	}
	CU_ASSERT_TRUE(requests <= 3);
	tear_down(&f);
}

/* Of a newer format, or no register at all: nothing is told, nothing is made. */
static void
test_unreadable(void)
{
	static const char *const texts[] = { "{\"v\":2,\"rev\":1}", "{", "" };
	char path[64], out[16];
	struct fixture f;

	set_up(&f, "strange", 1);
	snprintf(
	    path, sizeof(path), "/v1/kv/lictor/roles/%s/register", f.roles[0]->name);
	start(&f, "i1");
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		CU_ASSERT_EQUAL(
		    ask("PUT", texts[i], out, sizeof(out), "%s", path), 200);
		lease_read(f.lease, 0);
		run_for(f.loop, 300);
	}
	CU_ASSERT_TRUE(f.told[0].regs == 0 && f.told[0].missing == 0);
	CU_ASSERT_TRUE(f.told[0].unreadable >= ARRAY_LENGTH(texts));
	CU_ASSERT_TRUE(is_marked(&f));
	put_register(&f, 0, "web-2");
	CU_ASSERT_TRUE(read_all(&f) && f.told[0].regs == 1);
	tear_down(&f);
}

static void
test_frozen(void)
{
	struct fixture f;

	set_up(&f, "frozen", 1);
	put_register(&f, 0, "web-1");
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(read_all(&f));
	consul_server_freeze(server);
	for (int i = 0; i < 50; i++) { /* more than may be out */
		lease_read(f.lease, 0);
		run_for(f.loop, 10);
	}
	CU_ASSERT_TRUE(write_and_wait(&f, 1, 1) && !f.told[0].wrote_ok);
	consul_server_thaw(server);
	CU_ASSERT_TRUE(read_all(&f));
	CU_ASSERT_TRUE(wait_candidate(&f, "\"ready\":true"));
	tear_down(&f);
}

/* What a token may not see is not missing: nothing is told, nothing is made. */
static void
test_denied(void)
{
	struct consul_server *open_one = server;
	struct fixture f;

	server = consul_server_start_strict();
	CU_ASSERT_PTR_NOT_NULL_FATAL(server);
	set_up(&f, "secret", 1);
	mark_seen(&f);
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	for (int i = 0; i < 10; i++) {
		lease_read(f.lease, 0);
		run_for(f.loop, 100);
	}
	CU_ASSERT_TRUE(f.told[0].regs == 0 && f.told[0].missing == 0);
	CU_ASSERT_TRUE(write_and_wait(&f, 0, 1) && !f.told[0].wrote_ok);
	tear_down(&f);
	consul_server_stop(server);
	server = open_one;
}

/* ---- presence ---- */

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

static bool
duplicates_told(void *arg)
{
	const struct fixture *f = arg;

	return f->duplicates >= f->count;
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
	f.count = 1;
	CU_ASSERT_TRUE(until(f.loop, duplicates_told, &f, LIMIT_MS) && f.duplicate);
	CU_ASSERT_EQUAL(
	    ask("PUT", NULL, out, sizeof(out), "/v1/session/destroy/%s", session), 200);
	f.count = 2;
	CU_ASSERT_TRUE(until(f.loop, duplicates_told, &f, LIMIT_MS) && !f.duplicate);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	CU_ASSERT_EQUAL(f.duplicates, 2);
	tear_down(&f);
}

static bool
is_stopped(void *arg)
{
	const struct fixture *f = arg;

	return f->stopped > 0;
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
	CU_ASSERT_TRUE(until(f.loop, is_stopped, &f, 1200));
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
		CU_ASSERT_TRUE(until(f.loop, is_stopped, &f, 1200));
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

/* ---- an operator's request ---- */

static bool
is_asked(void *arg)
{
	const struct fixture *f = arg;

	return f->told[0].switchovers >= f->count;
}

static bool
request_is_gone(void *arg)
{
	const struct fixture *f = arg;
	char out[16];

	return ask("GET", NULL, out, sizeof(out),
		   "/v1/kv/lictor/roles/%s/control/switchover",
		   f->roles[0]->name) == 404;
}

static void
test_switchover(void)
{
	struct fixture f;
	char out[16];

	set_up(&f, "switch", 1);
	ask("PUT", "{\"to\":\"web-7\",\"id\":\"old\"}", out, sizeof(out),
	    "/v1/kv/lictor/roles/%s/control/switchover", f.roles[0]->name);
	start(&f, "i1");
	lease_present(f.lease, 0, true);
	CU_ASSERT_TRUE(wait_candidate(&f, "\"inst\":\"i1\""));
	CU_ASSERT_EQUAL(f.told[0].switchovers, 0);
	lease_switchover(f.lease, 0, "web-2");
	f.count = 1;
	CU_ASSERT_TRUE(until(f.loop, is_asked, &f, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(f.told[0].to, "web-2");
	lease_present(f.lease, 0, false); /* more news, the same request */
	CU_ASSERT_TRUE(wait_candidate(&f, "\"ready\":false"));
	CU_ASSERT_EQUAL(f.told[0].switchovers, 1);
	lease_switchover(f.lease, 0, "");
	f.count = 2;
	CU_ASSERT_TRUE(until(f.loop, is_asked, &f, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(f.told[0].to, "");
	lease_switchover_done(f.lease, 0);
	CU_ASSERT_TRUE(until(f.loop, request_is_gone, &f, LIMIT_MS));
	tear_down(&f);
}

static bool
is_paused(void *arg)
{
	const struct fixture *f = arg;

	return f->told[0].pause.on;
}

static bool
is_resumed(void *arg)
{
	return !is_paused(arg);
}

/* A pause is there for who comes later, too, and whatever it says. */
static void
test_pause(void)
{
	struct fixture f;
	char out[16];

	set_up(&f, "pause", 1);
	ask("PUT", "on holiday", out, sizeof(out),
	    "/v1/kv/lictor/roles/%s/control/pause", f.roles[0]->name);
	start(&f, "i1");
	CU_ASSERT_TRUE(until(f.loop, is_paused, &f, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(f.told[0].pause.who, "");
	lease_pause(f.lease, 0, false, "", "");
	CU_ASSERT_TRUE(until(f.loop, is_resumed, &f, LIMIT_MS));
	lease_pause(f.lease, 0, true, "ann", "the disk is moved");
	CU_ASSERT_TRUE(until(f.loop, is_paused, &f, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(f.told[0].pause.who, "ann");
	CU_ASSERT_STRING_EQUAL(f.told[0].pause.reason, "the disk is moved");
	CU_ASSERT_TRUE(llabs(f.told[0].pause.at * 1000 - clock_wall_ms()) < 30000);
	CU_ASSERT_EQUAL(f.told[0].pauses, 3);
	tear_down(&f);
}

/* ---- base64 ---- */

/* Exactly the texts that encoding yields are decoded, and to the same bytes. */
static void
test_base64(void)
{
	static const char letters[] = "AQgz+/=-";
	char text[9] = "";

	for (unsigned int i = 0; i < 1u << 24; i += i < 4096 ? 1 : 4093) {
		size_t len = 0;
		AUTO_FREE char *data = NULL, *again = NULL;

		for (int c = 0; c < 8; c++)
			text[c] = letters[i >> 3 * c & 7];
		text[i % 3 == 0 ? 4 : 8] = '\0';
		data = base64_decode(text, &len);
		if (data == NULL)
			continue;
		again = base64_encode(data, len);
		CU_ASSERT_STRING_EQUAL(again, text);
	}
	for (unsigned int len = 0; len < 70; len++) {
		unsigned char bytes[70];
		AUTO_FREE char *encoded = NULL, *decoded = NULL;
		size_t got = 0;

		for (unsigned int i = 0; i < len; i++)
			bytes[i] = (unsigned char)(i * 151 + len);
		encoded = base64_encode(bytes, len);
		decoded = base64_decode(encoded, &got);
		CU_ASSERT_PTR_NOT_NULL_FATAL(decoded);
		CU_ASSERT_TRUE(got == len && memcmp(bytes, decoded, len) == 0);
	}
}

static const struct tap_case cases[] = {
	{ "base64 goes there and back, strictly", test_base64 },
	{ "the first start makes the register", test_first_start },
	{ "a register that was there once is not made again", test_missing },
	{ "a write needs the right index", test_write },
	{ "many roles are read at once", test_many },
	{ "what cannot be read is left alone", test_unreadable },
	{ "a Consul that hangs", test_frozen },
	{ "a token that may see nothing", test_denied },
	{ "candidates see each other", test_peers },
	{ "a restart goes on with its session", test_restart },
	{ "a lost state folder costs nothing", test_state_lost },
	{ "a copied state folder is not believed", test_copied_state },
	{ "what was taken away comes back", test_taken_away },
	{ "another host with this name", test_duplicate },
	{ "a pause is for all to see", test_pause },
	{ "a stop ends presence", test_stop },
	{ "a stop without Consul ends in time", test_stop_without },
	{ "a role that leaves, comes and leaves", test_reloads },
	{ "an operator's request is told once", test_switchover },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "lease", cases, ARRAY_LENGTH(cases), &server);
}
