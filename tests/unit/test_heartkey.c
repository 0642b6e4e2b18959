/* SPDX-License-Identifier: ISC */
/*
 * The key of heartbeats, against a real Consul and in a file: all hosts get the same one,
 * a rotation leaves no moment at which one signs what another does not take, a kept one
 * serves without Consul, and data that is lost comes back.
 */
#include "agent/failover/heartkey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "tests/unit/consul_server.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000
#define AGENTS 3
#define KV "/v1/kv/lictor/heartbeat-key"

static struct consul_server *server;

struct host {
	struct fixture *f;
	struct conf conf;
	struct heartkey *heartkey;
	char state_dir[64];
	struct heartkeys keys;
	unsigned int told;
};

struct fixture {
	struct loop *loop;
	struct consul *consul;
	struct conf conf;
	struct host hosts[AGENTS];
	size_t running;
	unsigned int looks;
	unsigned int torn; /* one signed what another did not take */
	struct heartkeys wanted;
};

static bool
takes(const struct heartkeys *keys, const uint8_t key[MAC_KEY_SIZE])
{
	for (size_t i = 0; i < keys->count; i++) {
		if (memcmp(keys->keys[i], key, MAC_KEY_SIZE) == 0)
			return true;
	}
	return false;
}

/* What each signs each other takes, at any time once all have one. */
static void
check_all(struct fixture *f)
{
	for (size_t i = 0; i < f->running; i++) {
		if (f->hosts[i].keys.count == 0)
			return;
	}
	for (size_t i = 0; i < f->running; i++) {
		for (size_t k = 0; k < f->running; k++)
			f->torn += !takes(&f->hosts[k].keys, f->hosts[i].keys.keys[0]);
	}
}

static void
on_changed(void *arg, const struct heartkeys *keys)
{
	struct host *host = arg;

	host->keys = *keys;
	host->told++;
	check_all(host->f);
}

static void
start_host(struct fixture *f, size_t i)
{
	struct host *host = &f->hosts[i];

	host->f = f;
	host->conf = f->conf;
	host->keys = (struct heartkeys){ 0 };
	host->told = 0;
	host->heartkey = heartkey_new(f->loop, f->consul, &host->conf, host->state_dir,
	    &(struct heartkey_out){ on_changed, host });
	heartkey_start(host->heartkey);
	CU_ASSERT_EQUAL(host->told, 0);
}

static void
stop_host(struct fixture *f, size_t i)
{
	heartkey_free(f->hosts[i].heartkey);
	f->hosts[i].heartkey = NULL;
}

static void
open_fixture(struct fixture *f)
{
	*f = (struct fixture){ .running = AGENTS };
	f->loop = loop_new();
	f->conf.failover.heartbeats = true;
	f->conf.consul.address = xstrdup(consul_server_address(server));
	f->consul = consul_new(f->loop, &f->conf.consul);
	for (size_t i = 0; i < AGENTS; i++) {
		str_copy(f->hosts[i].state_dir, sizeof(f->hosts[i].state_dir),
		    "/tmp/heartkey.XXXXXX");
		CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->hosts[i].state_dir));
	}
}

static void
close_fixture(struct fixture *f)
{
	char empty[64];

	for (size_t i = 0; i < AGENTS; i++) {
		AUTO_FREE char *kept =
		    xasprintf("%s/heartbeat-key", f->hosts[i].state_dir);

		stop_host(f, i);
		unlink(kept);
		CU_ASSERT_EQUAL(rmdir(f->hosts[i].state_dir), 0);
	}
	consul_free(f->consul);
	free(f->conf.consul.address);
	loop_free(f->loop);
	consul_server_ask(server, "DELETE", KV, NULL, empty, sizeof(empty));
}

static bool
all_have(void *arg)
{
	const struct fixture *f = arg;

	for (size_t i = 0; i < f->running; i++) {
		if (f->hosts[i].keys.count == 0)
			return false;
	}
	return true;
}

static bool
is_kept(void *arg)
{
	const struct fixture *f = arg;
	struct stat st;

	for (size_t i = 0; i < f->running; i++) {
		AUTO_FREE char *kept =
		    xasprintf("%s/heartbeat-key", f->hosts[i].state_dir);

		if (stat(kept, &st) != 0)
			return false;
		CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	}
	return true;
}

static void
start_all(struct fixture *f)
{
	for (size_t i = 0; i < f->running; i++)
		start_host(f, i);
	CU_ASSERT_TRUE(until(f->loop, all_have, f, LIMIT_MS));
}

/* All at once: one makes it, and never another. */
static void
test_made_once(void)
{
	struct fixture f;

	open_fixture(&f);
	start_all(&f);
	CU_ASSERT_EQUAL(f.torn, 0);
	for (size_t i = 0; i < AGENTS; i++) {
		CU_ASSERT_EQUAL(f.hosts[i].keys.count, 1);
		CU_ASSERT_EQUAL(f.hosts[i].told, 1);
		CU_ASSERT_EQUAL(memcmp(&f.hosts[i].keys, &f.hosts[0].keys,
				    sizeof(struct heartkeys)),
		    0);
	}
	CU_ASSERT_TRUE(until(f.loop, is_kept, &f, LIMIT_MS));
	close_fixture(&f);
}

static bool
is_rotated(void *arg)
{
	const struct fixture *f = arg;

	for (size_t i = 0; i < f->running; i++) {
		const struct heartkeys *keys = &f->hosts[i].keys;

		if (keys->count != 2 ||
		    memcmp(keys->keys[1], f->wanted.keys[0], MAC_KEY_SIZE) != 0)
			return false;
	}
	return true;
}

/* The one that was asked does it; the others only hear of it. A second request meanwhile is
 * refused, and a reload changes nothing. */
static void
test_rotation(void)
{
	struct fixture f;
	char why[256] = "";
	int64_t began;

	open_fixture(&f);
	start_all(&f);
	f.wanted = f.hosts[0].keys;
	began = loop_now(f.loop);
	CU_ASSERT_EQUAL(heartkey_rotate(f.hosts[0].heartkey, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(
	    heartkey_rotate(f.hosts[0].heartkey, why, sizeof(why)), -EAGAIN);
	run_for(f.loop, 1000);
	heartkey_reload(f.hosts[0].heartkey, &f.hosts[0].conf);
	for (size_t i = 0; i < AGENTS; i++) {
		CU_ASSERT_EQUAL(f.hosts[i].keys.count, 2);
		CU_ASSERT_EQUAL(
		    memcmp(f.hosts[i].keys.keys[0], f.wanted.keys[0], MAC_KEY_SIZE), 0);
		CU_ASSERT_EQUAL(
		    heartkey_rotate(f.hosts[i].heartkey, why, sizeof(why)), -EALREADY);
	}
	CU_ASSERT_TRUE(until(f.loop, is_rotated, &f, LIMIT_MS));
	CU_ASSERT_TRUE(loop_now(f.loop) - began >= 10000);
	CU_ASSERT_TRUE(loop_now(f.loop) - began < 13000);
	CU_ASSERT_EQUAL(f.torn, 0);
	close_fixture(&f);
}

/* Who began a rotation is gone: another ends it. */
static void
test_rotation_left(void)
{
	struct fixture f;
	char why[256] = "";

	open_fixture(&f);
	start_all(&f);
	f.wanted = f.hosts[2].keys;
	CU_ASSERT_EQUAL(heartkey_rotate(f.hosts[2].heartkey, why, sizeof(why)), 0);
	run_for(f.loop, 500);
	stop_host(&f, 2);
	f.running = 2;
	CU_ASSERT_TRUE(until(f.loop, is_rotated, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.torn, 0);
	close_fixture(&f);
}

static bool
looks_thrice(void *arg)
{
	struct fixture *f = arg;

	f->looks += heartkey_look(f->hosts[0].heartkey);
	return f->looks == 3;
}

static bool
is_told_again(void *arg)
{
	const struct fixture *f = arg;

	return f->hosts[0].told == 2;
}

/* Anybody can sign with what is no key: Consul is asked for it after one second, two, four. A
 * new key is looked for at once again. */
static void
test_strangers(void)
{
	struct fixture f;
	char why[256] = "";
	int64_t began;

	open_fixture(&f);
	start_all(&f);
	began = loop_now(f.loop);
	CU_ASSERT_TRUE(until(f.loop, looks_thrice, &f, LIMIT_MS));
	CU_ASSERT_TRUE(loop_now(f.loop) - began >= 3000);
	CU_ASSERT_FALSE(heartkey_look(f.hosts[0].heartkey));
	CU_ASSERT_EQUAL(heartkey_rotate(f.hosts[0].heartkey, why, sizeof(why)), 0);
	CU_ASSERT_TRUE(until(f.loop, is_told_again, &f, LIMIT_MS));
	CU_ASSERT_TRUE(heartkey_look(f.hosts[0].heartkey));
	CU_ASSERT_FALSE(heartkey_look(f.hosts[0].heartkey));
	close_fixture(&f);
}

static bool
is_there(void *arg)
{
	char body[1024];

	return consul_server_ask(server, "GET", KV, NULL, body, sizeof(body)) == 200;
}

/* The key goes from Consul's data, and is put there again as it was. */
static void
test_lost(void)
{
	struct fixture f;
	char body[64];

	open_fixture(&f);
	start_all(&f);
	run_for(f.loop, 100);
	CU_ASSERT_EQUAL(
	    consul_server_ask(server, "DELETE", KV, NULL, body, sizeof(body)), 200);
	CU_ASSERT_TRUE(until(f.loop, is_there, &f, LIMIT_MS));
	run_for(f.loop, 300);
	for (size_t i = 0; i < AGENTS; i++)
		CU_ASSERT_EQUAL(f.hosts[i].told, 1);
	close_fixture(&f);
}

/* Consul is away, then hangs: what was kept is told all the same. */
static void
test_kept(void)
{
	struct fixture f;
	struct heartkeys before;

	open_fixture(&f);
	f.running = 1;
	start_all(&f);
	before = f.hosts[0].keys;
	stop_host(&f, 0); /* which waits for the disk */
	CU_ASSERT_TRUE(is_kept(&f));
	consul_server_freeze(server);
	start_host(&f, 0);
	CU_ASSERT_TRUE(until(f.loop, all_have, &f, 500));
	CU_ASSERT_EQUAL(memcmp(&f.hosts[0].keys, &before, sizeof(before)), 0);
	consul_server_thaw(server);
	run_for(f.loop, 500);
	CU_ASSERT_EQUAL(f.hosts[0].told, 1);
	close_fixture(&f);
}

/* What is no key of ours is passed over: the one before goes on. */
static void
test_garbage(void)
{
	static const char *const values[] = { "", "{", "[]", "{\"v\":1}",
		"{\"v\":2,\"sign\":\"00\",\"also\":\"\",\"rotating\":false}",
		"{\"v\":1,\"sign\":\"00\",\"also\":\"\",\"rotating\":false}" };
	struct fixture f;
	char body[64];

	open_fixture(&f);
	start_all(&f);
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
		CU_ASSERT_EQUAL(
		    consul_server_ask(server, "PUT", KV, values[i], body, sizeof(body)),
		    200);
		run_for(f.loop, 100);
		for (size_t k = 0; k < AGENTS; k++)
			CU_ASSERT_EQUAL(f.hosts[k].told, 1);
	}
	close_fixture(&f);
}

/* A token that may not: no key, and Consul goes on being asked. */
static void
test_denied(void)
{
	struct consul_server *open_one = server;
	struct fixture f;
	char why[256] = "";

	server = consul_server_start_strict();
	CU_ASSERT_PTR_NOT_NULL_FATAL(server);
	open_fixture(&f);
	f.running = 1;
	start_host(&f, 0);
	run_for(f.loop, 1000);
	CU_ASSERT_EQUAL(f.hosts[0].told, 0);
	CU_ASSERT_EQUAL(
	    heartkey_rotate(f.hosts[0].heartkey, why, sizeof(why)), -EAGAIN);
	close_fixture(&f);
	consul_server_stop(server);
	server = open_one;
}

/* ---- a file ---- */

#define KEY_A "0101010101010101010101010101010101010101010101010101010101010101"
#define KEY_B "aBCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789"

static void
write_key(const char *path, const char *text)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", path);
	AUTO_FCLOSE FILE *file = fopen(fresh, "we");

	fputs(text, file);
	CU_ASSERT_EQUAL(rename(fresh, path), 0);
}

static bool
has_two(void *arg)
{
	return ((struct fixture *)arg)->hosts[0].keys.count == 2;
}

static void
test_file(void)
{
	static const char *const bad[] = { "", "\n", "# none\n", "01\n", (KEY_A "0\n"),
		(KEY_A "\n" KEY_B "\n" KEY_A "\n"), (KEY_A "\nABCD\n"),
		("sign = " KEY_A) };
	struct fixture f;
	char why[256] = "";

	open_fixture(&f);
	f.running = 1;
	char *path = xasprintf("%s/key", f.hosts[0].state_dir);
	write_key(path, "# ours\n\n" KEY_A "\n");
	f.conf.failover.key_file = path;
	start_all(&f);
	CU_ASSERT_EQUAL(f.hosts[0].keys.count, 1);
	CU_ASSERT_EQUAL(f.hosts[0].keys.keys[0][31], 1);
	CU_ASSERT_EQUAL(
	    heartkey_rotate(f.hosts[0].heartkey, why, sizeof(why)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, path));
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		write_key(path, bad[i]);
		heartkey_reload(f.hosts[0].heartkey, &f.hosts[0].conf);
		run_for(f.loop, 30);
		CU_ASSERT_EQUAL(f.hosts[0].told, 1);
	}
	write_key(path, KEY_B " the new one\r\n" KEY_A);
	CU_ASSERT_TRUE(until(f.loop, has_two, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.hosts[0].keys.keys[0][0], 0xab);
	CU_ASSERT_EQUAL(f.hosts[0].keys.keys[1][0], 1);
	/* heartbeats are turned off */
	f.hosts[0].conf.failover.heartbeats = false;
	heartkey_reload(f.hosts[0].heartkey, &f.hosts[0].conf);
	run_for(f.loop, 30);
	CU_ASSERT_EQUAL(f.hosts[0].keys.count, 0);
	unlink(path);
	free(path);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "all get one key", test_made_once },
	{ "a rotation tears nothing", test_rotation },
	{ "a rotation is ended by another", test_rotation_left },
	{ "strangers make ever fewer looks", test_strangers },
	{ "a key that is lost comes back", test_lost },
	{ "a kept key serves without Consul", test_kept },
	{ "what is no key", test_garbage },
	{ "no permission", test_denied },
	{ "a key in a file", test_file },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "heartkey", cases, ARRAY_LENGTH(cases), &server);
}
