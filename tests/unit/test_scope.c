/* SPDX-License-Identifier: ISC */
/*
 * Which request carries what of datacenter, namespace and partition: every path that lictor
 * asks, under every combination of the three, against the rule stated a second time; and
 * the answers that mean that one of them is of no use.
 */
#include "agent/consul/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "tests/unit/tap.h"

/* What a path takes: of the servers, and of Enterprise. */
static const struct {
	const char *path;
	bool servers, enterprise;
} paths[] = {
	{ "/v1/agent/self", false, false },
	{ "/v1/status/leader", false, false },
	{ "/v1/agent/checks", false, true },
	{ "/v1/agent/services", false, true },
	{ "/v1/agent/service/register", false, true },
	{ "/v1/agent/service/register?replace-existing-checks=true", false, true },
	{ "/v1/agent/service/maintenance/web?enable=true&reason=x", false, true },
	{ "/v1/agent/check/update/service%3Alictor", false, true },
	{ "/v1/health/node/web-1?filter=a", true, true },
	{ "/v1/catalog/node/web-1", true, true },
	{ "/v1/session/create", true, true },
	{ "/v1/session/renew/0", true, true },
	{ "/v1/txn", true, true },
	{ "/v1/txn?consistent", true, true },
	{ "/v1/kv/lictor/roles/?recurse&index=1&wait=2s", true, true },
};

static void
expect(size_t i, const struct conf_consul *conf, struct buf *out)
{
	const char *sep = strchr(paths[i].path, '?') ? "&" : "?";

	buf_printf(out, "%s", paths[i].path);
	if (paths[i].servers && conf->datacenter) {
		buf_printf(out, "%sdc=%s", sep, conf->datacenter);
		sep = "&";
	}
	if (paths[i].enterprise && conf->namespace) {
		buf_printf(out, "%sns=%s", sep, conf->namespace);
		sep = "&";
	}
	if (paths[i].enterprise && conf->partition)
		buf_printf(out, "%spartition=%s", sep, conf->partition);
}

/* The combination's number has a bit for each of the three. */
static struct conf_consul
combination(int number)
{
	static char datacenter[] = "dc1", namespace[] = "team-a",
		    partition[] = "part_1";

	return (struct conf_consul){
		.datacenter = number & 1 ? datacenter : NULL,
		.namespace = number & 2 ? namespace : NULL,
		.partition = number & 4 ? partition : NULL,
	};
}

static void
test_paths(void)
{
	for (int number = 0; number < 8; number++) {
		struct conf_consul conf = combination(number);

		for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
			AUTO_FREE char *path = scope_path(&conf, paths[i].path);
			struct buf want = { .limit = 1024 };

			expect(i, &conf, &want);
			CU_ASSERT_STRING_EQUAL(path, want.data);
			buf_free(&want);
		}
	}
}

static void
test_operations(void)
{
	static const char *const printed[] = { "{}", "{\"Namespace\":\"team-a\"}",
		"{\"Partition\":\"part_1\"}",
		"{\"Namespace\":\"team-a\",\"Partition\":\"part_1\"}" };

	for (int number = 0; number < 8; number++) {
		struct conf_consul conf = combination(number);
		AUTO_JSON cJSON *kv = cJSON_CreateObject();
		AUTO_FREE char *text = NULL;

		scope_operation(&conf, kv);
		text = json_print(kv);
		CU_ASSERT_STRING_EQUAL(text, printed[number >> 1]);
	}
}

static void
test_faults(void)
{
	static const char *const ns =
	    "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul "
	    "Enterprise feature";
	static const struct {
		int number, status;
		const char *body, *says;
	} table[] = {
		{ 2, 400, ns, "take namespace (CONSUL_NAMESPACE) away" },
		{ 6, 400, ns, "take namespace (CONSUL_NAMESPACE) away" },
		{ 4, 400, "Partitions are a Consul Enterprise feature",
		    "take partition (CONSUL_PARTITION) away" },
		{ 1, 400, ns, NULL },
		{ 2, 400, "Request decode failed", NULL },
		{ 2, 200, ns, NULL },
		{ 1, 500, "rpc error: No path to datacenter", "must be the agent's" },
		{ 0, 500, "No path to datacenter", NULL },
		{ 1, 500, "No cluster leader", NULL },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		struct conf_consul conf = combination(table[i].number);
		const char *fault = scope_fault(&conf, table[i].status, table[i].body);

		CU_ASSERT((fault != NULL) == (table[i].says != NULL));
		if (fault && table[i].says)
			CU_ASSERT_PTR_NOT_NULL(strstr(fault, table[i].says));
	}
}

static const struct tap_case cases[] = {
	{ "each path has what it takes", test_paths },
	{ "so has each operation of a transaction", test_operations },
	{ "what is of no use is named", test_faults },
};
TAP_MAIN("scope", cases)
