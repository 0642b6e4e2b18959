/* SPDX-License-Identifier: ISC */
/*
 * Consul's side of the roles, against a real Consul (lease_bed): their registers, and what
 * operators ask for. This host's place among the candidates is in test_presence.
 */
#include "agent/failover/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/base64.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/consul/consul.h"
#include "tests/unit/lease_bed.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

/* ---- registers ---- */

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
write_and_wait(struct fixture *f, uint64_t base, uint64_t rev)
{
	struct role_register reg = { .rev = rev, .wid = "web-1.i.OWN.7" };

	str_copy(reg.holder, sizeof(reg.holder), f->node);
	unsigned int wrote = f->told[0].wrote;
	lease_write(f->lease, 0, base, &reg, 2000);
	return wait_count(f, &f->told[0].wrote, wrote + 1, LIMIT_MS);
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

/* Whether one may be made is this host's own question: for that Consul is not asked again and
 * again, and it may as well hang. */
static void
test_first_awaited(void)
{
	struct fixture f;

	set_up(&f, "awaited", 1);
	f.began += 3600 * 1000;
	start(&f, "i1");
	lease_read(f.lease, 0);
	CU_ASSERT_TRUE(wait_count(&f, &f.asked, 1, LIMIT_MS));
	consul_server_freeze(server);
	CU_ASSERT_TRUE(wait_count(&f, &f.asked, f.asked + 3, 1000));
	consul_server_thaw(server);
	f.began -= 3600 * 1000;
	f.count = 1;
	CU_ASSERT_TRUE(until(f.loop, is_read, &f, LIMIT_MS));
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

struct script {
	struct scripted *server;
	int status; /* writes are refused ... */
	const char *why;
	unsigned int writes;
};

/* There is no register, and none may be written. */
static void
on_asked(void *arg, const char *request, struct scripted_call *call)
{
	struct script *script = arg;

	if (strstr(request, "\"cas\"") != NULL) {
		script->writes++;
		scripted_answer(call, script->status, "", script->why);
	} else if (strstr(request, "\"get-tree\"") != NULL) {
		scripted_answer(call, 200, "", "{\"Results\":[],\"Errors\":null}");
	} else {
		scripted_answer(
		    call, strstr(request, "?consistent") ? 404 : 500, "", "");
	}
}

static void
set_up_script(struct fixture *f, struct script *script)
{
	set_up(f, "refused", 1);
	script->server = scripted_new(f->loop, on_asked, script);
	consul_free(f->consul);
	free(f->conf.consul.address);
	f->conf.consul.address = xstrdup(scripted_address(script->server));
	f->consul = consul_new(f->loop, &f->conf.consul);
}

/* How often a register that is not there is tried to be made, by who looks 20 times a second. */
static void
expect_inits(struct fixture *f, const struct script *script)
{
	int64_t began = clock_boot_ms();

	for (int i = 0; i < 30; i++) {
		lease_read(f->lease, 0);
		run_for(f->loop, 50);
	}
	CU_ASSERT_TRUE(script->writes >= 1);
	CU_ASSERT_TRUE((script->writes - 1) * 990 <= clock_boot_ms() - began);
}

/* Whoever decides tries again when he hears that a write came to nothing: a host that may not
 * write is told late. But a token may only be so new that not all servers know it. */
static void
test_refused(void)
{
	static const struct {
		int status;
		const char *why;
		bool late;
	} rows[] = {
		{ 403, "Permission denied", true },
		{ 409, "Permission denied", true },
		{ 403, "ACL not found", false },
		{ 409, "index is stale", false },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct script script = { .status = rows[i].status, .why = rows[i].why };
		struct fixture f;
		int64_t began;

		set_up_script(&f, &script);
		start(&f, "i1");
		if (i == 0)
			expect_inits(&f, &script);
		began = clock_boot_ms();
		int writes = rows[i].late ? 1 : 3;
		for (int n = 0; n < writes; n++)
			CU_ASSERT_TRUE(write_and_wait(&f, 0, 1) && !f.told[0].wrote_ok);
		CU_ASSERT_EQUAL(clock_boot_ms() - began >= writes * 990, rows[i].late);
		/* and one that waits ends with its owner */
		lease_write(f.lease, 0, 0, &(struct role_register){ .wid = "w" }, 2000);
		run_for(f.loop, 100);
		lease_free(f.lease);
		f.lease = NULL;
		consul_free(f.consul);
		f.consul = NULL;
		scripted_free(script.server);
		tear_down(&f);
	}
}

/* ---- an operator's request ---- */

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
	CU_ASSERT_TRUE(wait_count(&f, &f.told[0].switchovers, 1, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(f.told[0].to, "web-2");
	lease_present(f.lease, 0, false); /* more news, the same request */
	CU_ASSERT_TRUE(wait_candidate(&f, "\"ready\":false"));
	CU_ASSERT_EQUAL(f.told[0].switchovers, 1);
	lease_switchover(f.lease, 0, "");
	CU_ASSERT_TRUE(wait_count(&f, &f.told[0].switchovers, 2, LIMIT_MS));
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
	{ "whether it may is asked here, not of Consul", test_first_awaited },
	{ "a register that was there once is not made again", test_missing },
	{ "a write needs the right index", test_write },
	{ "many roles are read at once", test_many },
	{ "what cannot be read is left alone", test_unreadable },
	{ "a Consul that hangs", test_frozen },
	{ "a token that may see nothing", test_denied },
	{ "a token that may not write is in no hurry", test_refused },
	{ "a pause is for all to see", test_pause },
	{ "an operator's request is told once", test_switchover },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "lease", cases, ARRAY_LENGTH(cases), &server);
}
