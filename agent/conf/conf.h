/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CONF_H
#define LICTOR_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checks/check.h"

struct blackbox;
struct classes;

/*
 * The configuration as one immutable tree. The runner reads the files once
 * (conf_read), checks them (conf_parse) and hands the bytes on as a sealed memfd; each
 * process parses the same bytes (conf_receive), so that an index into `vips`, `commands`,
 * `checks`, `services` or `roles` means the same in all three.
 */

#define CONF_NAME_MAX 63	/* node, service, check and role names */
#define CONF_ERROR_MAX 512
#define CONF_PLUGINS_MAX 64

enum conf_on_stop { CONF_LEAVE, CONF_MAINTENANCE, CONF_DEREGISTER };
enum conf_address_order { CONF_AFTER_PROMOTE, CONF_BEFORE_PROMOTE };
enum conf_all_critical { CONF_KEEP, CONF_RELEASE };
enum conf_fence { CONF_FENCE_AUTO, CONF_FENCE_BPF, CONF_FENCE_LIFETIME };
enum conf_on_conflict { CONF_DEFEND, CONF_YIELD };

struct conf_consul {
	char *address;		/* "http://127.0.0.1:8500"; CONSUL_HTTP_ADDR counts */
	char *unix_socket;	/* set for unix://…; the address is then "http://localhost" */
	char *token;		/* CONSUL_HTTP_TOKEN, or NULL; token_file wins */
	char *token_file;
	char *auth;		/* CONSUL_HTTP_AUTH, "user:password", or NULL */
	char *datacenter, *namespace, *partition;	/* NULL: not said */
	/* the first may be a folder, of CONSUL_CAPATH */
	char *ca_file, *cert_file, *key_file, *server_name;
	bool verify;
	int64_t ttl_ms;
};

/* How the host is known to its peers, and how long it holds without Consul (failover
 * protocol, section 8). */
struct conf_failover {
	char *address;		/* where peers send heartbeats; NULL: the Consul agent's own */
	unsigned int port;
	bool heartbeats;
	char *key_file;		/* NULL: Consul's KV, lictor/heartbeat-key */
	int64_t silence_ms;	/* as written, 0: auto; what counts is conf_silence() */
	int64_t hold_ms, hold_alone_ms;	/* outage-hold, outage-hold-alone; 0: off */
};

enum conf_command_kind { CONF_COMMAND_CHECK, CONF_COMMAND_HOOK };
struct conf_command {
	uint32_t index;
	enum conf_command_kind kind;
	char **argv;		/* argv[0] is an absolute path */
	char *user;		/* NULL: lictor-check, or whoever lictord runs as */
	char **environment;	/* "NAME=value", NULL at the end; never NULL */
	char *directory;	/* NULL: "/" */
	uint64_t memory, processes, files;	/* limits, 0: none */
	const struct conf_role *role;	/* of a hook */
	const char *hook;		/* "promote", "demote", "notify" */
};

/* A type of check that is loaded, where types are loaded at all (conf_load). */
struct conf_plugin {
	uint32_t index;
	char *name;
	const struct check_class *class; /* its own; without code where it is not loaded */
	char *left_out;			 /* why it is not, where it should be; NULL */
	uint64_t mark;			 /* of the file that was loaded; 0: none was */
	const char *file;
	int line;
};

/* Of a passive class all three times are its "ttl". There are thousands: mind the size. */
struct conf_check {
	uint32_t index;
	const struct check_class *class;
	char *name;
	const struct conf_service *service;	/* NULL: a check of the node */
	void *options;				/* class->conf_size bytes */
	const struct conf_command *command;	/* NULL if the class has none */
	int64_t interval_ms, fast_interval_ms, timeout_ms;
	unsigned int rise, fall;
	const struct conf_check *depends_on;	/* NULL: none; never a circle */
	uint32_t latency_warning_ms, latency_critical_ms;	/* 0: none */
	uint16_t window;			/* results */
	uint8_t error_rate_warning, error_rate_critical;	/* percent; 0: none */
	uint8_t flap_threshold;			/* percent; 0: off */
	enum check_status initial : 8;
	size_t output_size;
	char *notes;
	const char *file;
	int line;
};

struct conf_service {
	uint32_t index;
	char *name, *id;
	char *address;		/* NULL: the node's */
	unsigned int port;	/* 0: none */
	char **tags;		/* NULL at the end; never NULL */
	char **meta;		/* "key=value" */
	unsigned int weight, warning_weight;
	enum conf_on_stop on_stop;
	bool foreign;		/* register = false: somebody else registers it */
	int64_t deregister_after_ms;	/* critical for so long; 0: never */
	const struct conf_role *role;	/* the role that lists it, or NULL */
	const struct conf_check **checks;
	size_t n_checks;
	const char *file;
	int line;
};

/* What goes with an address: put there after it, taken away before it. */
struct conf_route {
	int family;		/* AF_INET, AF_INET6, of all addresses in it */
	unsigned char to[16];
	unsigned int to_prefix;	/* 0: the default route */
	bool has_via;		/* or the interface itself */
	unsigned char via[16];
	uint32_t table, metric;	/* metric 0: the kernel's default */
};
struct conf_rule {
	int family;
	unsigned char from[16], to[16];
	unsigned int from_prefix, to_prefix;	/* 0: any */
	uint32_t table, priority;
};

struct conf_vip {
	uint32_t index;
	const struct conf_role *role;
	char *text;		/* as written, without the prefix */
	int family;		/* AF_INET, AF_INET6 */
	unsigned char address[16];
	unsigned int prefix;	/* 32 or 128 unless written */
	char *interface;
	int64_t announce_refresh_ms;
	struct conf_route *routes;
	size_t n_routes;
	struct conf_rule *rules;
	size_t n_rules;
	enum conf_on_conflict on_conflict;
	bool reset_connections;	/* end what still stands on the address once it is gone */
	const char *file;
	int line;
};

/* What takes from a role's priority while it has failed. */
enum conf_track_kind { CONF_TRACK_CHECK, CONF_TRACK_INTERFACE };
struct conf_track {
	uint32_t index;
	enum conf_track_kind kind;
	const struct conf_role *role;
	char *name;			/* the check's label, or the interface */
	const struct conf_check *check;	/* NULL: an interface */
	int weight;			/* below 0 */
};

struct conf_role {
	uint32_t index;
	char *name;
	const struct conf_service **services;
	size_t n_services;
	unsigned int priority;
	bool preempt;
	int64_t preempt_delay_ms;
	enum conf_all_critical when_all_critical;
	enum conf_address_order address_order;
	char *master_tag, *backup_tag;
	bool auto_init;
	int64_t lease_ms, silence_ms; /* as written, 0: the node's; see conf_role_lease() */
	unsigned int limit;	/* failovers within within_ms; 0: any number */
	int64_t within_ms;
	const struct conf_vip **vips;
	size_t n_vips;
	const struct conf_track **tracks;
	size_t n_tracks;
	const struct conf_command *promote, *demote, *notify;	/* NULL: none */
	int64_t hook_timeout_ms;
	const char *file;
	int line;
};

struct conf {
	uint64_t generation;	/* digest of the bytes */
	char *node;		/* NULL: the local Consul agent's node name */
	struct conf_consul consul;
	int64_t lease_ms;	/* as written, 0: auto; what counts is conf_role_lease() */
	enum conf_fence fence;	/* as written; which it is, the runner finds out once */
	struct conf_failover failover;
	char *plugin_directory;
	struct conf_plugin **plugins;
	size_t n_plugins;
	struct conf_service **services;
	size_t n_services;
	struct conf_check **checks;
	size_t n_checks;
	struct conf_role **roles;
	size_t n_roles;
	struct conf_vip **vips;
	size_t n_vips;
	struct conf_track **tracks;
	size_t n_tracks;
	struct conf_command **commands;
	size_t n_commands;
	/* private: what the tree is made of */
	struct conf_bundle *bundle;
	struct classes *classes;
};

/* The bytes of lictor.conf and of services.d (files ending in .conf, sorted by name) under `dir`, with
 * their names. NULL with `error` "FILE:LINE: what is wrong, what is expected" (FILE: … where
 * there is no line). */
struct conf_bundle *conf_read(const char *dir, char error[CONF_ERROR_MAX]);
void conf_bundle_free(struct conf_bundle *bundle);

/* Takes the bundle over, also on failure. Strict; NULL with the first fault in `error`. Loads no
 * plugin: of a check of a plugin's type only the options that all checks have are there. Looks at
 * the host only for what must be there (commands, files, users) or must not (permanent
 * addresses), and not at all for a bundle that conf_receive made: who read the files has
 * looked, and a program that vanished since must not keep a process from starting. */
struct conf *conf_parse(struct conf_bundle *bundle, char error[CONF_ERROR_MAX]);
/* The same with plugins, for the agent and for tests of the configuration. */
struct conf_loading {
	bool strict;		/* a plugin that cannot be loaded is a fault; or it is left out */
	uint64_t left_out;	/* bits, by index: those not even to be tried, … */
	const char *left_out_why; /* … and why */
	struct blackbox *blackbox; /* notes whose code runs; NULL: none does */
	const struct conf *running; /* what it left out stays left out; NULL: none runs */
};
struct conf *conf_load(struct conf_bundle *bundle, const struct conf_loading *loading,
    char error[CONF_ERROR_MAX]);
void conf_free(struct conf *conf);

/* A sealed memfd (F_SEAL_WRITE, …) with the bundle's bytes; -errno on failure. */
int conf_send(const struct conf *conf);
/* The same bytes back; closes nothing. */
struct conf_bundle *conf_receive(int fd, char error[CONF_ERROR_MAX]);

/* The longest that the hooks of a role may take; 0: there is none. */
int64_t conf_longest_hook(const struct conf *conf);

/* L, g and D of the failover protocol with this kind of fence: how long the master may hold
 * after the last confirmation, how late the fence may be, and how long a master may be
 * unheard. conf_lease: of a role that says nothing of its own; conf_longest_lease: of all. */
int64_t conf_lease(const struct conf *conf, bool bpf);
int64_t conf_role_lease(const struct conf *conf, const struct conf_role *role, bool bpf);
int64_t conf_longest_lease(const struct conf *conf, bool bpf);
int64_t conf_margin(bool bpf);
int64_t conf_silence(const struct conf *conf, const struct conf_role *role, bool bpf);
/* Was this lictord built with it? */
bool conf_has_bpf(void);
/* Else conf_lease(conf, false) is the default. */
bool conf_lease_suits_lifetime(int64_t lease_ms);

const struct conf_role *conf_find_role(const struct conf *conf, const char *name);
const struct conf_service *conf_find_service(const struct conf *conf, const char *name);

/* How people call a check: "service/check", or the name of a check of the node. */
#define CONF_LABEL_MAX (2 * CONF_NAME_MAX + 2)
void conf_check_label(const struct conf_check *check, char label[CONF_LABEL_MAX]);
/* By its label; NULL: there is none. */
const struct conf_check *conf_find_check(const struct conf *conf, const char *label);

#endif
