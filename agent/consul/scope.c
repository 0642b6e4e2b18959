/* SPDX-License-Identifier: ISC */
/*
 * Where in Consul we are: its datacenter, and in Consul Enterprise the namespace and the
 * partition. Nothing is sent of what is not configured: Consul's community edition refuses
 * the last two, and the agent's own datacenter is the default.
 *
 * Which path takes what is one table. The agent's own endpoints are of its datacenter, and
 * /v1/agent/self knows no namespace: https://developer.hashicorp.com/consul/api-docs.
 */
#include "agent/consul/scope.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"

static const struct {
	const char *prefix;
	bool datacenter, enterprise;
} rules[] = {
	/* the first that fits */
	{ "/v1/agent/self", false, false },
	{ "/v1/agent/", false, true },
	{ "/v1/status/", false, false },
	{ "/v1/", true, true },
};

static char *
add(char *path, const char *name, const char *value)
{
	char escaped[3 * CONF_NAME_MAX + 1];
	char *longer;

	if (!value)
		return path;
	consul_escape(escaped, sizeof(escaped), value);
	longer =
	    xasprintf("%s%c%s=%s", path, strchr(path, '?') ? '&' : '?', name, escaped);
	free(path);
	return longer;
}

char *
scope_path(const struct conf_consul *conf, const char *path)
{
	char *whole = xstrdup(path);
	size_t i = 0;

	while (i < ARRAY_LENGTH(rules) &&
	    strncmp(path, rules[i].prefix, strlen(rules[i].prefix)) != 0)
		i++;
	if (i == ARRAY_LENGTH(rules))
		return whole;
	if (rules[i].datacenter)
		whole = add(whole, "dc", conf->datacenter);
	if (rules[i].enterprise) {
		whole = add(whole, "ns", conf->namespace);
		whole = add(whole, "partition", conf->partition);
	}
	return whole;
}

void
scope_operation(const struct conf_consul *conf, cJSON *kv)
{
	if (conf->namespace)
		cJSON_AddStringToObject(kv, "Namespace", conf->namespace);
	if (conf->partition)
		cJSON_AddStringToObject(kv, "Partition", conf->partition);
}

/* Texts of agent/http_oss.go and agent/consul/rpc.go, matched in part. */
const char *
scope_fault(const struct conf_consul *conf, int status, const char *body)
{
	if (status == 400 && strstr(body, "Enterprise feature")) {
		if (conf->namespace)
			return "this Consul is no Enterprise edition: it has no "
			       "namespaces, take namespace (CONSUL_NAMESPACE) away";
		if (conf->partition)
			return "this Consul is no Enterprise edition: it has no "
			       "partitions, take partition (CONSUL_PARTITION) away";
	}
	if (status == 500 && conf->datacenter && strstr(body, "No path to datacenter"))
		return "Consul knows no such datacenter: datacenter must be the "
		       "agent's own";
	return NULL;
}
