/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LEDGER_H
#define LICTOR_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/json.h"
#include "agent/consul/consul.h"
#include "agent/consul/report.h"

struct conf;
struct ledger;

struct ledger_out {
	/* A check without a result of ours took over the state that Consul shows. */
	void (*adopt)(void *arg, const struct conf_check *check, enum check_status status,
	    const char *output);
	/* The service "lictor" was registered: time for a heartbeat. */
	void (*vouched)(void *arg);
	/* Consul shows or ends a maintenance that is not ours; NULL: of the node. */
	void (*maintenance)(void *arg, const struct conf_service *service, bool on,
	    const char *reason);
	/* A call ended; the last thing in the callback. After CONSUL_AWAY, or NOT_FOUND (there
	 * is no such check), what Consul shows has to be read again. */
	void (*answered)(void *arg, enum consul_result result);
	void *arg;
};

/* Two columns for each service and check: what is true, and what Consul is believed to
 * show. What differs goes to the outbox. */
struct ledger *ledger_new(struct loop *loop, struct consul *consul,
    const struct conf *conf, const struct ledger_out *out);
void ledger_free(struct ledger *ledger);

/* The configuration is `next` from now on, the one before being there still. What is in
 * both goes on; Consul's picture has to be read for what is otherwise. */
void ledger_reload(struct ledger *ledger, const struct conf *next);

/* How Consul calls this host, once that is known: for what is said of a refusal. */
void ledger_node(struct ledger *ledger, const char *node);

/* Consul's picture: ledger_begin, each check, each service, ledger_end. `alive`: lictor's
 * own check had not run out. From ledger_begin on nothing leaves until ledger_end. What was
 * sent or answered after `asked_at` (loop_now) is not judged by this picture. */
void ledger_begin(struct ledger *ledger, bool alive, int64_t asked_at);
void ledger_shown_check(struct ledger *ledger, const char *id, const cJSON *shown);
void ledger_shown_service(struct ledger *ledger, const char *id, const cJSON *shown);
/* False: it shows otherwise what it may not be held against; another is needed soon. */
bool ledger_end(struct ledger *ledger);
/* Nothing leaves before the next ledger_end; what waited is forgotten (it will be found). */
void ledger_doubt(struct ledger *ledger);

/*
 * What Consul's servers show of this node, held against what the agent was told: the checks
 * of /v1/health/node, the services of /v1/catalog/node. Changes of our own are no reason to
 * read the agent's picture; what others do is.
 */
enum ledger_seen {
	LEDGER_SAME,
	LEDGER_FRESH,		/* it was told within 300 ms: it may be on its way */
	LEDGER_OTHER,		/* something of ours is missing, or not as it was told */
};
enum ledger_seen ledger_seen_checks(struct ledger *ledger, const cJSON *answer);
enum ledger_seen ledger_seen_services(struct ledger *ledger, const cJSON *services);
/* A number that changes with the maintenance that is shown, and the services of others. */
uint64_t ledger_seen_others(const struct ledger *ledger, const cJSON *answer);
/* A service of ours that is configured no more or was taken out; NULL: there is none. */
const char *ledger_seen_left(const struct ledger *ledger, const cJSON *services);
/* Registers again what was LEDGER_OTHER in the last such answer, of the services or of the
 * checks: the agent is right and its servers are not. What was told within 1 s is left. The
 * id of the first; NULL: none. */
const char *ledger_repair(struct ledger *ledger, bool services);

/* News. They leave with ledger_flush. */
void ledger_state(struct ledger *ledger, const struct conf_check *check,
    enum check_status status, const char *output);
void ledger_role(struct ledger *ledger, const struct conf_service *service,
    enum report_role role, uint64_t term);
/* Our own maintenance. Consul keeps the reason of the one that is shown: another is shown with
 * the next that begins. */
void ledger_upkeep(struct ledger *ledger, const struct conf_service *service, bool on,
    const char *reason);
/* What Consul did not take as it was is tried again: it may be another one. */
void ledger_renew(struct ledger *ledger);
/* The service "lictor" again, as soon as that may be asked of Consul. */
void ledger_vouch(struct ledger *ledger);
void ledger_flush(struct ledger *ledger);

/* From now on nothing but what on-stop asks for. */
void ledger_stop(struct ledger *ledger);

bool ledger_still(const struct ledger *ledger);	/* nothing is under way */
bool ledger_idle(const struct ledger *ledger);	/* nor queued */
bool ledger_settled(const struct ledger *ledger); /* nor set aside, or waited for */

#endif
