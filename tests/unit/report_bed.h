/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_REPORT_BED_H
#define LICTOR_TESTS_REPORT_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/json.h"
#include "agent/conf/conf.h"
#include "agent/consul/report.h"
#include "checks/check.h"
#include "tests/unit/consul_server.h"

struct consul;
struct loop;

#define LIMIT_MS 30000
#define TTL_MS 900
#define CHECKS 4
#define SERVICES 2
/* The configuration owns its texts elsewhere. */
#define TEXT(text) ((char *)(text))

extern struct consul_server *server; /* of this program's cases */

struct fixture {
	struct loop *loop;
	struct conf conf;
	struct conf_role role;
	struct conf_service db, web, *services[SERVICES];
	struct conf_check checks[CHECKS], *all[CHECKS];
	const struct conf_check *of_db[2], *of_web[1];
	struct consul *consul;
	struct report *report;
	/* the truth */
	enum check_status status[CHECKS];
	char output[CHECKS][64];
	bool told[CHECKS];
	enum report_role db_role;
	unsigned int term;
	/* what came back */
	enum check_status adopted_status[CHECKS];
	char adopted_output[CHECKS][64];
	enum check_status adopted_last;
	unsigned int adoptions, adopted, stopped;
	char maintained[64]; /* db's, and the reason; empty: it is not */
	char node[CONF_NAME_MAX + 1];
};

/* Two services, one of a role, and a check of the node. */
void configure(struct fixture *f);
/* Starts to report, knowing nothing. */
void make(struct fixture *f);
/* lictord dies. */
void unmake(struct fixture *f);
/* Of a fixture, for until(), as what else takes `arg`. */
bool in_sync(void *arg);
/* A fresh lictord, and what the case before left is gone. */
void open_fixture(struct fixture *f);
void close_fixture(struct fixture *f);
/* lictord dies and comes back, knowing nothing. */
void restart(struct fixture *f);
/* Past lictor; `path` of Consul's HTTP API. */
void put(const char *path, const char *body);
/* NULL: there is no answer. The caller frees it. */
cJSON *get(const char *path);
bool text_is(const cJSON *object, const char *name, const char *expected);
/* What is true from now on, told to report. */
void tell(struct fixture *f, uint32_t i, enum check_status status, const char *output);
void tell_role(struct fixture *f, enum report_role role, unsigned int term);
bool db_shown(const struct fixture *f, const cJSON *services);
/* Everything that is true is shown, and lictor's life in each service. */
bool all_shown(void *arg);
void tell_all(struct fixture *f, enum check_status status);
bool check_is(const char *id, const char *status);
bool service_is_there(const char *id);
/* When the servers took the check last. */
uint64_t modified(const char *id);

#endif
