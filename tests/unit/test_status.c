/* SPDX-License-Identifier: ISC */
/* The status object, drawn from the real modules of a configuration of which nothing has
 * run yet: every member that lictorctl(1) names is there, and of the type that it says. */
#include "agent/status/status.h"

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/report.h"
#include "agent/consul/upkeep.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "agent/health/service.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char lictor_conf[] = "tcp \"uplink\" { address = \"127.0.0.1:1\" }\n"
				  "ttl \"job\" { ttl = 10s  window = 1\n"
				  "  error-rate-warning = 100  flap-threshold = 0 }\n"
				  "tcp \"slow\" { address = \"127.0.0.1:1\"\n"
				  "  latency-warning = 1s }\n"
				  "service \"web\" {\n"
				  "  port = 80\n"
				  "  tcp \"port\" { address = \"127.0.0.1:80\" }\n"
				  "}\n"
				  "service \"idle\" {}\n"
				  "role \"web\" {\n"
				  "  services = {\"web\"}\n"
				  "  priority = 70\n"
				  "  vip \"192.0.2.9\" { interface = \"eth0\" }\n"
				  "}\n";

static struct conf *
make_conf(void)
{
	char dir[] = "/tmp/lictor-test-XXXXXX", error[CONF_ERROR_MAX] = "";

	CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
	char *path AUTO_FREE = xasprintf("%s/lictor.conf", dir);
	FILE *file = fopen(path, "w");
	CU_ASSERT_FATAL(file != NULL);
	fputs(lictor_conf, file);
	fclose(file);
	struct conf_bundle *bundle = conf_read(dir, error);
	struct conf *conf = bundle != NULL ? conf_parse(bundle, error) : NULL;
	unlink(path);
	rmdir(dir);
	CU_ASSERT_STRING_EQUAL(error, "");
	return conf;
}

/* News that this test is not about. */
static void
no_check(void *arg, const struct conf_check *check, const struct sched_state *state)
{
}

static void
no_command(void *arg, uint64_t run, const struct conf_check *check, int64_t timeout_ms)
{
}

static void
no_kill(void *arg, uint64_t run)
{
}

static void
no_verdict(void *arg, const struct conf_service *service,
    const struct service_verdict *verdict)
{
}

static void
no_adopt(void *arg, const struct conf_check *check, enum check_status status,
    const char *output)
{
}

static void
nothing(void *arg)
{
}

static void
no_ours(void *arg, const struct conf_service *service, bool on, const char *reason)
{
}

static void
no_maintenance(void *arg, const struct conf_service *service, const char *why)
{
}

/* "web" in ours and in Consul's, the host in Consul's. The file cannot be written. */
static struct upkeep *
make_upkeep(struct loop *loop, const struct conf *conf)
{
	static const struct upkeep_clock clock = { clock_boot_ms, clock_wall_ms };
	struct upkeep_out out = { no_ours, no_maintenance, NULL };
	struct upkeep *upkeep =
	    upkeep_new(loop, conf, "/nonexistent/maintenance", &clock, &out);

	upkeep_begin(upkeep, conf->services[0], 3600000, "new disk", "alice");
	upkeep_consul(upkeep, conf->services[0], true, "by hand");
	upkeep_consul(upkeep, NULL, true, "");
	return upkeep;
}

/* The status of a host whose node name is `node`, and nothing else has happened. */
static cJSON *
draw(const char *node)
{
	struct sched_out sched = { no_check, no_check, no_command, no_kill, NULL };
	struct services_out services = { no_verdict, NULL };
	struct report_out report = {
		.adopt = no_adopt,
		.adopted = nothing,
		.stopped = nothing,
	};
	struct wire_fence_kind fence = {
		.kind = WIRE_FENCE_LIFETIME, .ok = 1, .why = "there is no clang"
	};
	struct status_sources from = {
		.conf = make_conf(), .node = node, .fence = &fence
	};
	struct loop *loop = loop_new();

	CU_ASSERT_FATAL(from.conf != NULL);
	struct consul *consul = consul_new(loop, &from.conf->consul);
	struct run_servants servants = { .loop = loop };
	struct sched *s = sched_new(&servants, from.conf, &sched);
	struct services *v = services_new(from.conf, &services);
	struct report *r = report_new(loop, consul, from.conf, &report);
	from.consul = consul;
	from.sched = s;
	from.services = v;
	from.report = r;
	struct upkeep *u = make_upkeep(loop, from.conf);
	from.upkeep = u;
	sched_start(s);
	sched_report(s, 1, CHECK_CRITICAL, "it failed");
	cJSON *status = status_json(&from);
	upkeep_free(u);
	report_free(r);
	services_free(v);
	sched_free(s);
	consul_free(consul);
	loop_free(loop);
	conf_free((struct conf *)from.conf);
	return status;
}

/* "roles.0.vips.0.address" in the object, or NULL; places in lists have one digit. */
static const cJSON *
at(const cJSON *json, const char *path)
{
	char *copy AUTO_FREE = xstrdup(path), *rest = copy, *part;

	while (json != NULL && (part = strsep(&rest, ".")) != NULL)
		json = cJSON_IsArray(json)
		    ? cJSON_GetArrayItem(json, part[0] - '0')
		    : cJSON_GetObjectItemCaseSensitive(json, part);
	return json;
}

static const struct {
	const char *path, *text; /* as JSON */
} members[] = {
	{ "version", "\"" PACKAGE_VERSION "\"" },
	{ "node", "\"web-1\"" },
	{ "consul.address", "\"http://127.0.0.1:8500\"" },
	{ "consul.in_sync", "false" },
	{ "fence.kind", "\"lifetime\"" },
	{ "fence.ok", "true" },
	{ "fence.why", "\"there is no clang\"" },
	{ "fence.lease_ms", "2250" },
	{ "fence.late_ms", "1500" },
	{ "maintenance.kept", "false" },
	{ "maintenance.list.0.service", NULL },
	{ "maintenance.list.0.by", "\"consul\"" },
	{ "maintenance.list.0.reason", "\"\"" },
	{ "maintenance.list.0.who", NULL },
	{ "maintenance.list.0.until", NULL },
	{ "maintenance.list.1.service", "\"web\"" },
	{ "maintenance.list.1.by", "\"lictor\"" },
	{ "maintenance.list.1.reason", "\"new disk\"" },
	{ "maintenance.list.1.who", "\"alice\"" },
	{ "maintenance.list.2.service", "\"web\"" },
	{ "maintenance.list.2.by", "\"consul\"" },
	{ "maintenance.list.2.reason", "\"by hand\"" },
	{ "maintenance.list.3", NULL },
	{ "roles.0.name", "\"web\"" },
	{ "roles.0.priority", "70" },
	{ "roles.0.state", "\"backup\"" },
	{ "roles.0.ready", "\"unknown\"" },
	{ "roles.0.services.0", "\"web\"" },
	{ "roles.0.vips.0.address", "\"192.0.2.9\"" },
	{ "roles.0.vips.0.prefix", "32" },
	{ "roles.0.vips.0.interface", "\"eth0\"" },
	{ "roles.0.vips.0.held", "false" },
	{ "services.0.name", "\"web\"" },
	{ "services.0.id", "\"web\"" },
	{ "services.0.known", "false" },
	{ "services.0.role", "\"web\"" },
	{ "services.0.checks.0.name", "\"port\"" },
	{ "services.0.checks.0.type", "\"tcp\"" },
	{ "services.0.checks.0.status", "\"critical\"" },
	{ "services.0.checks.0.known", "false" },
	{ "services.0.checks.0.runs", "0" },
	{ "services.0.checks.0.interval_ms", "2000" },
	{ "services.1.status", "\"passing\"" },
	{ "services.1.known", "true" },
	{ "services.1.checks", "[]" },
	{ "checks.0.name", "\"uplink\"" },
	{ "checks.0.flapping", "false" },
	{ "checks.0.flap_percent", "0" },
	{ "checks.0.error_percent", NULL },
	{ "checks.0.latency_ms", NULL },
	{ "checks.1.name", "\"job\"" },
	{ "checks.1.type", "\"ttl\"" },
	{ "checks.1.status", "\"critical\"" },
	{ "checks.1.reason", "\"state\"" },
	{ "checks.1.interval_ms", "10000" },
	{ "checks.1.flap_percent", NULL },
	{ "checks.1.error_percent", "100" },
	{ "checks.1.latency_ms", NULL },
	{ "checks.1.took_ms", NULL },
	{ "checks.2.error_percent", NULL },
	{ "checks.3", NULL },
	{ "services.0.checks.0.took_ms", NULL },
	{ "services.0.checks.0.changed_at", NULL },
};

static void
test_members(void)
{
	cJSON *status AUTO_JSON = draw("web-1");

	for (size_t i = 0; i < ARRAY_LENGTH(members); i++) {
		const cJSON *found = at(status, members[i].path);
		char *text AUTO_FREE = found != NULL ? json_print(found) : NULL;
		bool same = members[i].text == NULL
		    ? text == NULL
		    : text != NULL && strcmp(text, members[i].text) == 0;
		if (!same)
			printf("# %s is %s, expected %s\n", members[i].path,
			    text != NULL ? text : "absent",
			    members[i].text != NULL ? members[i].text : "absent");
		CU_ASSERT(same);
	}
}

static const struct tap_case cases[] = {
	{ "every member is there before anything has run", test_members },
};
TAP_MAIN("status", cases)
