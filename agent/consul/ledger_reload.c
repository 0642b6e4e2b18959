/* SPDX-License-Identifier: ISC */
/*
 * The ledger's first column under another configuration: what is true of a check and of a
 * service's role does not change with it. The second column is read again, so that what
 * Consul shows already is not written, and what is configured no longer is found there.
 */
#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/consul/ledger_state.h"

static void
keep_state(
    struct ledger *ledger, const struct ledger *before, uint32_t i, uint32_t from)
{
	struct state *state = ledger->states[i], *old = before->states[from];

	state->known = old->known;
	state->wait_until = old->wait_until;
	ledger_set_status(ledger, state, before->statuses[from]);
	free(state->output);
	state->output = old->output;
	old->output = NULL;
}

static void
keep_role(struct entry *entry, const struct entry *old)
{
	if (entry->conf->role == NULL || old->role == REPORT_NO_ROLE)
		return;
	entry->role = old->role;
	entry->term = old->term;
	entry->role_known = old->role_known;
}

static void
keep_entry(struct entry *entry, struct entry *old)
{
	entry->said = old->said;
	entry->reason = old->reason;
	entry->want_reason = old->want_reason;
	old->reason = old->want_reason = NULL;
	entry->want_maintained = old->want_maintained;
	entry->upkept = old->upkept;
	entry->removed = old->removed;
	entry->critical_since = old->critical_since;
	if (entry->conf != NULL)
		keep_role(entry, old);
}

void
ledger_reload(
    struct ledger *ledger, const struct conf *next, const struct conf_changes *changes)
{
	ledger_doubt(ledger);
	struct ledger before = *ledger;

	ledger->conf = next;
	ledger->node_complaint = (struct complaint){ 0 };
	ledger->lictor_there = false;
	ledger->waited_for = ledger->next_stale = 0;
	ledger_make_tables(ledger);
	for (uint32_t i = 0; i < next->n_checks; i++)
		if (changes->from.checks[i] != CONF_NONE)
			keep_state(ledger, &before, i, changes->from.checks[i]);
	for (uint32_t i = 0; i < next->n_services; i++)
		if (changes->from.services[i] != CONF_NONE)
			keep_entry(ledger->entries[i],
			    before.entries[changes->from.services[i]]);
	keep_entry(ledger_lictor(ledger), ledger_lictor(&before));
	ledger_free_tables(&before);
	/* its TTL is not shown */
	ledger->vouch = ledger->vouch || changes->consul;
}
