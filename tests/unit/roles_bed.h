/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_ROLES_BED_H
#define LICTOR_TESTS_ROLES_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/conf/conf.h"
#include "agent/failover/hooks.h"
#include "agent/failover/roles.h"
#include "agent/health/service.h"
#include "tests/unit/consul_server.h"

#define LIMIT_MS 30000
#define CALM_LEASE_MS 3000 /* that a busy machine does not lose */
#define AGENTS 2

extern struct consul_server *server;	/* of this program's cases */

struct agent {
	char heard_at[16]; /* by heartbeats */
	struct test *test;
	char node[16], service_name[8], address[16], interface[8], state_dir[64];
	struct conf conf;
	struct conf_role role, *roles[1];
	struct conf_service service, *services[1];
	const struct conf_service *of_role[1];
	struct conf_vip vip, *vips_list[1];
	const struct conf_vip *vips_of_role[1];
	struct conf_command promote, demote;
	struct consul *consul;
	struct wire *wire, *warden;
	struct vips *vips;
	struct hooks *hooks;
	struct roles *roles_module;
	uint64_t run; /* a hook that runs */
	bool hooks_end; /* at once, well */
	unsigned int promoted, demoted, changes, stopped;
	bool bpf; /* the kind of its fence */
	bool down; /* its interface */
	bool master; /* as told to tags */
	uint64_t term;
	int64_t held_until; /* as the warden has it; 0: dropped */
	unsigned int probes; /* that it was asked for */
	enum {
		NOBODY,
		FOREIGN,
		ONCE,
		SILENT
	} probed; /* what it finds, or says nothing */
};

struct test {
	struct loop *loop;
	char name[16];
	struct agent agents[AGENTS];
	size_t n_agents;
	struct pace *pace;
};

/* Agents web-1, web-2, ... of one role, with one address or none; not started yet. */
void set_up_agents(struct test *test, const char *role_name, size_t n_agents,
    bool with_vip);
void tear_down(struct test *test);
/* Its interface comes up, or goes down. */
void set_carrier(struct agent *agent, bool up);
/* A register that nobody holds: an election without the waits of a first start. */
void put_free_register(const struct test *test);
/* All of them, with a service that is well. */
void start_all(struct test *test);
void start(struct agent *agent);
/* As SIGKILL does it: nothing is said to anybody. */
void kill_agent(struct agent *agent);

void health(struct agent *agent, enum check_status status);
void end_hook(struct agent *agent, uint32_t value);

/* As its warden has it: the address is there. */
bool holds(const struct agent *agent);
/* As tags are told; there are not two. NULL: none. */
struct agent *find_master(struct test *test);
/* Waits for one with its address, and for all to be seen. */
struct agent *elect(struct test *test);
struct agent *other(struct test *test, const struct agent *agent);
/* Within the time, less what this machine and its Consul need for the steps between: each is
 * a write, or a wait for somebody to see one. */
bool is_soon(const struct test *test, int64_t began, int64_t limit_ms);
/* The role goes from one to the other, and no time is lost over it. */
void expect_handover(struct test *test, const struct agent *from, struct agent *to);

/* Conditions: of an agent, with its address; of a test, each candidate seen by each, ready. */
bool is_master(void *arg);
bool both_present(void *arg);
#endif
