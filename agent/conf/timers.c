/* SPDX-License-Identifier: ISC */
/*
 * The timers of the failover protocol (its section 8) as a configuration and a kind of
 * fence give them: what is written for a role counts before what is written for the node,
 * that before the default. Pure. See conf.h for the contract.
 */
#include "agent/conf/conf.h"

#define LEASE_BPF_MS 1000
#define LEASE_LIFETIME_MS 2250
/* Without heartbeats nothing but Consul carries the hold: longer than an election takes. */
#define LEASE_UNHEARD_MS 15000
#define LEASE_UNHEARD_LIFETIME_MS 15250
#define CONFIRMATION_MS 200
#define MARGIN_BPF_MS 10
#define MARGIN_LIFETIME_MS 1500
#define SILENCE_BPF_MS 300
#define SILENCE_LIFETIME_MS 600

/* A kernel counts the lifetime of an address in whole seconds: a lease is so many, and
 * what a confirmation of it may take. */
bool
conf_lease_suits_lifetime(int64_t lease_ms)
{
	return lease_ms >= 1000 && lease_ms % 1000 >= CONFIRMATION_MS;
}

static int64_t
default_lease(const struct conf *conf, bool bpf)
{
	if (conf->failover.heartbeats)
		return bpf ? LEASE_BPF_MS : LEASE_LIFETIME_MS;
	return bpf ? LEASE_UNHEARD_MS : LEASE_UNHEARD_LIFETIME_MS;
}

int64_t
conf_lease(const struct conf *conf, bool bpf)
{
	bool suits = bpf || conf_lease_suits_lifetime(conf->lease_ms);

	return conf->lease_ms > 0 && suits ? conf->lease_ms : default_lease(conf, bpf);
}

int64_t
conf_role_lease(const struct conf *conf, const struct conf_role *role, bool bpf)
{
	bool suits = bpf || conf_lease_suits_lifetime(role->lease_ms);

	return role->lease_ms > 0 && suits ? role->lease_ms : conf_lease(conf, bpf);
}

int64_t
conf_longest_lease(const struct conf *conf, bool bpf)
{
	int64_t longest = conf_lease(conf, bpf);

	for (size_t i = 0; i < conf->n_roles; i++) {
		int64_t lease_ms = conf_role_lease(conf, conf->roles[i], bpf);
		if (lease_ms > longest)
			longest = lease_ms;
	}
	return longest;
}

int64_t
conf_margin(bool bpf)
{
	return bpf ? MARGIN_BPF_MS : MARGIN_LIFETIME_MS;
}

int64_t
conf_silence(const struct conf *conf, const struct conf_role *role, bool bpf)
{
	if (role->silence_ms > 0)
		return role->silence_ms;
	if (conf->failover.silence_ms > 0)
		return conf->failover.silence_ms;
	return bpf ? SILENCE_BPF_MS : SILENCE_LIFETIME_MS;
}
