/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SCHEMA_H
#define LICTOR_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checks/check.h"

struct classes;

/* What a section may hold. */
struct schema {
	const char *name;
	bool titled;
	const struct check_option *options, *more;	/* a NULL name at the end; may be NULL */
	const struct schema *sections;			/* a NULL name at the end; may be NULL */
	bool checks;	/* every type of check is a section here, too */
	bool partial;	/* what is not in the tables is left out, unjudged */
	const struct classes *classes;	/* the types of check; NULL: those built in */
};

extern const struct schema schema_node_file;	 /* lictor.conf */
extern const struct schema schema_service_file; /* services.d/…conf */
extern const struct schema schema_node_alone;	 /* lictor.conf, what is in no section */

/* The i-th option or section, or NULL and false after the last. */
const struct check_option *schema_option(const struct schema *schema, size_t i);
bool schema_section(const struct schema *schema, size_t i, struct schema *out);

/* A word that a section of checks must not be called: it is an option or a section of
 * lictor's own where checks stand. */
bool schema_reserves(const char *name);

/* The least and the longest that a lease and a silence may be. */
#define SCHEMA_LEASE_MIN_MS 200
#define SCHEMA_LEASE_MAX_MS 60000
#define SCHEMA_SILENCE_MIN_MS 100
#define SCHEMA_SILENCE_MAX_MS 900

/* The values of a section as its table of options fills them in, before they are judged;
 * members as options_fill leaves them (options.h). */
struct raw_node {
	char *node, **plugins, *plugin_directory;
};
struct raw_consul {
	char *address, *token_file, *ca_file, *cert_file, *key_file, *server_name;
	char *datacenter, *namespace, *partition;
	bool verify;
	int64_t ttl_ms;
};
struct raw_defaults {
	int64_t interval_ms, fast_interval_ms, timeout_ms;
	uint64_t rise, fall;
};
struct raw_failover {
	char *fence, *lease, *silence, *address, *key_file;
	uint64_t port;
	bool heartbeats;
	int64_t hold_ms, hold_alone_ms;
};
struct raw_check {
	struct raw_defaults schedule;
	char *initial, *notes, *depends_on;
	uint64_t output_size, window, flap_threshold;
	uint64_t error_rate_warning, error_rate_critical;
	int64_t latency_warning_ms, latency_critical_ms;
};
struct raw_service {
	char *id, *address, *on_stop;
	uint64_t port, weight, warning_weight;
	int64_t deregister_after_ms;
	bool registered;
	char **tags, **meta;
};
struct raw_role {
	char **services;
	uint64_t priority;
	bool preempt, auto_init;
	int64_t preempt_delay_ms, lease_ms, silence_ms, within_ms;
	uint64_t limit;
	char *when_all_critical, *address_order, *master_tag, *backup_tag;
};
struct raw_vip {
	char *interface, *on_conflict;
	char **route, **rule;
	int64_t announce_refresh_ms;
	bool reset_connections;
};
struct raw_track {
	char *weight;
};
struct raw_hooks {
	char **promote, **demote, **notify, **environment;
	char *user;
	int64_t timeout_ms;
};

extern const struct check_option schema_node[], schema_consul[], schema_defaults[],
    schema_failover[], schema_check[], schema_service[], schema_role[], schema_vip[],
    schema_hooks[], schema_track[];

#endif
