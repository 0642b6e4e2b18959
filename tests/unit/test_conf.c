/* SPDX-License-Identifier: ISC */
/*
 * What a good configuration becomes: each thing has what its section says, and where several
 * say it, the nearest. How text is read is tested in test_scan.c.
 */
#include "agent/conf/conf.h"

#include <string.h>
#include <sys/socket.h>

#include "agent/base/util.h"
#include "agent/conf/classes.h"
#include "tests/unit/conf_bed.h"
#include "tests/unit/tap.h"

static void
a_service_has_what_its_section_says(void)
{
	struct conf *conf = parse("", "", WHOLE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_EQUAL_FATAL(conf->n_services, 2);
	const struct conf_service *db = conf->services[0], *web = conf->services[1];
	CU_ASSERT_STRING_EQUAL(db->name, "db");
	CU_ASSERT_STRING_EQUAL(db->id, "db");
	CU_ASSERT_STRING_EQUAL(db->address, "db-1.example");
	CU_ASSERT_EQUAL(db->port, 5432);
	CU_ASSERT_STRING_EQUAL(db->tags[0], "sql");
	CU_ASSERT_STRING_EQUAL(db->tags[1], "a\\d");
	CU_ASSERT_PTR_NULL(db->tags[2]);
	CU_ASSERT_STRING_EQUAL(db->meta[1], "note=\"a\\b\"");
	CU_ASSERT_EQUAL(db->weight, 10);
	CU_ASSERT_EQUAL(db->on_stop, CONF_MAINTENANCE);
	CU_ASSERT_EQUAL(db->n_checks, 2);
	CU_ASSERT_EQUAL(db->line, 2);
	CU_ASSERT_STRING_EQUAL(db->file, "a.conf");
	CU_ASSERT_PTR_EQUAL(db->role, conf->roles[0]);
	CU_ASSERT_STRING_EQUAL(web->id, "web-1");
	CU_ASSERT_PTR_NULL(web->address);
	CU_ASSERT_PTR_NULL(web->tags[0]);
	CU_ASSERT_PTR_NULL(web->meta[0]);
	CU_ASSERT_PTR_NULL(web->role);
	CU_ASSERT_EQUAL(web->port, 0);
	CU_ASSERT_EQUAL(web->weight, 1);
	CU_ASSERT_EQUAL(web->warning_weight, 1);
	conf_free(conf);
}

static void
a_check_has_its_options_and_its_command(void)
{
	struct conf *conf = parse("", "defaults { rise = 9 }", WHOLE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_EQUAL_FATAL(conf->n_checks, 3);
	const struct conf_check *port = conf->checks[0], *query = conf->checks[1];
	CU_ASSERT_PTR_EQUAL(port->class, classes_find(NULL, "tcp"));
	CU_ASSERT_PTR_EQUAL(port->service, conf->services[0]);
	CU_ASSERT_PTR_NULL(port->command);
	CU_ASSERT_EQUAL(port->interval_ms, 1000);
	CU_ASSERT_EQUAL(port->fast_interval_ms, 500);
	CU_ASSERT_EQUAL(port->rise, 9);
	CU_ASSERT_EQUAL(port->fall, 3);
	CU_ASSERT_EQUAL(port->initial, CHECK_CRITICAL);
	CU_ASSERT_EQUAL(port->output_size, 4096);
	CU_ASSERT_EQUAL(query->timeout_ms, 60000);
	CU_ASSERT_EQUAL(query->rise, 1);
	CU_ASSERT_EQUAL(query->fall, 5);
	CU_ASSERT_EQUAL(query->initial, CHECK_PASSING);
	CU_ASSERT_STRING_EQUAL(query->notes, "why");
	CU_ASSERT_EQUAL(query->output_size, 100);
	CU_ASSERT_EQUAL(query->line, 12);
	CU_ASSERT_PTR_NOT_NULL_FATAL(query->command);
	const struct conf_command *command = query->command;
	CU_ASSERT_PTR_EQUAL(command, conf->commands[command->index]);
	CU_ASSERT_EQUAL(command->kind, CONF_COMMAND_CHECK);
	CU_ASSERT_STRING_EQUAL(command->argv[0], "/bin/true");
	CU_ASSERT_STRING_EQUAL(command->argv[2], "");
	CU_ASSERT_PTR_NULL(command->argv[3]);
	CU_ASSERT_STRING_EQUAL(command->environment[0], "A=b c");
	CU_ASSERT_STRING_EQUAL(command->directory, "/");
	CU_ASSERT_PTR_NULL(command->user);
	CU_ASSERT_PTR_NULL(conf->checks[2]->service);
	conf_free(conf);
}

static void
a_role_has_its_services_vips_and_hooks(void)
{
	struct conf *conf = parse("", "", WHOLE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	const struct conf_role *role = conf_find_role(conf, "db");
	CU_ASSERT_PTR_NULL(conf_find_role(conf, "d"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(role);
	CU_ASSERT_EQUAL(role->n_services, 1);
	CU_ASSERT_PTR_EQUAL(role->services[0], conf->services[0]);
	CU_ASSERT_EQUAL(role->priority, 7);
	CU_ASSERT(role->preempt && role->auto_init);
	CU_ASSERT_EQUAL(role->preempt_delay_ms, 60000);
	CU_ASSERT_EQUAL(role->when_all_critical, CONF_RELEASE);
	CU_ASSERT_EQUAL(role->address_order, CONF_BEFORE_PROMOTE);
	CU_ASSERT_STRING_EQUAL(role->master_tag, "master");
	CU_ASSERT_STRING_EQUAL(role->backup_tag, "backup");
	CU_ASSERT_EQUAL_FATAL(role->n_vips, 2);
	CU_ASSERT_STRING_EQUAL(role->vips[1]->text, "2001:db8::100");
	CU_ASSERT_EQUAL(role->vips[0]->prefix, 32);
	CU_ASSERT_EQUAL(role->vips[1]->prefix, 64);
	CU_ASSERT_EQUAL(role->vips[1]->announce_refresh_ms, 0);
	CU_ASSERT_EQUAL(role->vips[0]->announce_refresh_ms, 60000);
	CU_ASSERT(memcmp(role->vips[0]->address, "\xc0\x00\x02\x64", 4) == 0);
	CU_ASSERT_PTR_NULL(role->demote);
	CU_ASSERT_PTR_NOT_NULL_FATAL(role->promote);
	CU_ASSERT_STRING_EQUAL(role->promote->hook, "promote");
	CU_ASSERT_STRING_EQUAL(role->promote->argv[1], "up");
	CU_ASSERT_PTR_EQUAL(role->promote->role, role);
	CU_ASSERT_PTR_NULL(role->promote->environment[0]);
	CU_ASSERT_EQUAL(role->hook_timeout_ms, 3000);
	conf_free(conf);
}

static void
a_vip_has_its_routes_and_rules(void)
{
	struct conf *conf = parse("", "", WHOLE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	const struct conf_vip *v4 = conf->vips[0], *v6 = conf->vips[1];
	CU_ASSERT(v4->on_conflict == CONF_DEFEND && v4->reset_connections);
	CU_ASSERT(v6->on_conflict == CONF_YIELD && !v6->reset_connections);
	CU_ASSERT_EQUAL_FATAL(v4->n_routes, 2);
	const struct conf_route *route = v4->routes;
	CU_ASSERT(route[0].family == AF_INET && route[0].to_prefix == 0);
	CU_ASSERT(route[0].has_via && memcmp(route[0].via, "\xc0\0\2\1", 4) == 0);
	CU_ASSERT(route[0].table == 100 && route[0].metric == 0);
	CU_ASSERT(!route[1].has_via && memcmp(route[1].to, "\x0a\0\0", 4) == 0);
	CU_ASSERT_EQUAL(route[1].to_prefix, 8);
	CU_ASSERT(route[1].table == 254 && route[1].metric == 5);
	CU_ASSERT_EQUAL_FATAL(v4->n_rules, 1);
	CU_ASSERT(memcmp(v4->rules[0].from, v4->address, 16) == 0);
	CU_ASSERT(v4->rules[0].from_prefix == 32 && v4->rules[0].to_prefix == 0);
	CU_ASSERT(v4->rules[0].table == 100 && v4->rules[0].priority == 1000);
	CU_ASSERT_EQUAL_FATAL(v6->n_routes, 1);
	CU_ASSERT(v6->routes[0].family == AF_INET6 && v6->routes[0].to_prefix == 48);
	CU_ASSERT_EQUAL_FATAL(v6->n_rules, 1);
	const struct conf_rule *rule = v6->rules;
	CU_ASSERT(rule->family == AF_INET6 && rule->from_prefix == 32);
	CU_ASSERT(rule->to_prefix == 128 && rule->to[15] == 1);
	CU_ASSERT(rule->table == UINT32_MAX && rule->priority == 7);
	conf_free(conf);
}

static void
every_index_is_a_place_in_its_list(void)
{
	struct conf *conf = parse("", "tcp \"x\" { address = \"127.0.0.1:1\" }", WHOLE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	for (uint32_t i = 0; i < conf->n_services; i++)
		CU_ASSERT_EQUAL(conf->services[i]->index, i);
	for (uint32_t i = 0; i < conf->n_checks; i++)
		CU_ASSERT_EQUAL(conf->checks[i]->index, i);
	for (uint32_t i = 0; i < conf->n_roles; i++)
		CU_ASSERT_EQUAL(conf->roles[i]->index, i);
	for (uint32_t i = 0; i < conf->n_vips; i++)
		CU_ASSERT_EQUAL(conf->vips[i]->index, i);
	for (uint32_t i = 0; i < conf->n_commands; i++)
		CU_ASSERT_EQUAL(conf->commands[i]->index, i);
	CU_ASSERT_EQUAL(conf->n_commands, 3);
	conf_free(conf);
}

static void
try_lease(const char *fence, int64_t ms)
{
	bool suits = ms >= 1000 && ms % 1000 >= 200;
	bool good = strcmp(fence, "lifetime") == 0 ? suits : ms >= 200;
	char error[CONF_ERROR_MAX];
	AUTO_FREE char *text =
	    xasprintf("failover { fence = %s lease = %lldms }", fence, (long long)ms);
	struct conf *conf = conf_parse(bundle_of("", text, ""), error);

	good = good && (conf_has_bpf() || strcmp(fence, "bpf") != 0);
	CU_ASSERT_EQUAL(conf != NULL, good);
	if (conf == NULL)
		return;
	CU_ASSERT_EQUAL(conf_lease(conf, true), ms);
	CU_ASSERT_EQUAL(conf_lease(conf, false), suits ? ms : 2250);
	CU_ASSERT_EQUAL(conf_longest_lease(conf, true), ms);
	conf_free(conf);
}

/* The rule of a lease with each fence, tried over every 50 ms up to 5 s. */
static void
a_lease_suits_its_fence(void)
{
	for (int64_t ms = 0; ms <= 5000; ms += 50) {
		try_lease("auto", ms);
		try_lease("bpf", ms);
		try_lease("lifetime", ms);
	}
}

/* What is written for a role counts before the node's, that before the default; without
 * heartbeats the default lease is longer than an election of Consul's. */
static void
timers_come_from_the_nearest(void)
{
	static const char *const nodes[] = { "", "lease = 3250ms", "silence = 500ms",
		"heartbeats = false" };
	static const int64_t leases[][2] = { { 1000, 2250 }, { 3250, 3250 },
		{ 1000, 2250 }, { 15000, 15250 } };
	static const int64_t silences[][2] = { { 300, 600 }, { 300, 600 }, { 500, 500 },
		{ 300, 600 } };
	char error[CONF_ERROR_MAX] = "";

	for (size_t i = 0; i < ARRAY_LENGTH(nodes); i++)
		for (int own = 0; own < 2; own++) {
			AUTO_FREE char *text =
			    xasprintf("failover { %s } role x { %s }", nodes[i],
				own != 0 ? "lease = 4250ms silence = 200ms" : "");
			struct conf *conf = conf_parse(bundle_of("", text, ""), error);
			CU_ASSERT_STRING_EQUAL(error, "");
			CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
			const struct conf_role *role = conf->roles[0];
			for (int bpf = 0; bpf < 2; bpf++) {
				int64_t lease = leases[i][1 - bpf];
				CU_ASSERT_EQUAL(conf_lease(conf, bpf != 0), lease);
				CU_ASSERT_EQUAL(conf_role_lease(conf, role, bpf != 0),
				    own != 0 ? 4250 : lease);
				CU_ASSERT_EQUAL(conf_longest_lease(conf, bpf != 0),
				    own != 0 && lease < 4250 ? 4250 : lease);
				CU_ASSERT_EQUAL(conf_silence(conf, role, bpf != 0),
				    own != 0 ? 200 : silences[i][1 - bpf]);
			}
			conf_free(conf);
		}
}

static void
what_a_role_tracks(void)
{
	static const char text[] =
	    "icmp up { address = \"192.0.2.1\" }\n"
	    "service web { tcp port { address = \"127.0.0.1:1\" } }\n"
	    "role x { vip \"192.0.2.9\" { interface = e } limit = 3 within = 5m track "
	    "{ check up { weight = -50 }\n"
	    "  interface eth1 { weight = -20 } check \"web/port\" { weight = -1 } } }";
	char error[CONF_ERROR_MAX] = "";
	struct conf *conf = conf_parse(bundle_of("", text, ""), error);

	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	const struct conf_role *role = conf->roles[0];
	CU_ASSERT_EQUAL(role->limit, 3);
	CU_ASSERT_EQUAL(role->within_ms, 300000);
	CU_ASSERT_EQUAL_FATAL(role->n_tracks, 3);
	CU_ASSERT_PTR_EQUAL(role->tracks[0]->check, conf->checks[0]);
	CU_ASSERT_EQUAL(role->tracks[0]->weight, -50);
	CU_ASSERT_PTR_NULL(role->tracks[1]->check);
	CU_ASSERT_STRING_EQUAL(role->tracks[1]->name, "eth1");
	CU_ASSERT_EQUAL(role->tracks[1]->kind, CONF_TRACK_INTERFACE);
	CU_ASSERT_PTR_EQUAL(role->tracks[2]->check, conf->checks[1]);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT_PTR_EQUAL(role->tracks[i], conf->tracks[i]);
	conf_free(conf);
}

static const struct tap_case cases[] = {
	{ "a service has what its section says", a_service_has_what_its_section_says },
	{ "a check has its options and its command",
	    a_check_has_its_options_and_its_command },
	{ "a role has its services, vips and hooks",
	    a_role_has_its_services_vips_and_hooks },
	{ "a vip has its routes and rules", a_vip_has_its_routes_and_rules },
	{ "every index is a place in its list", every_index_is_a_place_in_its_list },
	{ "a lease suits its fence", a_lease_suits_its_fence },
	{ "timers come from the nearest", timers_come_from_the_nearest },
	{ "what a role tracks", what_a_role_tracks },
};

TAP_MAIN("conf", cases)
