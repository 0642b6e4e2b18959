/* SPDX-License-Identifier: ISC */
/*
 * Doubts about a host that has roles: settings of the Consul agent and of the kernel with
 * which the protocol is safe, but the addresses are away for longer than they need be, or
 * clients meet the wrong host. Each names what it would cost and how to mend it. See
 * doubt.h for the contract.
 */
#include "agent/failover/doubt.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/self.h"

#define ELECTION_MS 15000 /* raft at its default, and longer than it takes at best */
#define ELECTION_QUICK_MS 1000 /* raft_multiplier 1 */
#define LINE_SIZE 384

static void __attribute__((format(printf, 2, 3)))
say(const struct doubt_out *out, const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	out->say(out->arg, line);
}

/* ---- the configuration ---- */

static bool
may_be_bpf(const struct conf *conf)
{
	return conf->fence != CONF_FENCE_LIFETIME && conf_has_bpf();
}

void
doubt_conf(const struct conf *conf, const struct doubt_out *out)
{
	for (size_t i = 0; i < conf->n_roles; i++) {
		const struct conf_role *role = conf->roles[i];
		int64_t lease_ms = conf_role_lease(conf, role, may_be_bpf(conf));
		char lease[32];

		format_duration(lease_ms, lease, sizeof(lease));
		if (!conf->failover.heartbeats && lease_ms < ELECTION_MS)
			say(out,
			    "role %s: without heartbeats a lease of %s ends before "
			    "Consul has elected another leader, and the role is "
			    "nowhere "
			    "until then: leave lease at auto, or heartbeats on",
			    role->name, lease);
	}
}

/* ---- Consul's agent ---- */

void
doubt_consul(const struct conf *conf, const struct self_facts *facts,
    const struct doubt_out *out)
{
	if (conf->n_roles == 0 || facts->kept || !facts->debug)
		return;
	if (facts->leave_on_terminate && !facts->server)
		say(out,
		    "the Consul agent of this host has leave_on_terminate: when it is "
		    "stopped, even for a restart, its node and all sessions are "
		    "removed, "
		    "and this host is no candidate until it is back: set "
		    "leave_on_terminate = false there");
	if (facts->server)
		say(out,
		    "the Consul agent of this host is a server: if both fail together, "
		    "it may be Consul's leader that a takeover waits for; run roles on "
		    "hosts with client agents, or have three candidates");
	if (facts->server && facts->election_timeout_ms > ELECTION_QUICK_MS)
		say(out,
		    "Consul's servers take up to %" PRId64
		    " s to elect a leader: a role with one standby that fails together "
		    "with the leader is nowhere until then; set performance "
		    "{ raft_multiplier = 1 } on the servers",
		    (4 * facts->election_timeout_ms + 999) / 1000);
	if (!facts->node_id_pinned)
		say(out,
		    "the Consul agent of this host has no node_id in its "
		    "configuration: "
		    "should its data folder be lost, Consul refuses the node under its "
		    "name for more than a minute; set node_id there");
}

/* ---- the host ---- */

/* 0 where it cannot be read. */
static unsigned int
read_switch(const char *folder, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);
	AUTO_FCLOSE FILE *file = fopen(path, "re");
	char line[32];
	uint64_t value;

	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		return 0;
	line[strcspn(line, "\n")] = '\0';
	return parse_uint(line, 0, UINT32_MAX, &value) == 0 ? (unsigned int)value : 0;
}

/* The kernel takes the greater of the two. */
static bool
answers_for_others(const char *folder, const char *interface)
{
	AUTO_FREE char *own = xasprintf("ipv4/conf/%s/arp_ignore", interface);

	return read_switch(folder, "ipv4/conf/all/arp_ignore") == 0 &&
	    read_switch(folder, own) == 0;
}

static bool
is_in_network(const struct ifaddrs *address, const struct conf_vip *vip)
{
	struct sockaddr_in own, mask;
	struct in_addr wanted;

	if (address->ifa_addr == NULL || address->ifa_netmask == NULL ||
	    address->ifa_addr->sa_family != AF_INET ||
	    (address->ifa_flags & IFF_LOOPBACK) != 0)
		return false;
	memcpy(&own, address->ifa_addr, sizeof(own));
	memcpy(&mask, address->ifa_netmask, sizeof(mask));
	memcpy(&wanted, vip->address, sizeof(wanted));
	return mask.sin_addr.s_addr != 0xffffffff &&
	    ((own.sin_addr.s_addr ^ wanted.s_addr) & mask.sin_addr.s_addr) == 0;
}

/* Another interface with an address of the same network answers for the vip as well, with a
 * hardware address that is not in any announcement. */
static void
doubt_answers(const struct conf_vip *vip, const char *folder,
    const struct ifaddrs *addresses, const struct doubt_out *out)
{
	for (const struct ifaddrs *a = addresses; a != NULL; a = a->ifa_next) {
		if (vip->family != AF_INET || !is_in_network(a, vip) ||
		    strcmp(a->ifa_name, vip->interface) == 0 ||
		    !answers_for_others(folder, a->ifa_name))
			continue;
		say(out,
		    "vip %s is for %s, and %s, in the same network, answers ARP for it "
		    "as "
		    "well: set net.ipv4.conf.all.arp_ignore = 1",
		    vip->text, vip->interface, a->ifa_name);
		return;
	}
}

/* Who binds to the vip cannot while it is elsewhere. */
static void
doubt_bind(const struct conf_vip *vip, const char *folder, const struct doubt_out *out)
{
	const char *family = vip->family == AF_INET ? "ipv4" : "ipv6";
	AUTO_FREE char *name = xasprintf("%s/ip_nonlocal_bind", family);
	const struct conf_role *role = vip->role;

	for (size_t i = 0; i < role->n_services; i++) {
		const struct conf_service *service = role->services[i];
		if (service->address == NULL ||
		    strcmp(service->address, vip->text) != 0 ||
		    read_switch(folder, name) != 0)
			continue;
		say(out,
		    "service %s is at vip %s, which it cannot bind to while this host "
		    "is "
		    "backup: set net.%s.ip_nonlocal_bind = 1, or have it listen at all "
		    "addresses",
		    service->name, vip->text, family);
	}
}

void
doubt_host_of(const struct conf *conf, const char *folder,
    const struct ifaddrs *addresses, const struct doubt_out *out)
{
	for (size_t i = 0; i < conf->n_vips; i++) {
		doubt_answers(conf->vips[i], folder, addresses, out);
		doubt_bind(conf->vips[i], folder, out);
	}
}

void
doubt_host(const struct conf *conf, const struct doubt_out *out)
{
	struct ifaddrs *addresses = NULL;

	if (conf->n_vips == 0 || getifaddrs(&addresses) != 0)
		addresses = NULL;
	doubt_host_of(conf, "/proc/sys/net", addresses, out);
	if (addresses != NULL)
		freeifaddrs(addresses);
}
