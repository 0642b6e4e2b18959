/* SPDX-License-Identifier: ISC */
/*
 * The options that every check has, as they end in the configuration: what a section says,
 * what it leaves out, what is left to a type that only waits for reports, and which check
 * a name means. What is refused is in broken.table.
 */
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "tests/unit/tap.h"

static struct conf *
parse(const char *text)
{
	struct bundle_file files[] = {
		{ "environment", "", 0 },
		{ "lictor.conf", text, strlen(text) },
	};
	char error[CONF_ERROR_MAX] = "";
	struct conf *conf = conf_parse(bundle_new(files, 2), error);

	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	return conf;
}

static void
thresholds(void)
{
	struct conf *conf =
	    parse("tcp \"plain\" { address = \"127.0.0.1:1\" }\n"
		  "tcp \"full\" { address = \"127.0.0.1:1\"\n"
		  "  flap-threshold = 0  window = 1000\n"
		  "  error-rate-warning = 1  error-rate-critical = 100\n"
		  "  latency-warning = 1ms  latency-critical = 1h }\n");
	const struct conf_check *plain = conf->checks[0], *full = conf->checks[1];

	CU_ASSERT_EQUAL(plain->flap_threshold, 20);
	CU_ASSERT_EQUAL(plain->window, 20);
	CU_ASSERT_EQUAL(plain->error_rate_warning, 0);
	CU_ASSERT_EQUAL(plain->error_rate_critical, 0);
	CU_ASSERT_EQUAL(plain->latency_warning_ms, 0);
	CU_ASSERT_EQUAL(plain->latency_critical_ms, 0);
	CU_ASSERT_PTR_NULL(plain->depends_on);
	CU_ASSERT_EQUAL(full->flap_threshold, 0);
	CU_ASSERT_EQUAL(full->window, 1000);
	CU_ASSERT_EQUAL(full->error_rate_warning, 1);
	CU_ASSERT_EQUAL(full->error_rate_critical, 100);
	CU_ASSERT_EQUAL(full->latency_warning_ms, 1);
	CU_ASSERT_EQUAL(full->latency_critical_ms, 3600000);
	conf_free(conf);
}

static void
passive(void)
{
	struct conf *conf = parse("defaults { interval = 100ms  rise = 7  fall = 8 }\n"
				  "ttl \"plain\" { ttl = 30s }\n"
				  "ttl \"full\" { ttl = 24h  rise = 2  fall = 3 }\n");

	CU_ASSERT(conf->checks[0]->class->passive);
	CU_ASSERT_EQUAL(conf->checks[0]->interval_ms, 30000);
	CU_ASSERT_EQUAL(conf->checks[0]->fast_interval_ms, 30000);
	CU_ASSERT_EQUAL(conf->checks[0]->timeout_ms, 30000);
	CU_ASSERT_EQUAL(conf->checks[0]->rise, 1);
	CU_ASSERT_EQUAL(conf->checks[0]->fall, 1);
	CU_ASSERT_EQUAL(conf->checks[1]->timeout_ms, 24 * 3600000);
	CU_ASSERT_EQUAL(conf->checks[1]->rise, 2);
	CU_ASSERT_EQUAL(conf->checks[1]->fall, 3);
	conf_free(conf);
}

#define A "address = \"127.0.0.1:1\""

/* The same name in the service, in another one and on the node. */
static void
depends(void)
{
	static const struct {
		const char *check, *on; /* NULL: nothing */
	} rows[] = {
		{ "up", NULL },
		{ "leaf", "x/up" },
		{ "x/up", "up" },
		{ "x/own", "x/up" },
		{ "x/node", "net" },
		{ "x/other", "y/up" },
		{ "y/up", NULL },
		{ "net", "leaf" },
	};
	struct conf *conf = parse("tcp \"up\" { " A " }\n"
				  "tcp \"leaf\" { " A " depends-on = \"x/up\" }\n"
				  "service \"x\" {\n"
				  "  tcp \"node\" { " A " depends-on = net }\n"
				  "  tcp \"own\" { " A " depends-on = up }\n"
				  "  tcp \"up\" { " A " depends-on = up }\n"
				  "  tcp \"other\" { " A " depends-on = \"y/up\" }\n"
				  "}\n"
				  "service \"y\" { tcp \"up\" { " A " } }\n"
				  "tcp \"net\" { " A " depends-on = leaf }\n");

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct conf_check *check = conf_find_check(conf, rows[i].check);
		char label[CONF_LABEL_MAX] = "";
		CU_ASSERT_PTR_NOT_NULL_FATAL(check);
		conf_check_label(check, label);
		CU_ASSERT_STRING_EQUAL(label, rows[i].check);
		CU_ASSERT_EQUAL(check->depends_on == NULL, rows[i].on == NULL);
		if (check->depends_on == NULL || rows[i].on == NULL)
			continue;
		conf_check_label(check->depends_on, label);
		CU_ASSERT_STRING_EQUAL(label, rows[i].on);
	}
	CU_ASSERT_PTR_NULL(conf_find_check(conf, "x/"));
	CU_ASSERT_PTR_NULL(conf_find_check(conf, "/up"));
	CU_ASSERT_PTR_NULL(conf_find_check(conf, "x/net"));
	CU_ASSERT_PTR_NULL(conf_find_check(conf, "own"));
	CU_ASSERT_PTR_NULL(conf_find_check(conf, ""));
	conf_free(conf);
}

static const struct tap_case cases[] = {
	{ "thresholds are as written, and otherwise by default", thresholds },
	{ "a type that waits for reports has its ttl for all times", passive },
	{ "a name means a check of the service, or of the node", depends },
};
TAP_MAIN("conf_check", cases)
