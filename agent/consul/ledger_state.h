/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LEDGER_STATE_H
#define LICTOR_LEDGER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/consul/differ.h"
#include "agent/consul/ledger.h"
#include "agent/consul/outbox.h"

/*
 * What the files of the ledger share (ledger.c, ledger_tables.c, ledger_plan.c,
 * ledger_send.c; picture.c: what the agent shows; seen.c: what the servers do), and nobody
 * else may see.
 */

struct loop;
struct orders;

enum kind { KIND_SERVICE, KIND_CHECK, KIND_ORDER };

/* What Consul's agent shows of a service, for all we know. */
struct shown {
	bool there;
	bool ours;
	bool same_form;
	bool alias;
	bool lifeless; /* which says that lictor is dead */
	bool maintained, maintained_by_us;
	bool strange; /* a check that is not ours */
	unsigned int surplus; /* checks that are, and not configured */
};

struct entry {
	struct outbox_item item;
	const struct conf_service *conf; /* NULL: lictor itself */
	const char *id;
	uint32_t index; /* in the table */
	char *alias; /* the id of the check that shows lictor's life */
	enum report_role role;
	uint64_t term;
	struct shown shown;
	struct shown read; /* in the picture being read */
	char *reason, *read_reason; /* of a maintenance that is not ours; NULL: there is none */
	enum differ_do doing; /* in the call under way */
	size_t within; /* so many of its checks are registered with it */
	bool role_known;
	bool again; /* to be registered as it is */
	bool changed; /* since the call under way began */
	bool said; /* that it is registered; of a foreign one, that it is there */
	bool looked; /* for a foreign one */
	bool unsure; /* a registration had no answer, and may be carried out late */
	char *want_reason; /* of our own maintenance */
	bool want_maintained;
	bool upkept; /* that was said in this life */
	bool removed; /* by deregister-critical-after */
	int64_t critical_since; /* -1: it is not */
	uint64_t seen, alias_seen; /* in the servers' answer of this number */
	bool wrong, alias_wrong; /* there */
	struct complaint complaint;
};

/* There are thousands of these: mind their size. */
struct state {
	struct outbox_item item;
	const struct conf_check *conf;
	struct entry *entry; /* NULL: a check of the node */
	char *id;
	char *output;
	uint32_t index; /* in the table */
	bool known; /* there was a result, or Consul's state was taken over */
	bool there; /* Consul's agent shows it, for all we know, … */
	bool registered; /* … and in the form that it should have */
	bool read_there, read_registered; /* in the picture being read */
	bool apart; /* not registered with its service */
	bool bare; /* Consul shows no output of it yet */
	bool wrong; /* in the servers' answer of this number */
	uint64_t seen;
	enum check_status told : 8;
	enum check_status flying : 8; /* in a call of its own */
	enum check_status carried : 8; /* in a registration; CHECK_UNKNOWN: it was not */
	enum differ_do doing : 8; /* in the call under way */
	uint64_t told_output, flying_output; /* hashes */
	int64_t told_at;
	int64_t wait_until; /* for its first result, before it is shown */
};

/* So much may be sent of what can wait: a moment after which the next may go. */
struct budget {
	int64_t at;
};

struct ledger {
	struct loop *loop;
	const struct conf *conf;
	char *node; /* NULL: not known yet */
	struct ledger_out out;
	struct outbox *outbox;
	struct orders *orders;
	struct loop_timer *due; /* for what waits */
	int64_t due_at;
	struct entry **entries; /* of the services by index, then of lictor */
	struct state **states; /* by index of the check */
	/* by index of the check; CHECK_UNKNOWN: not to be shown yet */
	enum check_status *statuses;
	size_t waited_for; /* of those */
	struct entry **entries_by_id;
	struct state **states_by_id;
	uint64_t seen; /* answers of the servers */
	bool read_once;
	bool reading; /* what Consul shows is not known: nothing is planned */
	bool reloaded; /* since: what is otherwise is to be */
	int64_t asked_at; /* when that picture was asked for */
	int64_t read_at; /* when it was complete */
	bool alive; /* lictor's own check was, in the picture */
	bool lictor_there; /* an alias of it finds it: the others may follow */
	bool vouch; /* "lictor" is to be registered, unchanged as it may be, … */
	int64_t vouch_at; /* … not before */
	bool stopping;
	bool maintained; /* the node, by others */
	bool node_critical; /* in the picture being read: an alias sees that too */
	unsigned int behind; /* pictures in a row with an alias that does not see us live */
	char *reason, *read_reason; /* as of an entry */
	size_t next_stale; /* of the states */
	struct budget first, rest; /* outputs that Consul has none of, and others */
	struct complaint node_complaint;
};

/* ledger.c */
size_t ledger_entries(const struct ledger *ledger);	/* the services, and lictor */
struct entry *ledger_lictor(const struct ledger *ledger);
struct state *ledger_state_of(
    const struct ledger *ledger, const struct conf_check *check);
void ledger_set_status(struct ledger *ledger, const struct state *state,
    enum check_status status);
void ledger_set_output(struct state *state, const char *output);

/* ledger_tables.c */
void ledger_make_tables(struct ledger *ledger, const struct conf *conf);
void ledger_free_tables(struct ledger *ledger);

/* ledger_plan.c: whatever differs goes to the outbox. */
void ledger_plan(struct ledger *ledger);
void ledger_plan_entry(
    struct ledger *ledger, struct entry *entry, enum outbox_queue queue);
void ledger_plan_state(struct ledger *ledger, struct state *state);
void ledger_register(struct ledger *ledger, struct entry *entry);	/* as it is, again */
void ledger_register_check(struct ledger *ledger, struct state *state);	/* that one alone */
bool ledger_stands(const struct entry *entry);	/* it is shown as it should be */
void ledger_watch_critical(struct ledger *ledger, struct entry *entry);
uint64_t ledger_output_hash(const char *output);
int64_t ledger_refresh_ms(const struct state *state);
void ledger_wake(struct ledger *ledger, int64_t ms);	/* at the latest */
void ledger_on_due(void *arg);

/* ledger_send.c: what a call says, and what came of it. */
void ledger_build(void *arg, struct outbox_item *item, struct outbox_message *message);
void ledger_done(void *arg, struct outbox_item *item, const struct consul_reply *reply);
void ledger_describe(void *arg, const struct outbox_item *item, char *what,
    size_t what_size, char *needs, size_t needs_size);

/* differ's view of things */
struct differ_service ledger_view(const struct ledger *ledger, const struct entry *entry);
struct differ_check ledger_view_check(
    const struct ledger *ledger, const struct state *state);

/* picture.c: entries and states are found by their ids once their tables are ordered. */
void ledger_order(struct ledger *ledger);
struct state *ledger_find_state(const struct ledger *ledger, const char *id);
struct entry *ledger_find_entry(const struct ledger *ledger, const char *id);

#endif
