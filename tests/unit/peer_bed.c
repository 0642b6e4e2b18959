/* SPDX-License-Identifier: ISC */
/*
 * Hosts of the heartbeat servant's tests: servants in one process, on addresses of the
 * loopback, that know each other as a watch of their presence would show, and count what
 * they are told. A stranger's socket is among them.
 */
#include "tests/unit/peer_bed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

const struct heartkeys key_a = { 1, { { 1 } } };

static void
on_heartbeat(void *arg, uint32_t role, const struct pulse *pulse)
{
	struct host *host = arg;

	host->beats++;
	host->role = role;
	host->beat = *pulse;
}

static void
on_ack(void *arg, uint32_t role, const struct pulse *pulse)
{
	struct host *host = arg;

	host->acks++;
	host->role = role;
	host->ack = *pulse;
}

static void
on_able(void *arg, bool able)
{
	struct host *host = arg;

	CU_ASSERT_NOT_EQUAL(able, host->able);
	host->ables++;
	host->able = able;
}

static void
on_namesake(void *arg, bool on)
{
	struct host *host = arg;

	host->namesakes++;
	host->namesake = on;
}

static void
on_unknown_key(void *arg)
{
	((struct host *)arg)->unknown_keys++;
}

struct peers_out
told_to(struct host *host)
{
	return (struct peers_out){ on_heartbeat, on_ack, on_able, on_namesake,
		on_unknown_key, host };
}

struct sockaddr_storage
sockaddr_of(const struct fixture *f, const char *address, unsigned int port)
{
	struct sockaddr_storage out = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out;

	out.ss_family = (sa_family_t)f->family;
	if (f->family == AF_INET) {
		in->sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, address, &in->sin_addr);
	} else {
		in6->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, address, &in6->sin6_addr);
	}
	return out;
}

static int
open_socket(const struct fixture *f, const char *address, unsigned int port)
{
	struct sockaddr_storage at = sockaddr_of(f, address, port);
	int fd = socket(f->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at,
				  f->family == AF_INET ? sizeof(struct sockaddr_in)
						       : sizeof(struct sockaddr_in6)),
	    0);
	return fd;
}

void
start_host(struct fixture *f, size_t i, uint64_t inst)
{
	struct host *host = &f->hosts[i];
	struct peers_out out = told_to(host);

	*host = (struct host){ .inst = inst, .conf = f->conf };
	if (f->family == AF_INET6)
		host->conf.failover.port = f->ports[i];
	snprintf(host->node, sizeof(host->node), "db-%zu", i + 1);
	snprintf(host->address, sizeof(host->address),
	    f->family == AF_INET ? "127.0.77.%zu" : "::1", i + 1);
	host->peers = peers_new(f->loop, &host->conf, host->node, inst, &out);
	peers_bind(host->peers, host->address);
	peers_keys(host->peers, &f->keys);
}

struct roster_peer
place_of(const struct host *host)
{
	struct roster_peer place = { .port = (uint16_t)host->conf.failover.port,
		.inst = host->inst };

	place.peer.hb = true;
	str_copy(place.peer.node, sizeof(place.peer.node), host->node);
	str_copy(place.address, sizeof(place.address), host->address);
	return place;
}

void
show_all(struct fixture *f, size_t i, uint32_t role)
{
	struct roster_peer list[HOSTS];
	size_t count = 0;

	for (size_t k = 0; k < HOSTS; k++) {
		if (f->hosts[k].peers != NULL)
			list[count++] = place_of(&f->hosts[k]);
	}
	peers_present(f->hosts[i].peers, role, list, count);
}

static unsigned int
free_port(const struct fixture *f)
{
	struct sockaddr_storage at = { 0 };
	socklen_t size = sizeof(at);
	int fd = open_socket(f, f->stranger, 0);

	getsockname(fd, (struct sockaddr *)&at, &size);
	close(fd);
	return ntohs(((struct sockaddr_in *)&at)->sin_port);
}

void
open_fixture(struct fixture *f, int family)
{
	*f = (struct fixture){ .family = family, .keys = key_a };
	str_copy(f->stranger, sizeof(f->stranger),
	    family == AF_INET ? "127.0.77.99" : "::1");
	f->loop = loop_new();
	f->port = free_port(f);
	for (size_t i = 0; i < HOSTS; i++)
		f->ports[i] = free_port(f);
	f->fd = open_socket(f, f->stranger, f->port);
	f->conf.failover.port = f->port;
	f->conf.failover.heartbeats = true;
	f->conf.n_roles = ROLES;
	f->conf.roles = f->roles;
	for (uint32_t i = 0; i < ROLES; i++) {
		f->roles[i] = xcalloc(1, sizeof(*f->roles[i]));
		f->roles[i]->index = i;
		f->roles[i]->name = xasprintf("role-%u", i);
	}
}

void
stop_host(struct fixture *f, size_t i)
{
	peers_free(f->hosts[i].peers);
	f->hosts[i].peers = NULL;
}

void
close_fixture(struct fixture *f)
{
	for (size_t i = 0; i < HOSTS; i++)
		stop_host(f, i);
	for (size_t i = 0; i < ROLES; i++) {
		free(f->roles[i]->name);
		free(f->roles[i]);
	}
	close(f->fd);
	loop_free(f->loop);
}

const struct peer_view *
view_of(struct fixture *f, size_t i, const char *node)
{
	static struct peer_view list[16];
	size_t count = peers_view(f->hosts[i].peers, 0, list, ARRAY_LENGTH(list));

	for (size_t k = 0; k < count; k++) {
		if (strcmp(list[k].node, node) == 0)
			return &list[k];
	}
	return NULL;
}

static bool
is_proven(void *arg)
{
	struct fixture *f = arg;
	const struct peer_view *a = view_of(f, 0, "db-2"), *b = view_of(f, 1, "db-1");

	return a != NULL && b != NULL && a->heard_at != 0 && a->acked_at != 0 &&
	    b->heard_at != 0 && b->acked_at != 0;
}

void
start_two(struct fixture *f)
{
	start_host(f, 0, 0xa1);
	start_host(f, 1, 0xb1);
	for (size_t i = 0; i < 2; i++)
		show_all(f, i, 0);
	CU_ASSERT_TRUE(until(f->loop, is_proven, f, LIMIT_MS));
	CU_ASSERT_TRUE(f->hosts[0].able && f->hosts[1].able);
}

bool
heard_beats(void *arg)
{
	struct fixture *f = arg;

	return f->hosts[1].beats >= f->count;
}

bool
heard_acks(void *arg)
{
	struct fixture *f = arg;

	return f->hosts[0].acks >= f->count;
}

void
beat(struct fixture *f, size_t i, uint64_t rev)
{
	peers_heartbeat(f->hosts[i].peers, 0, ROLE_PHASE_MASTER, rev, 1000, 1010);
}

bool
beats_until_heard(struct fixture *f)
{
	for (int i = 0; i < 100; i++) {
		unsigned int before = f->hosts[1].beats;

		beat(f, 0, 5);
		run_for(f->loop, 20);
		if (f->hosts[1].beats > before)
			return true;
	}
	return false;
}
