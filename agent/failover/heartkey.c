/* SPDX-License-Identifier: ISC */
/*
 * The key of the heartbeats, from one of two places: an operator's file, which is read in
 * heartkey_file.c, or Consul's KV. There, in lictor/heartbeat-key, it is made by whoever finds
 * none (with cas 0, so all get the same) and watched; what it said is kept in the state
 * folder.
 *
 * A rotation has two writes: {sign: old, also: new, rotating}, and when all have had time
 * to hear of it, {sign: new, also: old}. All take both keys throughout, so nothing that
 * anybody signs is lost. The second write is done by who began it; if it is not there,
 * by another. Nobody safe rests on the key's being secret for ever: who has it can keep a
 * master in place or an address away, and no more.
 *
 * peers is told the keys and signs; this owns their place.
 */
#include "agent/failover/heartkey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/keeper.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/same.h"
#include "agent/consul/consul.h"
#include "agent/consul/watch.h"
#include "agent/failover/heartkey_file.h"
#include "agent/failover/heartkey_text.h"
#include "agent/failover/kv.h"

#define KEY "lictor/heartbeat-key"
#define PATH "/v1/kv/" KEY
#define WAIT_MS (5 * 60 * 1000)
#define CALL_MS 5000
#define MAKE_MS 3000 /* between two tries to make it */
/* Between two looks for a key that somebody signs with: anybody can say that he does, so that
 * looks without a find are twice as far apart each time. */
#define LOOK_MS 1000
#define LOOK_MAX_MS (64 * LOOK_MS)
#define FILE_MS 2000
#define ROTATE_MS 10000
#define ROTATE_OTHER_MS 13000 /* and up to three seconds more */
#define TEXT_MAX 1024

struct heartkey {
	struct loop *loop;
	struct consul *consul;
	const struct conf *conf;
	struct heartkey_out out;
	char *kept; /* the path of the file that keeps it */
	struct keeper *keeper;
	bool started;
	bool on; /* as the configuration had it when it was begun */
	struct heartkey_file file; /* its path NULL: the KV */
	struct loop_timer *timer; /* begins, reads the file, goes on with a rotation */
	struct watch *watch;
	struct consul_call *call;
	struct heartkey_record record;
	struct heartkey_record
	    saved; /* the newest that is to be kept, whatever came since */
	uint64_t index; /* of the record; 0: Consul has not shown it */
	bool asked; /* by an operator here for the rotation that goes on */
	bool refused, late; /* said */
	bool missing; /* from Consul's data */
	int64_t made_at, looked_at; /* 0: not yet */
	int64_t look_ms; /* until the next look */
	int64_t rotate_at; /* when the second write is due */
	struct heartkeys told;
};

static void
tell(struct heartkey *heartkey)
{
	const struct heartkeys *keys = &heartkey->record.keys;

	if (memcmp(keys, &heartkey->told, sizeof(*keys)) == 0)
		return;
	heartkey->told = *keys;
	heartkey->look_ms = 0;
	heartkey->out.changed(heartkey->out.arg, keys);
}

static void
make_key(uint8_t key[MAC_KEY_SIZE])
{
	for (size_t i = 0; i < MAC_KEY_SIZE; i += sizeof(uint64_t)) {
		uint64_t bits = random_u64();

		memcpy(key + i, &bits, sizeof(bits));
	}
}

/* ---- from Consul ---- */

static void
fill_text(void *arg, struct buf *out)
{
	struct heartkey *heartkey = arg;
	AUTO_FREE char *text = heartkey_print(&heartkey->saved);

	buf_printf(out, "%s\n", text);
	mac_wipe(text, strlen(text));
}

static void
on_judged(void *arg, int err)
{
	struct heartkey *heartkey = arg;

	if (err != 0)
		log_warning(
		    "peer", "%s cannot be written: %s", heartkey->kept, strerror(-err));
}

static void
read_kept(struct heartkey *heartkey)
{
	struct buf text = { .limit = TEXT_MAX };

	if (keeper_read(heartkey->kept, &text) == 0 && text.len > 0) {
		AUTO_JSON cJSON *json = json_parse(text.data, text.len);

		if (heartkey_parse(json, &heartkey->record))
			tell(heartkey);
	}
	if (text.data != NULL)
		mac_wipe(text.data, text.len);
	buf_free(&text);
}

static void
put(struct heartkey *heartkey, const struct heartkey_record *record, uint64_t index,
    consul_done_fn *done)
{
	AUTO_FREE char *text = heartkey_print(record);
	char path[64];
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = "PUT",
		.path = path,
		.text = text,
		.timeout_ms = CALL_MS,
	};

	snprintf(path, sizeof(path), PATH "?cas=%" PRIu64, index);
	heartkey->call = consul_send(heartkey->consul, &request, done, heartkey);
	mac_wipe(text, strlen(text));
}

/* Of a token that Consul knows: another passes. */
static bool
is_refused(const struct consul_reply *reply)
{
	return reply->result == CONSUL_DENIED && !consul_token_unknown(reply);
}

static void
say_refused(
    struct heartkey *heartkey, const struct consul_reply *reply, const char *may)
{
	if (!is_refused(reply) || heartkey->refused)
		return;
	heartkey->refused = true;
	log_error("peer",
	    "Consul does not let this host %s the key of heartbeats, because %s (it "
	    "needs key \"" KEY "\" write): %s",
	    may, reply->why,
	    heartkey->told.count > 0 ? "the key that it said before goes on"
				     : "there are no heartbeats until it does");
}

static void
on_made(void *arg, const struct consul_reply *reply)
{
	struct heartkey *heartkey = arg;

	heartkey->call = NULL;
	say_refused(heartkey, reply, "make");
	if (reply->result == CONSUL_OK && cJSON_IsTrue(reply->json))
		log_notice("peer", "a key of heartbeats is made: " KEY " in Consul");
	if (reply->result == CONSUL_OK)
		watch_again(heartkey->watch);
	else
		loop_timer_after(heartkey->timer, MAKE_MS);
}

/* If Consul's data was lost, the key that all have is put back. */
static void
make(struct heartkey *heartkey)
{
	int64_t now = loop_now(heartkey->loop);
	struct heartkey_record record = heartkey->record;

	heartkey->index = 0;
	heartkey->missing = true;
	if (heartkey->call != NULL ||
	    (heartkey->made_at != 0 && now - heartkey->made_at < MAKE_MS)) {
		loop_timer_after(heartkey->timer, MAKE_MS);
		return;
	}
	heartkey->made_at = now;
	record.rotating = false;
	if (record.keys.count == 0) {
		record.keys.count = 1;
		make_key(record.keys.keys[0]);
	}
	put(heartkey, &record, 0, on_made);
	mac_wipe(&record, sizeof(record));
}

static void
rotate_in(struct heartkey *heartkey, int64_t delay_ms)
{
	heartkey->rotate_at = loop_now(heartkey->loop) + delay_ms;
	loop_timer_at(heartkey->timer, heartkey->rotate_at);
}

static void
take(struct heartkey *heartkey, const cJSON *entry)
{
	AUTO_JSON cJSON *json = kv_json(entry);
	struct heartkey_record record;
	uint64_t index;

	if (!json_get_uint(entry, "ModifyIndex", &index) || index == heartkey->index)
		return;
	heartkey->index = index;
	if (!heartkey_parse(json, &record)) {
		log_error("peer",
		    KEY " in Consul is no key that this version knows: %s",
		    heartkey->told.count > 0 ? "the one before goes on"
					     : "there are no heartbeats");
		return;
	}
	heartkey->record = heartkey->saved = record;
	keeper_save(heartkey->keeper);
	tell(heartkey);
	if (record.rotating)
		rotate_in(heartkey,
		    heartkey->asked ? ROTATE_MS
				    : ROTATE_OTHER_MS + (int64_t)(random_u64() % 3000));
	else
		heartkey->asked = heartkey->late = false;
}

static void
on_news(void *arg, const struct consul_reply *reply)
{
	struct heartkey *heartkey = arg;

	if (reply->result == CONSUL_NOT_FOUND) {
		make(heartkey);
		return;
	}
	if (heartkey->refused)
		log_notice("peer", "Consul says the key of heartbeats again");
	heartkey->refused = heartkey->missing = false;
	take(heartkey, cJSON_GetArrayItem(reply->json, 0));
}

static void
on_trouble(void *arg, const struct consul_reply *reply)
{
	say_refused(arg, reply, "read");
}

/* ---- rotation ---- */

static void
on_rotated(void *arg, const struct consul_reply *reply)
{
	struct heartkey *heartkey = arg;
	bool done = reply->result == CONSUL_OK && cJSON_IsTrue(reply->json);

	heartkey->call = NULL;
	if (done)
		log_notice("peer", "the new key of heartbeats signs");
	else if (heartkey->asked && !heartkey->late)
		log_warning("peer", "the new key of heartbeats does not sign yet: %s",
		    reply->result == CONSUL_OK ? "somebody else wrote " KEY
					       : reply->why);
	heartkey->late = !done && heartkey->asked;
	watch_again(heartkey->watch);
	if (!done)
		rotate_in(heartkey, ROTATE_MS);
}

/* All have had time to hear of the new key. */
static void
finish_rotation(struct heartkey *heartkey)
{
	struct heartkey_record record = heartkey->record;

	if (!record.rotating || heartkey->index == 0)
		return;
	if (heartkey->call != NULL || loop_now(heartkey->loop) < heartkey->rotate_at) {
		loop_timer_after(heartkey->timer, LOOK_MS);
		return;
	}
	record.rotating = false;
	memcpy(record.keys.keys[0], heartkey->record.keys.keys[1], MAC_KEY_SIZE);
	memcpy(record.keys.keys[1], heartkey->record.keys.keys[0], MAC_KEY_SIZE);
	put(heartkey, &record, heartkey->index, on_rotated);
	mac_wipe(&record, sizeof(record));
}

static void
on_begun(void *arg, const struct consul_reply *reply)
{
	struct heartkey *heartkey = arg;

	heartkey->call = NULL;
	if (reply->result == CONSUL_OK && cJSON_IsTrue(reply->json)) {
		log_notice("peer",
		    "there is a new key of heartbeats: all hosts take it, and in %d s "
		    "it signs",
		    ROTATE_MS / 1000);
	} else {
		heartkey->asked = false;
		log_warning("peer", "the key of heartbeats is not changed: %s",
		    reply->result == CONSUL_OK ? "somebody else wrote " KEY
					       : reply->why);
	}
	watch_again(heartkey->watch);
}

int
heartkey_rotate(struct heartkey *heartkey, char *why, size_t why_size)
{
	struct heartkey_record record = heartkey->record;

	if (!heartkey->on) {
		str_copy(why, why_size, "heartbeats are off");
		return -ENOENT;
	}
	if (heartkey->file.path != NULL) {
		snprintf(why, why_size,
		    "the key is in %.200s: write the new one on its second line on all "
		    "hosts, then change the lines",
		    heartkey->file.path);
		return -EINVAL;
	}
	if (heartkey->index == 0 || heartkey->call != NULL) {
		str_copy(why, why_size, "Consul has not said the key yet");
		return -EAGAIN;
	}
	if (record.rotating) {
		str_copy(why, why_size, "the key is being changed already");
		return -EALREADY;
	}
	record.rotating = true;
	record.keys.count = 2;
	make_key(record.keys.keys[1]);
	heartkey->asked = true;
	put(heartkey, &record, heartkey->index, on_begun);
	mac_wipe(&record, sizeof(record));
	return 0;
}

bool
heartkey_look(struct heartkey *heartkey)
{
	int64_t now = loop_now(heartkey->loop), since = now - heartkey->looked_at;

	if (heartkey->watch == NULL || since < heartkey->look_ms)
		return false;
	if (heartkey->look_ms == 0 || since >= 2 * LOOK_MAX_MS)
		heartkey->look_ms = LOOK_MS;
	else if (heartkey->look_ms < LOOK_MAX_MS)
		heartkey->look_ms *= 2;
	heartkey->looked_at = now;
	watch_again(heartkey->watch);
	return true;
}

/* ---- life ---- */

static void
end(struct heartkey *heartkey)
{
	consul_cancel(heartkey->call);
	heartkey->call = NULL;
	watch_free(heartkey->watch);
	heartkey->watch = NULL;
	heartkey_file_close(&heartkey->file);
	heartkey->record = (struct heartkey_record){ 0 };
	heartkey->index = 0;
	heartkey->asked = heartkey->refused = heartkey->late = false;
	heartkey->missing = false;
	heartkey->made_at = heartkey->looked_at = heartkey->look_ms = 0;
}

static void
begin(struct heartkey *heartkey)
{
	static const struct watch_way way = { .wait_ms = WAIT_MS };
	const struct conf_failover *conf = &heartkey->conf->failover;

	end(heartkey);
	heartkey->on = conf->heartbeats;
	if (!heartkey->on) {
		tell(heartkey);
		return;
	}
	if (conf->key_file != NULL) {
		heartkey->file.path = xstrdup(conf->key_file);
		return;
	}
	read_kept(heartkey);
	heartkey->watch = watch_new(heartkey->loop, heartkey->consul, PATH, &way,
	    &(struct watch_out){ on_news, on_trouble, heartkey });
}

static void
on_timer(void *arg)
{
	struct heartkey *heartkey = arg;
	const struct conf_failover *conf = &heartkey->conf->failover;

	if (heartkey->on != conf->heartbeats ||
	    !same_text(heartkey->file.path, conf->key_file) ||
	    (heartkey->on && heartkey->file.path == NULL && heartkey->watch == NULL))
		begin(heartkey);
	if (heartkey->file.path != NULL) {
		if (heartkey_file_read(&heartkey->file, heartkey->told.count > 0,
			&heartkey->record.keys))
			tell(heartkey);
		loop_timer_after(heartkey->timer, FILE_MS);
	} else if (heartkey->missing) {
		make(heartkey);
	} else {
		finish_rotation(heartkey);
	}
}

struct heartkey *
heartkey_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const char *state_dir, const struct heartkey_out *out)
{
	struct heartkey *heartkey = xcalloc(1, sizeof(*heartkey));

	heartkey->loop = loop;
	heartkey->consul = consul;
	heartkey->conf = conf;
	heartkey->out = *out;
	heartkey->kept = xasprintf("%s/heartbeat-key", state_dir);
	heartkey->keeper = keeper_new(loop, heartkey->kept,
	    &(struct keeper_out){ fill_text, on_judged, heartkey });
	heartkey->timer = loop_timer_new(loop, on_timer, heartkey);
	return heartkey;
}

void
heartkey_start(struct heartkey *heartkey)
{
	heartkey->started = true;
	loop_timer_after(heartkey->timer, 0);
}

void
heartkey_reload(struct heartkey *heartkey, const struct conf *next)
{
	heartkey->conf = next;
	if (heartkey->started)
		loop_timer_after(heartkey->timer, 0);
}

void
heartkey_free(struct heartkey *heartkey)
{
	if (heartkey == NULL)
		return;
	end(heartkey);
	keeper_free(heartkey->keeper);
	loop_timer_free(heartkey->timer);
	free(heartkey->kept);
	mac_wipe(heartkey, sizeof(*heartkey));
	free(heartkey);
}
