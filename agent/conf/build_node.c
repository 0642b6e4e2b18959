/* SPDX-License-Identifier: ISC */
/*
 * The node's own part of lictor.conf: how to reach Consul, the defaults of checks. The environment variables of Consul's tools stand in where the
 * file says nothing; they come from the bundle, so that every process sees the same. See
 * build.h for the contract.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "agent/base/url.h"
#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/bundle.h"
#include "agent/conf/fault.h"
#include "agent/conf/host.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"

#define TTL_MS 10000
#define BIG_TTL_MS 30000
#define BIG_NODE 1000000 /* services times checks */

/* Variables that stand for options. */
static const struct {
	const char *variable, *option;
	size_t offset;
	bool file;
} stand_ins[] = {
	{ "CONSUL_HTTP_ADDR", "address", offsetof(struct raw_consul, address), false },
	{ "CONSUL_HTTP_TOKEN_FILE", "token-file",
	    offsetof(struct raw_consul, token_file), true },
	{ "CONSUL_CACERT", "ca-file", offsetof(struct raw_consul, ca_file), true },
	{ "CONSUL_CLIENT_CERT", "cert-file", offsetof(struct raw_consul, cert_file),
	    true },
	{ "CONSUL_CLIENT_KEY", "key-file", offsetof(struct raw_consul, key_file),
	    true },
	{ "CONSUL_TLS_SERVER_NAME", "server-name",
	    offsetof(struct raw_consul, server_name), false },
	{ "CONSUL_NAMESPACE", "namespace", offsetof(struct raw_consul, namespace),
	    false },
	{ "CONSUL_PARTITION", "partition", offsetof(struct raw_consul, partition),
	    false },
};

/* As Consul's tools read them (strconv.ParseBool). */
static int
read_switch(struct build *build, const char *variable, bool *out)
{
	static const char *const yes = " 1 t T TRUE true True ";
	static const char *const no = " 0 f F FALSE false False ";
	AUTO_FREE char *value = bundle_environment(build->bundle, variable);

	if (value == NULL)
		return 0;
	AUTO_FREE char *word = xasprintf(" %s ", value);
	if (strchr(value, ' ') != NULL || (!strstr(yes, word) && !strstr(no, word)))
		return fault_set(build->error, "environment", 0,
		    "%s: \"%.80s\" is neither true nor false, expected one of them",
		    variable, value);
	*out = strstr(yes, word) != NULL;
	return 0;
}

static int
check_stand_in(struct build *build, size_t i, const char *value)
{
	const char *variable = stand_ins[i].variable;
	bool secret = strcmp(variable, "CONSUL_HTTP_TOKEN_FILE") == 0 ||
	    strcmp(variable, "CONSUL_CLIENT_KEY") == 0;
	char why[CONF_ERROR_MAX];

	if (!stand_ins[i].file || !build->host ||
	    host_check_file(build->host, value, secret, why, sizeof(why)) == 0)
		return 0;
	return fault_set(build->error, "environment", 0, "%s: %s", variable, why);
}

/* A folder of authorities counts where no file of them is named. */
static int
read_authorities(
    struct build *build, const struct node *section, struct raw_consul *raw)
{
	char why[CONF_ERROR_MAX];

	if (raw->ca_file != NULL || node_find(section, "ca-file") != NULL)
		return 0;
	raw->ca_file = bundle_environment(build->bundle, "CONSUL_CAPATH");
	if (raw->ca_file == NULL || !build->host ||
	    host_check_directory(raw->ca_file, why, sizeof(why)) == 0)
		return 0;
	return fault_set(build->error, "environment", 0, "CONSUL_CAPATH: %s", why);
}

static int
read_environment(
    struct build *build, const struct node *section, struct raw_consul *raw)
{
	for (size_t i = 0; i < ARRAY_LENGTH(stand_ins); i++) {
		char **member = (char **)(void *)((char *)raw + stand_ins[i].offset);
		if (node_find(section, stand_ins[i].option) != NULL)
			continue;
		*member = bundle_environment(build->bundle, stand_ins[i].variable);
		if (*member != NULL && check_stand_in(build, i, *member) != 0)
			return -1;
	}
	if (read_authorities(build, section, raw) != 0)
		return -1;
	if (node_find(section, "verify") != NULL)
		return 0;
	return read_switch(build, "CONSUL_HTTP_SSL_VERIFY", &raw->verify);
}

/* An address of the environment may lack its scheme. */
static int
add_scheme(struct build *build, const struct node *section, char **address)
{
	bool tls = false;

	if (node_find(section, "address") != NULL && *address != NULL)
		return 0;
	if (read_switch(build, "CONSUL_HTTP_SSL", &tls) != 0)
		return -1;
	const char *text = *address != NULL ? *address : "127.0.0.1:8500";
	if (strstr(text, "://") != NULL)
		return 0;
	char *whole = xasprintf("%s://%s", tls ? "https" : "http", text);
	free(*address);
	*address = whole;
	return 0;
}

static int
split_address(const char *text, struct conf_consul *consul, char *why, size_t why_size)
{
	struct url url;
	size_t len = strlen(text);

	if (strncmp(text, "unix://", 7) == 0) {
		if (text[7] != '/' ||
		    len - 7 >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
			str_copy(why, why_size,
			    "the path of a unix socket is wrong, expected unix:///PATH "
			    "with at most 107 bytes");
			return -1;
		}
		consul->unix_socket = xstrdup(text + 7);
		consul->address = xstrdup("http://localhost");
		return 0;
	}
	if (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0) {
		snprintf(why, why_size,
		    "\"%.80s\" has no known scheme, expected http://, https:// or "
		    "unix://",
		    text);
		return -1;
	}
	if (url_split(text, &url, why, why_size) != 0)
		return -1;
	if (strpbrk(text, "?#") != NULL) {
		str_copy(why, why_size, "it has a query, expected a URL without one");
		return -1;
	}
	while (text[len - 1] == '/')
		len--;
	consul->address = xstrndup(text, len);
	return 0;
}

static int
set_address(struct build *build, const struct node *section, struct raw_consul *raw)
{
	char why[CONF_ERROR_MAX];

	if (add_scheme(build, section, &raw->address) != 0)
		return -1;
	if (split_address(raw->address, &build->conf->consul, why, sizeof(why)) == 0)
		return 0;
	if (node_find(section, "address") != NULL)
		return options_fault(section, "address", build->error, "%s", why);
	return fault_set(build->error, "environment", 0, "CONSUL_HTTP_ADDR: %s", why);
}

static int
check_server_name(struct build *build, const struct node *section, const char *name)
{
	if (name == NULL || url_is_host(name))
		return 0;
	if (node_find(section, "server-name") != NULL)
		return options_fault(section, "server-name", build->error,
		    "\"%.80s\" is no name of a host, expected one", name);
	return fault_set(build->error, "environment", 0,
	    "CONSUL_TLS_SERVER_NAME: \"%.80s\" is no name of a host, expected one",
	    name);
}

/* Words of Consul's own: what it may refuse for other reasons is its to say. */
static int
check_scope(struct build *build, const struct node *section, const char *option,
    const char *variable, const char *name)
{
	if (name == NULL || build_name_ok(name))
		return 0;
	if (node_find(section, option) != NULL)
		return options_fault(section, option, build->error,
		    "\"%.80s\" is no name, expected 1 to %d of letters, digits, dot, "
		    "hyphen and underscore",
		    name, CONF_NAME_MAX);
	return fault_set(build->error, "environment", 0,
	    "%s: \"%.80s\" is no name, expected 1 to %d of letters, digits, dot, "
	    "hyphen and underscore",
	    variable, name, CONF_NAME_MAX);
}

static int
check_scopes(
    struct build *build, const struct node *section, const struct raw_consul *raw)
{
	if (check_scope(build, section, "datacenter", NULL, raw->datacenter) != 0 ||
	    check_scope(
		build, section, "namespace", "CONSUL_NAMESPACE", raw->namespace) != 0)
		return -1;
	return check_scope(
	    build, section, "partition", "CONSUL_PARTITION", raw->partition);
}

static int
read_consul(struct build *build, const struct node *section, struct raw_consul *raw)
{
	raw->verify = true;
	if (read_environment(build, section, raw) != 0 ||
	    options_fill(raw, schema_consul, section, build->host, build->error) != 0 ||
	    set_address(build, section, raw) != 0)
		return -1;
	if (check_server_name(build, section, raw->server_name) != 0 ||
	    check_scopes(build, section, raw) != 0)
		return -1;
	if ((raw->cert_file == NULL) != (raw->key_file == NULL))
		return options_fault(section,
		    raw->key_file == NULL ? "cert-file" : "key-file", build->error,
		    "it is of no use alone, expected cert-file and key-file together");
	return 0;
}

static int
build_consul(struct build *build, const struct node *root)
{
	struct conf_consul *consul = &build->conf->consul;
	struct node section = build_find_or_none(root, "consul");
	struct raw_consul raw = { 0 };
	int result = read_consul(build, &section, &raw);

	if (result == 0) {
		free(raw.address);
		raw.address = NULL;
		consul->token = bundle_environment(build->bundle, "CONSUL_HTTP_TOKEN");
		consul->auth = bundle_environment(build->bundle, "CONSUL_HTTP_AUTH");
		consul->datacenter = raw.datacenter;
		consul->namespace = raw.namespace;
		consul->partition = raw.partition;
		consul->token_file = raw.token_file;
		consul->ca_file = raw.ca_file;
		consul->cert_file = raw.cert_file;
		consul->key_file = raw.key_file;
		consul->server_name = raw.server_name;
		consul->verify = raw.verify;
		consul->ttl_ms = raw.ttl_ms;
	} else
		options_free(&raw, schema_consul);
	return result;
}

static int
build_defaults(struct build *build, const struct node *root)
{
	struct node section = build_find_or_none(root, "defaults");

	return options_fill(
	    &build->defaults, schema_defaults, &section, build->host, build->error);
}

static int
build_name(struct build *build, const struct node *root)
{
	struct raw_node raw = { 0 };

	if (options_fill(&raw, schema_node, root, build->host, build->error) != 0) {
		options_free(&raw, schema_node);
		return -1;
	}
	build->conf->node = raw.node;
	raw.node = NULL;
	build->conf->plugin_directory = xstrdup(raw.plugin_directory);
	options_free(&raw, schema_node);
	const char *name = build->conf->node;
	if (name == NULL || build_name_ok(name))
		return 0;
	return options_fault(root, "node", build->error,
	    "\"%.100s\" is no name of a node, expected 1 to %d of letters, digits, "
	    "dot, hyphen and underscore",
	    name, CONF_NAME_MAX);
}

/* Once a minute Consul's agent copies all its checks for each alias, and keeps whoever calls
 * waiting meanwhile: 18 s were seen with 1000 services and 10,000 checks (Consul 1.8.7, two
 * cores). Aliases that flap for it would make it last. */
void
build_ttl(struct build *build)
{
	struct conf *conf = build->conf;

	if (conf->consul.ttl_ms == 0)
		conf->consul.ttl_ms =
		    conf->n_services * conf->n_checks < BIG_NODE ? TTL_MS : BIG_TTL_MS;
}

int
build_node(struct build *build, const struct node *root)
{
	if (build_name(build, root) != 0 || build_consul(build, root) != 0 ||
	    build_defaults(build, root) != 0)
		return -1;
	return build_failover(build, root);
}
