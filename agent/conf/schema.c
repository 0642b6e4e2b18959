/* SPDX-License-Identifier: ISC */
/*
 * Every option of lictor's own sections, its type, default and range, in the same kind of
 * table that a type of check declares its options with. tree.c makes libconfuse's tables
 * of them, options.c reads values by them, and a test holds the manual against them. What
 * is not here is an unknown option; a default is written as an operator would write it.
 */
#include "agent/conf/schema.h"

#include <string.h>

#include "agent/base/wire.h"
#include "agent/conf/classes.h"

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)

const struct check_option schema_node[] = {
	{ "node", CHECK_OPTION_TEXT, offsetof(struct raw_node, node) },
	{ "plugins", CHECK_OPTION_LIST, offsetof(struct raw_node, plugins) },
	{ "plugin-directory", CHECK_OPTION_DIRECTORY,
	    offsetof(struct raw_node, plugin_directory), .value = PKGLIBDIR },
	{ NULL },
};

const struct check_option schema_consul[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct raw_consul, address) },
	{ "token-file", CHECK_OPTION_FILE, offsetof(struct raw_consul, token_file) },
	{ "ca-file", CHECK_OPTION_FILE, offsetof(struct raw_consul, ca_file) },
	{ "cert-file", CHECK_OPTION_FILE, offsetof(struct raw_consul, cert_file) },
	{ "key-file", CHECK_OPTION_FILE, offsetof(struct raw_consul, key_file) },
	{ "server-name", CHECK_OPTION_TEXT, offsetof(struct raw_consul, server_name) },
	{ "datacenter", CHECK_OPTION_TEXT, offsetof(struct raw_consul, datacenter) },
	{ "namespace", CHECK_OPTION_TEXT, offsetof(struct raw_consul, namespace) },
	{ "partition", CHECK_OPTION_TEXT, offsetof(struct raw_consul, partition) },
	{ "verify", CHECK_OPTION_BOOL, offsetof(struct raw_consul, verify) },
	{ "ttl", CHECK_OPTION_DURATION,
	    offsetof(struct raw_consul, ttl_ms), /* build_ttl */
	    .min = SECOND, .max = HOUR },
	{ NULL },
};

/* Of the defaults, and of a check, where what the defaults say is there already. */
#define SCHEDULE(type, member, interval, fast, timeout, up, down)                    \
	{ "interval", CHECK_OPTION_DURATION, offsetof(type, member interval_ms),     \
		.value = (interval), .min = 10, .max = 24 * HOUR },                  \
	    { "fast-interval", CHECK_OPTION_DURATION,                                \
		    offsetof(type, member fast_interval_ms), .value = (fast),        \
		    .min = 10, .max = 24 * HOUR },                                   \
	    { "timeout", CHECK_OPTION_DURATION, offsetof(type, member timeout_ms),   \
		    .value = (timeout), .min = 10, .max = HOUR },                    \
	    { "rise", CHECK_OPTION_UINT, offsetof(type, member rise), .value = (up), \
		    .min = 1, .max = 1000 },                                         \
	{                                                                            \
		"fall", CHECK_OPTION_UINT, offsetof(type, member fall),              \
		    .value = (down), .min = 1, .max = 1000                           \
	}

const struct check_option schema_defaults[] = {
	SCHEDULE(struct raw_defaults, , "2s", "500ms", "2s", "2", "3"),
	{ NULL },
};

const struct check_option schema_failover[] = {
	{ "fence", CHECK_OPTION_TEXT, offsetof(struct raw_failover, fence),
	    .value = "auto" },
	{ "lease", CHECK_OPTION_TEXT, offsetof(struct raw_failover, lease),
	    .value = "auto" },
	{ "silence", CHECK_OPTION_TEXT, offsetof(struct raw_failover, silence),
	    .value = "auto" },
	{ "address", CHECK_OPTION_TEXT, offsetof(struct raw_failover, address) },
	{ "port", CHECK_OPTION_UINT, offsetof(struct raw_failover, port),
	    .value = "8521", .min = 1, .max = 65535 },
	{ "heartbeats", CHECK_OPTION_BOOL, offsetof(struct raw_failover, heartbeats),
	    .value = "true" },
	{ "key-file", CHECK_OPTION_FILE, offsetof(struct raw_failover, key_file) },
	{ "outage-hold", CHECK_OPTION_DURATION, offsetof(struct raw_failover, hold_ms),
	    .value = "1h", .min = 0, .max = 24 * HOUR },
	{ "outage-hold-alone", CHECK_OPTION_DURATION,
	    offsetof(struct raw_failover, hold_alone_ms), .value = "60s", .min = 0,
	    .max = 24 * HOUR },
	{ NULL },
};

const struct check_option schema_check[] = {
	SCHEDULE(struct raw_check, schedule., NULL, NULL, NULL, NULL, NULL),
	{ "initial", CHECK_OPTION_TEXT, offsetof(struct raw_check, initial),
	    .value = "critical" },
	{ "depends-on", CHECK_OPTION_TEXT, offsetof(struct raw_check, depends_on) },
	{ "flap-threshold", CHECK_OPTION_UINT,
	    offsetof(struct raw_check, flap_threshold), .value = "20", .min = 0,
	    .max = 100 },
	{ "window", CHECK_OPTION_UINT, offsetof(struct raw_check, window),
	    .value = "20", .min = 1, .max = 1000 },
	{ "error-rate-warning", CHECK_OPTION_UINT,
	    offsetof(struct raw_check, error_rate_warning), .min = 1, .max = 100 },
	{ "error-rate-critical", CHECK_OPTION_UINT,
	    offsetof(struct raw_check, error_rate_critical), .min = 1, .max = 100 },
	{ "latency-warning", CHECK_OPTION_DURATION,
	    offsetof(struct raw_check, latency_warning_ms), .min = 1, .max = HOUR },
	{ "latency-critical", CHECK_OPTION_DURATION,
	    offsetof(struct raw_check, latency_critical_ms), .min = 1, .max = HOUR },
	{ "output-size", CHECK_OPTION_UINT, offsetof(struct raw_check, output_size),
	    .value = "4096", .min = 1, .max = WIRE_OUTPUT_MAX },
	{ "notes", CHECK_OPTION_TEXT, offsetof(struct raw_check, notes) },
	{ NULL },
};

const struct check_option schema_service[] = {
	{ "id", CHECK_OPTION_TEXT, offsetof(struct raw_service, id) },
	{ "address", CHECK_OPTION_TEXT, offsetof(struct raw_service, address) },
	{ "port", CHECK_OPTION_UINT, offsetof(struct raw_service, port), .min = 1,
	    .max = 65535 },
	{ "tags", CHECK_OPTION_LIST, offsetof(struct raw_service, tags) },
	{ "meta", CHECK_OPTION_LIST, offsetof(struct raw_service, meta) },
	{ "weight", CHECK_OPTION_UINT, offsetof(struct raw_service, weight),
	    .value = "1", .min = 1, .max = 65535 },
	{ "warning-weight", CHECK_OPTION_UINT,
	    offsetof(struct raw_service, warning_weight), .value = "1", .min = 0,
	    .max = 65535 },
	{ "on-stop", CHECK_OPTION_TEXT, offsetof(struct raw_service, on_stop),
	    .value = "leave" },
	{ "deregister-critical-after", CHECK_OPTION_DURATION,
	    offsetof(struct raw_service, deregister_after_ms), .min = 10 * SECOND,
	    .max = 24 * HOUR },
	{ "register", CHECK_OPTION_BOOL, offsetof(struct raw_service, registered),
	    .value = "true" },
	{ NULL },
};

const struct check_option schema_role[] = {
	{ "services", CHECK_OPTION_LIST, offsetof(struct raw_role, services) },
	{ "priority", CHECK_OPTION_UINT, offsetof(struct raw_role, priority),
	    .value = "100", .min = 0, .max = 1000000 },
	{ "preempt", CHECK_OPTION_BOOL, offsetof(struct raw_role, preempt),
	    .value = "false" },
	{ "preempt-delay", CHECK_OPTION_DURATION,
	    offsetof(struct raw_role, preempt_delay_ms), .value = "0s", .min = 0,
	    .max = 24 * HOUR },
	{ "when-all-critical", CHECK_OPTION_TEXT,
	    offsetof(struct raw_role, when_all_critical), .value = "keep" },
	{ "address", CHECK_OPTION_TEXT, offsetof(struct raw_role, address_order),
	    .value = "after-promote" },
	{ "master-tag", CHECK_OPTION_TEXT, offsetof(struct raw_role, master_tag),
	    .value = "master" },
	{ "backup-tag", CHECK_OPTION_TEXT, offsetof(struct raw_role, backup_tag),
	    .value = "backup" },
	{ "auto-init", CHECK_OPTION_BOOL, offsetof(struct raw_role, auto_init),
	    .value = "true" },
	{ "lease", CHECK_OPTION_DURATION, offsetof(struct raw_role, lease_ms),
	    .min = SCHEMA_LEASE_MIN_MS, .max = SCHEMA_LEASE_MAX_MS },
	{ "silence", CHECK_OPTION_DURATION, offsetof(struct raw_role, silence_ms),
	    .min = SCHEMA_SILENCE_MIN_MS, .max = SCHEMA_SILENCE_MAX_MS },
	{ "limit", CHECK_OPTION_UINT, offsetof(struct raw_role, limit), .value = "5",
	    .min = 0, .max = 16 },
	{ "within", CHECK_OPTION_DURATION, offsetof(struct raw_role, within_ms),
	    .value = "10m", .min = SECOND, .max = 24 * HOUR },
	{ NULL },
};

const struct check_option schema_vip[] = {
	{ "interface", CHECK_OPTION_TEXT, offsetof(struct raw_vip, interface),
	    .required = true },
	{ "announce-refresh", CHECK_OPTION_DURATION,
	    offsetof(struct raw_vip, announce_refresh_ms), .value = "60s", .min = 0,
	    .max = 24 * HOUR },
	{ "route", CHECK_OPTION_LIST, offsetof(struct raw_vip, route) },
	{ "rule", CHECK_OPTION_LIST, offsetof(struct raw_vip, rule) },
	{ "on-conflict", CHECK_OPTION_TEXT, offsetof(struct raw_vip, on_conflict),
	    .value = "defend" },
	{ "reset-connections", CHECK_OPTION_BOOL,
	    offsetof(struct raw_vip, reset_connections), .value = "true" },
	{ NULL },
};

const struct check_option schema_hooks[] = {
	{ "promote", CHECK_OPTION_COMMAND, offsetof(struct raw_hooks, promote) },
	{ "demote", CHECK_OPTION_COMMAND, offsetof(struct raw_hooks, demote) },
	{ "notify", CHECK_OPTION_COMMAND, offsetof(struct raw_hooks, notify) },
	{ "timeout", CHECK_OPTION_DURATION, offsetof(struct raw_hooks, timeout_ms),
	    .value = "30s", .min = 100, .max = HOUR },
	{ "user", CHECK_OPTION_USER, offsetof(struct raw_hooks, user) },
	{ "environment", CHECK_OPTION_ENVIRONMENT,
	    offsetof(struct raw_hooks, environment) },
	{ NULL },
};

const struct check_option schema_track[] = {
	{ "weight", CHECK_OPTION_TEXT, offsetof(struct raw_track, weight) },
	{ NULL },
};

static const struct schema track_sections[] = {
	{ "check", .titled = true, .options = schema_track },
	{ "interface", .titled = true, .options = schema_track },
	{ NULL },
};

static const struct schema role_sections[] = {
	{ "vip", .titled = true, .options = schema_vip },
	{ "hooks", .options = schema_hooks },
	{ "track", .sections = track_sections },
	{ NULL },
};

static const struct schema file_sections[] = {
	{ "service", .titled = true, .options = schema_service, .checks = true },
	{ "role", .titled = true, .options = schema_role, .sections = role_sections },
	{ NULL },
};

static const struct schema node_sections[] = {
	{ "consul", .options = schema_consul },
	{ "defaults", .options = schema_defaults },
	{ "failover", .options = schema_failover },
	{ "service", .titled = true, .options = schema_service, .checks = true },
	{ "role", .titled = true, .options = schema_role, .sections = role_sections },
	{ NULL },
};

const struct schema schema_node_file = {
	"lictor.conf",
	.options = schema_node,
	.sections = node_sections,
	.checks = true,
};

const struct schema schema_service_file = {
	"a file of services.d",
	.sections = file_sections,
	.checks = true,
};

const struct schema schema_node_alone = {
	"lictor.conf",
	.options = schema_node,
	.partial = true,
};

static size_t
table_length(const struct check_option *table)
{
	size_t n = 0;

	while (table != NULL && table[n].name != NULL)
		n++;
	return n;
}

const struct check_option *
schema_option(const struct schema *schema, size_t i)
{
	size_t n = table_length(schema->options);

	if (i < n)
		return &schema->options[i];
	return i - n < table_length(schema->more) ? &schema->more[i - n] : NULL;
}

bool
schema_section(const struct schema *schema, size_t i, struct schema *out)
{
	size_t n = 0;

	for (; schema->sections != NULL && schema->sections[n].name != NULL; n++)
		if (n == i) {
			*out = schema->sections[n];
			out->classes = schema->classes;
			return true;
		}
	if (!schema->checks || i - n >= classes_count(schema->classes))
		return false;
	const struct check_class *class = classes_at(schema->classes, i - n);
	*out = (struct schema){ class->name, .titled = true, .options = schema_check,
		.more = class->options,
		.partial = classes_stands_in(schema->classes, class) };
	return true;
}

static bool
has_option(const struct check_option *table, const char *name)
{
	while (table->name != NULL && strcmp(table->name, name) != 0)
		table++;
	return table->name != NULL;
}

bool
schema_reserves(const char *name)
{
	for (const struct schema *s = node_sections; s->name != NULL; s++)
		if (strcmp(s->name, name) == 0 ||
		    (s->checks && has_option(s->options, name)))
			return true;
	return has_option(schema_node, name);
}
