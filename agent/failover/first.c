/* SPDX-License-Identifier: ISC */
/*
 * The first register of a role (10.1): Consul has none and this host has never seen one.
 * That the role is new is the likely reason; that Consul lost its data while a master
 * holds on by its peers' acks is the other. So this host listens for heartbeats first, and
 * looks for the addresses; only when nobody is heard and nobody answers may registers make
 * one, of a revision above any that was heard of.
 */
#include <stdio.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/failover/roles_state.h"
#include "agent/failover/vip.h"

#define LISTEN_MS 2000 /* at least, and four silences */
#define ABLE_MS 10000 /* for a key and an address, from the start */
#define ANSWER_MS 1000 /* the warden takes 20 ms */
#define FRESH_MS 2000 /* so old may the answer be */
#define AGAIN_MS 10000 /* while somebody has it */

/* Since somebody could be heard. A host that cannot, for want of a key or of an address, may
 * do so soon, and may never. */
static bool
is_quiet(const struct seat *seat, int64_t now)
{
	const struct roles *roles = seat->roles;
	int64_t silence_ms = conf_silence(roles->conf, seat->conf, roles->bpf);
	int64_t since = seat->heard_at > seat->born_at ? seat->heard_at : seat->born_at;
	int64_t able_at = roles->conf->failover.heartbeats && !roles->able
	    ? seat->born_at + ABLE_MS
	    : roles->able_at;

	if (able_at > since)
		since = able_at;
	return now >= since + (4 * silence_ms > LISTEN_MS ? 4 * silence_ms : LISTEN_MS);
}

static void
look(struct seat *seat, int64_t now)
{
	if (seat->look != 0 && now < seat->looked_at + ANSWER_MS)
		return;
	seat->look = ++seat->probes;
	seat->looked_at = now;
	if (!vips_probe(seat->roles->vips, seat->conf->index, seat->look, false))
		seat->look = 0;
}

bool
first_may_init(struct seat *seat, uint64_t *rev)
{
	int64_t now = clock_boot_ms();

	if (seat->role == NULL || !is_quiet(seat, now))
		return false;
	if (seat->conf->n_vips > 0 && !seat->usable)
		return false; /* a probe by an interface that is down finds nobody */
	if (seat->conf->n_vips > 0 &&
	    (!seat->nobody || now >= seat->nobody_at + FRESH_MS)) {
		if (now >= seat->somebody_until)
			look(seat, now);
		return false;
	}
	*rev = seat->heard_rev + 1;
	return true;
}

bool
first_looked(struct seat *seat, uint64_t order, bool found)
{
	if (seat->look == 0 || order != seat->look)
		return false;
	seat->look = 0;
	seat->nobody = !found;
	seat->nobody_at = clock_boot_ms();
	if (!found)
		return true;
	if (seat->somebody_until == 0)
		log_error("role",
		    "%s: Consul has no register of it, but another host has its "
		    "address: none is made until that has gone, or lictorctl init is "
		    "the word that nobody holds it",
		    seat->conf->name);
	seat->missing = true;
	seat->somebody_until = seat->nobody_at + AGAIN_MS;
	return true;
}
