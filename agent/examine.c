/* SPDX-License-Identifier: ISC */
/*
 * What `lictord -t` answers about a configuration that has no fault: for people, or as JSON
 * for whoever tests with it. It starts nothing and changes nothing. What may not go well
 * on this host is said once at a start, too.
 */
#include "agent/examine.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/json.h"
#include "agent/base/keeper.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/mac.h"
#include "agent/base/util.h"
#include "agent/conf/budget.h"
#include "agent/conf/conf.h"
#include "agent/conf/host.h"
#include "agent/consul/consul.h"
#include "agent/consul/self.h"
#include "agent/failover/doubt.h"
#include "agent/failover/heartkey_text.h"
#include "checks/builtin.h"

#define CONSUL_MS 1500
#define LOOK_MS 20
#define KEY_FILE_MAX 1024

static const char *
plural(size_t count)
{
	return count == 1 ? "" : "s";
}

void
examine_count(const struct conf *conf, char *out, size_t size)
{
	snprintf(out, size, "%zu service%s, %zu check%s, %zu role%s", conf->n_services,
	    plural(conf->n_services), conf->n_checks, plural(conf->n_checks),
	    conf->n_roles, plural(conf->n_roles));
}

/* Which kind `auto` is, only a start finds out. */
static void
name_fence(const struct conf *conf)
{
	static const char *const names[] = { [CONF_FENCE_AUTO] = "auto",
		[CONF_FENCE_BPF] = "bpf",
		[CONF_FENCE_LIFETIME] = "lifetime" };
	long long bpf = (long long)conf_lease(conf, true);
	long long lifetime = (long long)conf_lease(conf, false);

	if (conf->n_roles == 0)
		return;
	printf("fence %s: ", names[conf->fence]);
	if (conf->fence == CONF_FENCE_AUTO && conf_has_bpf())
		printf("bpf if this host can have it, with a lease of %lld ms, else "
		       "lifetime, with %lld ms\n",
		    bpf, lifetime);
	else
		printf("a lease of %lld ms\n",
		    conf->fence == CONF_FENCE_BPF ? bpf : lifetime);
}

/* What is no fault, but will not go well on this host; of each kind the first one. */
static void
doubt_checks(const struct conf *conf, const struct doubt_out *out)
{
	char why[CONF_ERROR_MAX], label[CONF_LABEL_MAX];
	struct host host;

	host_begin(&host);
	for (size_t i = 0; i < conf->n_checks; i++) {
		const struct conf_check *check = conf->checks[i];
		if (check->class != &check_icmp_class ||
		    host_check_ping(&host, why, sizeof(why)) == 0)
			continue;
		conf_check_label(check, label);
		AUTO_FREE char *line = xasprintf("check %s: %s", label, why);
		out->say(out->arg, line);
		break;
	}
	host_end(&host);
}

/* A start says so when it reads it: an agent goes on without, for the file may change. */
static void
doubt_key(const struct conf *conf, const struct doubt_out *out)
{
	const char *path = conf->failover.key_file;
	struct buf text = { .limit = KEY_FILE_MAX };
	struct heartkeys keys;

	if (path == NULL || !conf->failover.heartbeats || conf->n_roles == 0)
		return;
	int err = keeper_read(path, &text);
	if (err != 0 || text.len == 0 || !heartkey_parse_file(text.data, &keys)) {
		AUTO_FREE char *line =
		    xasprintf("key-file %s: one or two keys of 64 hexadecimal digits, "
			      "each on a line, are expected: there are no heartbeats "
			      "without it",
			path);
		out->say(out->arg, line);
	}
	mac_wipe(&keys, sizeof(keys));
	if (text.data != NULL)
		mac_wipe(text.data, text.len);
	buf_free(&text);
}

/* ---- what Consul's agent says ---- */

struct question {
	const struct conf *conf;
	const struct doubt_out *out;
	struct loop *loop;
	struct consul *consul;
	struct loop_timer *look;
};

static void
on_known(void *arg, const struct self_facts *facts)
{
	struct question *question = arg;

	doubt_consul(question->conf, facts, question->out);
	loop_stop(question->loop);
}

/* One that does not answer is not waited for. */
static void
on_look(void *arg)
{
	struct question *question = arg;

	if (consul_reachable(question->consul))
		loop_timer_after(question->look, LOOK_MS);
	else
		loop_stop(question->loop);
}

static void
on_limit(void *arg)
{
	struct question *question = arg;

	loop_stop(question->loop);
}

static void
ask_consul(const struct conf *conf, const struct doubt_out *out)
{
	struct question question = { .conf = conf, .out = out, .loop = loop_new() };
	struct self_out self_out = { on_known, &question };
	struct loop_timer *limit = loop_timer_new(question.loop, on_limit, &question);

	question.look = loop_timer_new(question.loop, on_look, &question);
	question.consul = consul_new(question.loop, &conf->consul);
	struct self *self = self_new(
	    question.loop, question.consul, conf->consul.datacenter, NULL, &self_out);
	loop_timer_after(limit, CONSUL_MS);
	loop_timer_after(question.look, LOOK_MS);
	loop_run(question.loop);
	self_free(self);
	consul_free(question.consul);
	loop_timer_free(question.look);
	loop_timer_free(limit);
	loop_free(question.loop);
}

/* ---- all of it ---- */

static void
doubt_all(const struct conf *conf, const struct doubt_out *out)
{
	doubt_checks(conf, out);
	doubt_key(conf, out);
	doubt_conf(conf, out);
	doubt_host(conf, out);
	if (conf->n_roles > 0)
		ask_consul(conf, out);
}

static void
say_line(void *arg, const char *line)
{
	fprintf(stderr, "warning: %s\n", line);
}

static void
say_json(void *arg, const char *line)
{
	cJSON_AddItemToArray(arg, cJSON_CreateString(line));
}

static void
say_log(void *arg, const char *line)
{
	log_warning("conf", "%s", line);
}

static void
examine_json(const struct conf *conf)
{
	cJSON *answer AUTO_JSON = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", true);
	json_add_uint(answer, "services", conf->n_services);
	json_add_uint(answer, "checks", conf->n_checks);
	json_add_uint(answer, "roles", conf->n_roles);
	cJSON_AddItemToObject(answer, "budgets", conf_budget_json(conf));
	struct doubt_out out = { say_json, cJSON_AddArrayToObject(answer, "warnings") };
	doubt_all(conf, &out);
	AUTO_FREE char *text = json_print(answer);
	puts(text);
}

void
examine(const struct conf *conf, bool json)
{
	static const struct doubt_out out = { say_line, NULL };
	char things[96];

	if (json) {
		examine_json(conf);
		return;
	}
	doubt_all(conf, &out);
	examine_count(conf, things, sizeof(things));
	printf("configuration ok: %s\n", things);
	name_fence(conf);
	conf_budget_print(stdout, conf);
}

void
examine_host(const struct conf *conf)
{
	static const struct doubt_out out = { say_log, NULL };

	doubt_conf(conf, &out);
	doubt_host(conf, &out);
}
