/* SPDX-License-Identifier: ISC */
/*
 * The race of a name's addresses for one connection, as RFC 8305 (5) asks. Its sockets are
 * those of sockets.h, its addresses come from resolve; what is done over the socket that
 * wins is stream's business. Everything here is the race's until it is won or
 * stopped, also when it is lost; the reason stays.
 */
#include "agent/base/race.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "agent/base/loop.h"
#include "agent/base/net.h"
#include "agent/base/sockets.h"
#include "agent/base/util.h"

#define ATTEMPT_MS 250 /* RFC 8305, 5: the connection attempt delay */

void
race_stop(struct race *race)
{
	while (race->running != NULL) {
		struct socket *socket = race->running;
		race->running = socket->next;
		sockets_release(socket, false);
	}
	loop_timer_free(race->timer);
	race->timer = NULL;
	if (race->addresses != &race->only)
		free(race->addresses);
	race->addresses = NULL;
}

static unsigned int
rank(int error)
{
	const char *why;

	if (error == 0)
		return 0;
	if (error == EAFNOSUPPORT)
		return 1;
	return net_error_of(error, &why) == NET_LOCAL ? 3 : 2;
}

static void
note_failure(struct race *race, size_t address, int error)
{
	unsigned int was = rank(race->error), is = rank(error);

	if (is < was || (is == was && address > race->lost))
		return;
	race->error = error;
	race->lost = address;
}

/* Begins the next attempt that can begin. False: there is none, and none goes on. */
static bool
attempt(struct race *race)
{
	while (race->next < race->n_addresses) {
		size_t i = race->next++;
		const union resolve_address *address = &race->addresses[i];
		struct socket *socket;
		int error = sockets_connect(race->sockets, &address->sa,
		    resolve_address_len(address), race->out->ready, race->arg, &socket);
		if (error != 0) {
			note_failure(race, i, -error);
			continue;
		}
		socket->index = (unsigned int)i;
		socket->next = race->running;
		race->running = socket;
		if (race->next < race->n_addresses)
			loop_timer_after(race->timer, ATTEMPT_MS);
		return true;
	}
	return race->running != NULL;
}

static void
take_out(struct race *race, struct socket *socket)
{
	struct socket **at = &race->running;

	while (*at != socket)
		at = &(*at)->next;
	*at = socket->next;
}

enum race_state
race_event(struct race *race, struct socket *socket, unsigned int events)
{
	int error = sockets_connected(socket, events);

	if (error == -EINPROGRESS)
		return RACE_RUNS;
	take_out(race, socket);
	if (error == 0) {
		race_stop(race);
		return RACE_WON;
	}
	note_failure(race, socket->index, -error);
	sockets_release(socket, false);
	return attempt(race) ? RACE_RUNS : RACE_LOST;
}

static void
on_timer(void *arg)
{
	struct race *race = arg;

	if (!attempt(race))
		race->out->lost(race->arg);
}

static void
copy_addresses(struct race *race, const union resolve_address *addresses, size_t count,
    uint16_t port)
{
	race->n_addresses = count;
	race->addresses = count == 1 ? &race->only : xcalloc(count, sizeof(*addresses));
	for (size_t i = 0; i < count; i++) {
		race->addresses[i] = addresses[i];
		if (addresses[i].sa.sa_family == AF_INET6)
			race->addresses[i].in6.sin6_port = htons(port);
		else
			race->addresses[i].in.sin_port = htons(port);
	}
}

bool
race_start(struct race *race, struct loop *loop, struct sockets *sockets,
    const struct race_out *out, void *arg, const union resolve_address *addresses,
    size_t count, uint16_t port)
{
	race->loop = loop;
	race->sockets = sockets;
	race->out = out;
	race->arg = arg;
	copy_addresses(race, addresses, count, port);
	if (count > 1)
		race->timer = loop_timer_new(loop, on_timer, race);
	return attempt(race);
}

int
race_error(const struct race *race)
{
	return race->error;
}
