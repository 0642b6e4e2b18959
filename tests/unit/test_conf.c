/* SPDX-License-Identifier: ISC */
/*
 * The configuration: what a good one becomes, that the three processes get the same from
 * the same bytes, and that each fault of tests/conf/broken.table is said in one line with
 * its place. How text is read is tested in test_scan.c.
 */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <regex.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/identity.h"
#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/classes.h"
#include "agent/conf/conf.h"
#include "tests/unit/tap.h"

static const char *const variables[] = { "CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN",
	"CONSUL_HTTP_TOKEN_FILE", "CONSUL_HTTP_SSL", "CONSUL_HTTP_SSL_VERIFY",
	"CONSUL_CACERT", "CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY",
	"CONSUL_TLS_SERVER_NAME", "CONSUL_HTTP_AUTH", "CONSUL_NAMESPACE",
	"CONSUL_PARTITION", "CONSUL_CAPATH" };

static const char whole[] =
    "# the file of the tests\n"
    "service \"db\" {\n"
    "  port = 5432\n"
    "  address = db-1.example\n"
    "  tags = {\"sql\", 'a\\d'} // two\n"
    "  meta = {\"version=15\", \"note=\\\"a\\\\b\\\"\"}\n"
    "  weight = 10\n"
    "  on-stop = maintenance\n"
    "  tcp \"port\" { address = \"127.0.0.1:5432\" interval = 1s }\n"
    "  /* one\n"
    "     comment */\n"
    "  script \"query\" {\n"
    "    command = {\"/bin/true\", \"-d\", \"\"}\n"
    "    environment = {\"A=b c\"}\n"
    "    directory = \"/\"\n"
    "    interval = 5s timeout = 1m rise = 1 fall = 5\n"
    "    initial = passing output-size = 100 notes = \"why\"\n"
    "  }\n"
    "}\n"
    "service \"web\" { id = \"web-1\" }\n"
    "tcp \"ssh\" { address = \"127.0.0.1:22\" }\n"
    "role \"db\" {\n"
    "  services = {\"db\"}\n"
    "  priority = 7 preempt = true preempt-delay = 1m\n"
    "  when-all-critical = release address = before-promote\n"
    "  vip \"192.0.2.100\" { interface = \"eth0\"\n"
    "    route = {\"default via 192.0.2.1 table 100\", \"10.0.0.0/8 metric 5\"}\n"
    "    rule = {\"from 192.0.2.100 table 100\"} }\n"
    "  vip \"2001:db8::100/64\" { interface = \"eth1\"\n"
    "    announce-refresh = 0s on-conflict = yield reset-connections = false\n"
    "    route = {\"2001:db8:1::/48\"}\n"
    "    rule = {\"priority 7 table 4294967295 to ::1 from 2001:db8::/32\"} }\n"
    "  hooks { promote = {\"/bin/true\", \"up\"}\n"
    "    notify = {\"/bin/true\"} timeout = 3s }\n"
    "}\n";

static struct conf_bundle *
bundle_of(const char *environment, const char *node_file, const char *services)
{
	struct bundle_file files[] = {
		{ "environment", environment, strlen(environment) },
		{ "lictor.conf", node_file, strlen(node_file) },
		{ "a.conf", services, strlen(services) },
	};

	return bundle_new(files, 3);
}

static struct conf *
parse(const char *environment, const char *node_file, const char *services)
{
	char error[CONF_ERROR_MAX] = "";
	struct conf *conf =
	    conf_parse(bundle_of(environment, node_file, services), error);

	if (conf == NULL)
		printf("# %s\n", error);
	return conf;
}

static void
a_service_has_what_its_section_says(void)
{
	struct conf *conf = parse("", "", whole);

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
	struct conf *conf = parse("", "defaults { rise = 9 }", whole);

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
	struct conf *conf = parse("", "", whole);

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
	struct conf *conf = parse("", "", whole);

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
	struct conf *conf = parse("", "tcp \"x\" { address = \"127.0.0.1:1\" }", whole);

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
assert_defaults(const struct conf *conf)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_PTR_NULL(conf->node);
	CU_ASSERT_STRING_EQUAL(conf->consul.address, "http://127.0.0.1:8500");
	CU_ASSERT_PTR_NULL(conf->consul.unix_socket);
	CU_ASSERT_PTR_NULL(conf->consul.token);
	CU_ASSERT_PTR_NULL(conf->consul.token_file);
	CU_ASSERT_PTR_NULL(conf->consul.ca_file);
	CU_ASSERT_PTR_NULL(conf->consul.cert_file);
	CU_ASSERT_PTR_NULL(conf->consul.key_file);
	CU_ASSERT_PTR_NULL(conf->consul.server_name);
	CU_ASSERT(conf->consul.verify);
	CU_ASSERT_EQUAL(conf->consul.ttl_ms, 10000);
	CU_ASSERT_EQUAL(conf->fence, CONF_FENCE_AUTO);
	CU_ASSERT_EQUAL(conf_lease(conf, true), 1000);
	CU_ASSERT_EQUAL(conf_lease(conf, false), 2250);
	CU_ASSERT_EQUAL(conf_margin(true), 10);
	CU_ASSERT_EQUAL(conf_margin(false), 1500);
	CU_ASSERT_EQUAL_FATAL(conf->n_checks, 1);
	CU_ASSERT_EQUAL(conf->checks[0]->interval_ms, 2000);
	CU_ASSERT_EQUAL(conf->checks[0]->fast_interval_ms, 500);
	CU_ASSERT_EQUAL(conf->checks[0]->timeout_ms, 2000);
	CU_ASSERT_EQUAL(conf->checks[0]->rise, 2);
	CU_ASSERT_EQUAL(conf->checks[0]->fall, 3);
}

static char *
read_text(const char *path)
{
	const char *top = getenv("top_srcdir");
	AUTO_FREE char *name = xasprintf("%s/%s", top != NULL ? top : ".", path);
	AUTO_FCLOSE FILE *fp = fopen(name, "re");
	struct buf text = { .limit = 1 << 20 };
	char piece[4096];
	size_t len;

	while (fp != NULL && (len = fread(piece, 1, sizeof(piece), fp)) > 0)
		buf_add(&text, piece, len);
	return text.data;
}

/* Of so many services with ten checks each. */
static int64_t
ttl_of(const char *node_file, int count)
{
	AUTO_FREE char *text = NULL;
	size_t size;
	FILE *fp = open_memstream(&text, &size);

	for (int i = 0; i < count; i++) {
		fprintf(fp, "service \"s%d\" {\n", i);
		for (int k = 0; k < 10; k++)
			fprintf(fp, "ttl \"c%d\" { ttl = 1m }\n", k);
		fprintf(fp, "}\n");
	}
	fclose(fp);
	struct conf *conf = parse("", node_file, text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	int64_t ttl = conf->consul.ttl_ms;
	conf_free(conf);
	return ttl;
}

static void
a_big_node_has_a_longer_ttl(void)
{
	CU_ASSERT_EQUAL(ttl_of("", 316), 10000);
	CU_ASSERT_EQUAL(ttl_of("", 317), 30000);
	CU_ASSERT_EQUAL(ttl_of("consul { ttl = 10s }", 317), 10000);
	CU_ASSERT_EQUAL(ttl_of("consul { ttl = 1h }", 1), 3600000);
}

/* A commented option is "#name", words in comments are "# like this". */
static void
uncomment(char *text)
{
	for (char *p = text; p != NULL; p = strchr(p + 1, '\n')) {
		char *hash = p + strspn(p, "\n \t");
		if (hash[0] == '#' && hash[1] >= 'a' && hash[1] <= 'z')
			hash[0] = ' ';
	}
}

static void
the_sample_says_the_defaults(void)
{
	const char *check = "tcp \"x\" { address = \"127.0.0.1:1\" }";
	struct conf *empty = parse("", "", check);
	AUTO_FREE char *text = read_text("etc/lictor.conf");

	assert_defaults(empty);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	struct conf *installed = parse("", text, check);
	assert_defaults(installed);
	uncomment(text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " interval = 2s"));
	struct conf *written = parse("", text, check);
	assert_defaults(written);
	conf_free(empty);
	conf_free(installed);
	conf_free(written);
}

static void
the_sample_of_a_service_is_good(void)
{
	AUTO_FREE char *text = read_text("etc/services.d/example.conf.sample");

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	struct conf *conf = parse("", "", text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT(conf->n_services > 0 && conf->n_roles > 0 && conf->n_vips > 0);
	conf_free(conf);
}

static void
an_interval_below_the_default_fast_one_counts(void)
{
	struct conf *conf =
	    parse("", "", "tcp \"x\" { address = \"127.0.0.1:1\" interval = 100ms }");

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_EQUAL(conf->checks[0]->fast_interval_ms, 100);
	conf_free(conf);
}

static void
the_environment_stands_in_where_the_file_is_silent(void)
{
	static const struct {
		const char *environment, *file, *address, *socket;
		bool verify;
	} rows[] = {
		{ "CONSUL_HTTP_ADDR=10.0.0.1:8501\n", "", "http://10.0.0.1:8501", NULL,
		    true },
		{ "CONSUL_HTTP_ADDR=10.0.0.1:8501\nCONSUL_HTTP_SSL=1\n", "",
		    "https://10.0.0.1:8501", NULL, true },
		{ "CONSUL_HTTP_SSL=true\n", "", "https://127.0.0.1:8500", NULL, true },
		{ "CONSUL_HTTP_ADDR=https://c:1/\nCONSUL_HTTP_SSL_VERIFY=false\n", "",
		    "https://c:1", NULL, false },
		{ "CONSUL_HTTP_ADDR=unix:///run/c.sock\n", "", "http://localhost",
		    "/run/c.sock", true },
		{ "CONSUL_HTTP_ADDR=bad//\nCONSUL_HTTP_SSL_VERIFY=0\n",
		    "consul { address = 'http://a:1' verify = true }", "http://a:1",
		    NULL, true },
		{ "CONSUL_HTTP_ADDR=http://b:1\n",
		    "consul { address = 'unix:///run/d.sock' }", "http://localhost",
		    "/run/d.sock", true },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct conf *conf = parse(rows[i].environment, rows[i].file, "");
		CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
		const struct conf_consul *consul = &conf->consul;
		CU_ASSERT_STRING_EQUAL(consul->address, rows[i].address);
		CU_ASSERT((consul->unix_socket == NULL) == (rows[i].socket == NULL));
		if (consul->unix_socket != NULL && rows[i].socket != NULL)
			CU_ASSERT_STRING_EQUAL(consul->unix_socket, rows[i].socket);
		CU_ASSERT_EQUAL(consul->verify, rows[i].verify);
		conf_free(conf);
	}
}

static void
tokens_and_files_come_from_the_environment(void)
{
	char key[] = "/tmp/lictor-key.XXXXXX";
	AUTO_CLOSE int fd = mkstemp(key);
	struct identity agent = { .gid = getegid() };

	identity_find(IDENTITY_AGENT, &agent);
	identity_cleanup(&agent);
	CU_ASSERT(fchmod(fd, 0640) == 0);
	if (identity_may_change())
		CU_ASSERT(fchown(fd, geteuid(), agent.gid) == 0);
	AUTO_FREE char *node =
	    xasprintf("consul { ca-file = '/etc/hosts' key-file = '%s' }", key);
	struct conf *conf = parse("CONSUL_HTTP_TOKEN=a-b\nCONSUL_CACERT=/etc/passwd\n"
				  "CONSUL_TLS_SERVER_NAME=consul.example\n"
				  "CONSUL_CLIENT_CERT=/etc/group\n"
				  "CONSUL_CLIENT_KEY=/etc/fstab\n"
				  "CONSUL_CAPATH=/etc\nCONSUL_HTTP_AUTH=u:p\n"
				  "CONSUL_NAMESPACE=a\nCONSUL_PARTITION=b\n",
	    node, "");

	unlink(key);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_STRING_EQUAL(conf->consul.token, "a-b");
	CU_ASSERT_STRING_EQUAL(conf->consul.ca_file, "/etc/hosts");
	CU_ASSERT_STRING_EQUAL(conf->consul.server_name, "consul.example");
	CU_ASSERT_STRING_EQUAL(conf->consul.cert_file, "/etc/group");
	CU_ASSERT_STRING_EQUAL(conf->consul.key_file, key);
	CU_ASSERT_STRING_EQUAL(conf->consul.auth, "u:p");
	CU_ASSERT_STRING_EQUAL(conf->consul.namespace, "a");
	CU_ASSERT_STRING_EQUAL(conf->consul.partition, "b");
	CU_ASSERT_PTR_NULL(conf->consul.datacenter);
	conf_free(conf);
	conf = parse("CONSUL_CAPATH=/etc\nCONSUL_NAMESPACE=a\n",
	    "consul { namespace = c datacenter = dc1 }", "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_STRING_EQUAL(conf->consul.ca_file, "/etc");
	CU_ASSERT_STRING_EQUAL(conf->consul.namespace, "c");
	CU_ASSERT_STRING_EQUAL(conf->consul.datacenter, "dc1");
	conf_free(conf);
}

static void
other_bytes_are_another_generation(void)
{
	struct conf *a = parse("", "", whole), *b = parse("", "", whole);
	struct conf *c = parse("CONSUL_HTTP_TOKEN=x\n", "", whole);
	struct conf *d = parse("", " ", whole);

	CU_ASSERT_EQUAL(a->generation, b->generation);
	CU_ASSERT_NOT_EQUAL(a->generation, c->generation);
	CU_ASSERT_NOT_EQUAL(a->generation, d->generation);
	conf_free(a);
	conf_free(b);
	conf_free(c);
	conf_free(d);
}

static void
what_is_sent_is_received(void)
{
	char error[CONF_ERROR_MAX] = "";
	struct conf *sent = parse("CONSUL_HTTP_TOKEN=x\n", "node = n", whole);

	CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
	AUTO_CLOSE int fd = conf_send(sent);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, "x", 1), -1);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), -1);
	for (int i = 0; i < 2; i++) { /* the second reads through the same open file */
		struct conf_bundle *bundle = conf_receive(fd, error);
		CU_ASSERT_PTR_NOT_NULL_FATAL(bundle);
		struct conf *got = conf_parse(bundle, error);
		CU_ASSERT_PTR_NOT_NULL_FATAL(got);
		CU_ASSERT_EQUAL(got->generation, sent->generation);
		CU_ASSERT_STRING_EQUAL(got->node, "n");
		CU_ASSERT_STRING_EQUAL(got->consul.token, "x");
		CU_ASSERT_EQUAL(got->n_commands, sent->n_commands);
		conf_free(got);
	}
	conf_free(sent);
}

/* A descriptor with these bytes, sealed or not. */
static int
memory_of(const void *bytes, size_t len, bool sealed)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (write(fd, bytes, len) != (ssize_t)len ||
	    (sealed &&
		fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0))
		abort();
	return fd;
}

/* Nothing but whole and sealed bytes are taken: every shorter piece is refused, but
 * for those that end where a file ends. */
static void
pieces_of_a_bundle_are_refused(void)
{
	char error[CONF_ERROR_MAX];
	struct conf_bundle *bundle = bundle_of("", "node = n\n", "role 'a' { }\n");
	size_t accepted = 0;

	for (size_t len = 0; len <= bundle->len; len++) {
		AUTO_CLOSE int fd = memory_of(bundle->bytes, len, true);
		struct conf_bundle *got = conf_receive(fd, error);
		accepted += got != NULL;
		conf_bundle_free(got);
	}
	CU_ASSERT_EQUAL(accepted, 2); /* all of it, and without a.conf */
	AUTO_CLOSE int open_fd = memory_of(bundle->bytes, bundle->len, false);
	CU_ASSERT_PTR_NULL(conf_receive(open_fd, error));
	conf_bundle_free(bundle);
}

static void
who_receives_does_not_ask_the_host(void)
{
	static const char gone[] =
	    "script 'x' { command = {'/nonexistent/x'} user = 'nobody-of-that-name' }";
	char error[CONF_ERROR_MAX];
	struct conf_bundle *bundle = bundle_of("", "", gone);
	AUTO_CLOSE int fd = memory_of(bundle->bytes, bundle->len, true);

	CU_ASSERT_PTR_NULL(conf_parse(bundle, error));
	bundle = conf_receive(fd, error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bundle);
	struct conf *conf = conf_parse(bundle, error);
	CU_ASSERT_PTR_NOT_NULL(conf);
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

/* A folder's worth of trouble, from the table. */
static int
run(const char *program, char *const *argv)
{
	pid_t pid;
	int status = -1;

	if (posix_spawnp(&pid, program, NULL, NULL, argv, environ) == 0)
		waitpid(pid, &status, 0);
	return status;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static char *
line_of(const char *dir, const char *suffix)
{
	AUTO_FREE char *path = xasprintf("%s%s", dir, suffix);
	AUTO_FCLOSE FILE *fp = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (fp == NULL || getline(&line, &size, fp) <= 0) {
		free(line);
		return NULL;
	}
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* The line that the folder is refused with, without the folder; NULL: it is not. */
static char *
refuse(const char *dir)
{
	AUTO_FREE char *variable = line_of(dir, ".environment");
	char error[CONF_ERROR_MAX] = "";
	size_t len = strlen(dir);

	if (variable != NULL) {
		size_t name = strcspn(variable, "=");
		variable[name] = '\0';
		setenv(variable, variable + name + 1, 1);
	}
	const struct conf_loading loading = { .strict = true };
	struct conf_bundle *bundle = conf_read(dir, error);
	struct conf *conf = bundle != NULL ? conf_load(bundle, &loading, error) : NULL;
	if (variable != NULL)
		unsetenv(variable);
	if (conf != NULL) {
		conf_free(conf);
		return NULL;
	}
	return xstrdup(strncmp(error, dir, len) == 0 ? error + len + 1 : error);
}

static bool
matches(const char *expression, const char *line)
{
	AUTO_FREE char *whole_line = xasprintf("^(%s)$", expression);
	regex_t regex;

	if (line == NULL || regcomp(&regex, whole_line, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	int result = regexec(&regex, line, 0, NULL, 0);
	regfree(&regex);
	return result == 0;
}

static bool
run_broken(const char *work, int number)
{
	AUTO_FREE char *dir = xasprintf("%s/%d", work, number);
	AUTO_FREE char *setup = xasprintf("cd '%s' && sh -e ../%d.setup", dir, number);
	AUTO_FREE char *name = line_of(dir, ".name");
	AUTO_FREE char *expected = line_of(dir, ".expect");
	AUTO_FREE char *commands = line_of(dir, ".setup");
	char *argv[] = { (char *)"sh", (char *)"-c", setup, NULL };

	if (name == NULL)
		return false;
	if (commands != NULL && run("sh", argv) != 0)
		CU_FAIL("the case cannot be set up");
	AUTO_FREE char *line = refuse(dir);
	if (expected == NULL || !matches(expected, line)) {
		printf("# %s: %s\n#   expected %s\n", name,
		    line != NULL ? line : "accepted",
		    expected != NULL ? expected : "?");
		CU_FAIL("not the line expected");
	}
	return true;
}

static void
every_broken_configuration_is_refused(void)
{
	char work[] = "/tmp/lictor-conf.XXXXXX";
	const char *top = getenv("top_srcdir");
	int count = 0;

	if (top == NULL)
		top = ".";
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(work));
	CU_ASSERT_EQUAL(chmod(work, 0755), 0); /* for the agent's user */
	for (size_t i = 0; i < ARRAY_LENGTH(variables); i++)
		unsetenv(variables[i]);
	AUTO_FREE char *out = xasprintf("out=%s", work);
	AUTO_FREE char *program = xasprintf("%s/tests/conf/unpack.awk", top);
	AUTO_FREE char *table = xasprintf("%s/tests/conf/broken.table", top);
	char *argv[] = { (char *)"awk", (char *)"-v", out, (char *)"-f", program, table,
		NULL };
	CU_ASSERT_EQUAL(run("awk", argv), 0);
	while (run_broken(work, count + 1))
		count++;
	CU_ASSERT(count >= 100);
	nftw(work, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const struct tap_case cases[] = {
	{ "a service has what its section says", a_service_has_what_its_section_says },
	{ "a check has its options and its command",
	    a_check_has_its_options_and_its_command },
	{ "a role has its services, vips and hooks",
	    a_role_has_its_services_vips_and_hooks },
	{ "a vip has its routes and rules", a_vip_has_its_routes_and_rules },
	{ "every index is a place in its list", every_index_is_a_place_in_its_list },
	{ "the sample says the defaults", the_sample_says_the_defaults },
	{ "a big node has a longer ttl", a_big_node_has_a_longer_ttl },
	{ "the sample of a service is good", the_sample_of_a_service_is_good },
	{ "an interval below the default fast one counts",
	    an_interval_below_the_default_fast_one_counts },
	{ "the environment stands in where the file is silent",
	    the_environment_stands_in_where_the_file_is_silent },
	{ "tokens and files come from the environment",
	    tokens_and_files_come_from_the_environment },
	{ "other bytes are another generation", other_bytes_are_another_generation },
	{ "what is sent is received", what_is_sent_is_received },
	{ "pieces of a bundle are refused", pieces_of_a_bundle_are_refused },
	{ "who receives does not ask the host", who_receives_does_not_ask_the_host },
	{ "a lease suits its fence", a_lease_suits_its_fence },
	{ "timers come from the nearest", timers_come_from_the_nearest },
	{ "what a role tracks", what_a_role_tracks },
	{ "every broken configuration is refused",
	    every_broken_configuration_is_refused },
};

TAP_MAIN("conf", cases)
