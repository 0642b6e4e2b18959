/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LEDGER_STATE_H
#define LICTOR_LEDGER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/consul/ledger.h"
#include "agent/consul/outbox.h"

/*
 * What ledger.c (what is true, and what of it is sent) and picture.c (what Consul shows)
 * share, and nobody else may see.
 */

#define LEDGER_OUTPUT_MS 30000 /* between updates that change nothing but the output */
#define LEDGER_REFRESH_MS 3600000 /* of a state that stays: its TTL is 4 h */

struct loop;
struct orders;

enum kind { KIND_SERVICE, KIND_CHECK, KIND_ORDER };

struct entry {
	struct outbox_item item;
	const struct conf_service *conf; /* NULL: lictor itself */
	const char *id;
	char *alias; /* the id of the check that shows lictor's life */
	enum report_role role;
	uint64_t term;
	bool role_known;
	bool registered; /* as it should be, for all we know */
	bool alias_shown, shown; /* in the picture being read */
	bool said; /* that it is registered */
	uint64_t seen, alias_seen; /* in the servers' answer of this number */
	bool wrong, alias_wrong; /* there */
	bool unsure; /* a registration had no answer, and may be carried out late */
	struct complaint complaint;
};

/* There are thousands of these: mind their size. */
struct state {
	struct outbox_item item;
	const struct conf_check *conf;
	struct entry *entry; /* NULL: a check of the node */
	char *id;
	char *output;
	bool known; /* there was a result, or Consul's state was taken over */
	bool registered;
	bool shown; /* in the picture being read */
	bool wrong; /* in the servers' answer of this number */
	uint64_t seen;
	enum check_status told : 8;
	enum check_status flying : 8; /* in an update */
	enum check_status carried : 8; /* in a registration */
	uint64_t told_output, flying_output; /* hashes */
	int64_t told_at;
};

struct ledger {
	struct loop *loop;
	const struct conf *conf;
	char *node; /* NULL: not known yet */
	struct ledger_out out;
	struct outbox *outbox;
	struct orders *orders;
	struct entry *entries; /* of the services by index, then of lictor */
	struct state *states; /* by index of the check */
	enum check_status *statuses;
	struct entry **entries_by_id;
	struct state **states_by_id;
	uint64_t seen; /* answers of the servers */
	bool read_once;
	bool reading; /* what Consul shows is not known: nothing is planned */
	int64_t asked_at; /* when that picture was asked for */
	bool alive; /* lictor's own check was, in the picture */
	bool lictor_there; /* an alias of it finds it: the others may follow */
	int64_t vouched_at; /* when "lictor" was registered last */
	bool vouch; /* "lictor" is to be registered, unchanged as it may be */
	bool stopping;
	struct complaint node_complaint;
};

/* ledger.c */
size_t ledger_entries(const struct ledger *ledger);	/* the services, and lictor */
struct entry *ledger_lictor(const struct ledger *ledger);
struct state *ledger_state_of(
    const struct ledger *ledger, const struct conf_check *check);
uint64_t ledger_output_hash(const char *output);
void ledger_set_output(struct state *state, const char *output);
void ledger_register(struct ledger *ledger, struct entry *entry);	/* as it is, again */
void ledger_register_check(struct ledger *ledger, struct state *state);	/* of the node */
void ledger_plan(struct ledger *ledger);	/* whatever differs goes to the outbox */

/* picture.c: entries and states are found by their ids once their tables are ordered. */
void ledger_order(struct ledger *ledger);
struct state *ledger_find_state(const struct ledger *ledger, const char *id);
struct entry *ledger_find_entry(const struct ledger *ledger, const char *id);

#endif
