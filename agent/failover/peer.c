/* SPDX-License-Identifier: ISC */
/*
 * The heartbeat servant: the socket that all roles of this host share, sending and its
 * errors, and the life of it all. roles asks it to send and hears what other hosts say; what
 * a role does about it is not known here. peer_talk.c says who is believed, peer_table.c
 * who the others are, peer_view.c what is wrong.
 *
 * The socket is bound to one address, so that who hears us knows us by it, and is opened
 * again when that address comes (back) or changes. It owns the socket, the keys, the peers.
 */
#include "agent/failover/peer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/failover/heartkey.h"
#include "agent/failover/peer_state.h"

#define TICK_MS 1000
#define BATCH 16 /* datagrams by one call */
#define BATCHES 4 /* calls in one turn: others wait */
#define RECEIVE_BYTES (1 << 20) /* the heartbeats of all roles come at once */

/* ---- news ---- */

bool
peers_able(const struct peers *peers)
{
	return peers->fd >= 0 && peers->keys.count > 0;
}

static void
on_tell(void *arg)
{
	struct peers *peers = arg;
	bool able = peers_able(peers);

	if (able == peers->told_able)
		return;
	peers->told_able = able;
	peers->out.able(peers->out.arg, able);
}

static void
tell_able(struct peers *peers)
{
	if (peers_able(peers) != peers->told_able)
		loop_timer_after(peers->tell, 0);
}

/* ---- the socket ---- */

static void
close_socket(struct peers *peers)
{
	loop_io_free(peers->io);
	peers->io = NULL;
	if (peers->fd >= 0)
		close(peers->fd);
	peers->fd = -1;
	tell_able(peers);
}

static socklen_t
size_of(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
}

/* The address of whoever it was sent to, and why that did not get there. */
static bool
take_error(struct peers *peers)
{
	struct sockaddr_storage to = { 0 };
	char control[512];
	uint8_t data[PULSE_MAX];
	struct iovec bytes = { data, sizeof(data) };
	struct msghdr message = { .msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct peer *peer;

	if (recvmsg(peers->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	peer = peers_find_address(peers, &to);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL && peer != NULL;
	     c = CMSG_NXTHDR(&message, c)) {
		struct sock_extended_err error;

		if (c->cmsg_type != IP_RECVERR && c->cmsg_type != IPV6_RECVERR)
			continue;
		memcpy(&error, CMSG_DATA(c), sizeof(error));
		peer->errors++;
		peers_trouble(peers, peer, &peer->out, PEER_ERROR, (int)error.ee_errno);
	}
	return true;
}

/* A batch. False: there is no more. */
static bool
receive(struct peers *peers)
{
	static const struct sockaddr_storage nobody;
	uint8_t data[BATCH][PULSE_MAX];
	struct sockaddr_storage from[BATCH];
	struct iovec bytes[BATCH];
	struct mmsghdr messages[BATCH];
	int fd = peers->fd, count;

	for (size_t i = 0; i < BATCH; i++) {
		from[i] = nobody;
		bytes[i].iov_base = data[i];
		bytes[i].iov_len = sizeof(data[i]);
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
			.msg_iov = &bytes[i],
			.msg_iovlen = 1 };
	}
	count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count && peers->fd == fd; i++) {
		if ((messages[i].msg_hdr.msg_flags & MSG_TRUNC) == 0)
			peers_hear(peers, data[i], messages[i].msg_len, &from[i]);
	}
	return count == BATCH && peers->fd == fd;
}

/* An error of the queue is told once more by the next call: that one is passed over. */
static void
on_readable(void *arg, unsigned int events)
{
	struct peers *peers = arg;

	for (int i = 0; i < BATCHES && take_error(peers); i++)
		;
	for (int i = 0; i < BATCHES && receive(peers); i++)
		;
}

void
peers_listen(struct peers *peers)
{
	if (peers->fd >= 0)
		on_readable(peers, LOOP_READ);
}

static bool
set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* Errors that the network tells are kept for us. What is asked for besides, a network or
 * a kernel may not give: precedence as routing protocols have it, room for a burst. */
static int
open_bound(const struct sockaddr_storage *address)
{
	bool four = address->ss_family == AF_INET;
	int fd =
	    socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (four) {
		set(fd, IPPROTO_IP, IP_RECVERR, 1);
		set(fd, IPPROTO_IP, IP_TOS, IPTOS_CLASS_CS6);
	} else {
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
		set(fd, IPPROTO_IPV6, IPV6_TCLASS, IPTOS_CLASS_CS6);
	}
	set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES);
	if (bind(fd, (const struct sockaddr *)address, size_of(address)) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

static const char *
own_address(const struct peers *peers)
{
	const char *said = peers->conf->failover.address;

	return said != NULL ? said : peers->advertised;
}

static void
say_bound(struct peers *peers, int error)
{
	if (error != 0 && peers->bind_error != error)
		log_warning("peer",
		    "UDP %u on %s cannot be opened: %s: no heartbeats until it can",
		    peers->bound_port, peers->bound, strerror(error));
	else if (error == 0)
		log_info("peer", "heartbeats are sent from and heard at %s, UDP %u",
		    peers->bound, peers->bound_port);
	peers->bind_error = error;
}

static void
open_socket(struct peers *peers)
{
	struct peer self = { .port = 0 };
	unsigned int port = peers->conf->failover.port;
	int fd = -EINVAL;

	str_copy(peers->bound, sizeof(peers->bound), own_address(peers));
	peers->bound_port = port;
	if (peers->bound[0] == '\0')
		return;
	if (peer_set_where(&self, peers->bound, port))
		fd = open_bound(&self.where);
	say_bound(peers, fd < 0 ? -fd : 0);
	if (fd < 0)
		return;
	peers->fd = fd;
	peers->io = loop_io_new(peers->loop, fd, on_readable, peers);
	loop_io_watch(peers->io, LOOP_READ);
	tell_able(peers);
}

/* As the configuration and Consul's agent have it now. */
static void
place_socket(struct peers *peers)
{
	bool wanted = peers->conf->failover.heartbeats && peers->conf->n_roles > 0;
	bool right = strcmp(peers->bound, own_address(peers)) == 0 &&
	    peers->bound_port == peers->conf->failover.port;

	if (peers->fd >= 0 && (!wanted || !right))
		close_socket(peers);
	if (wanted && peers->fd < 0)
		open_socket(peers);
	if (wanted)
		loop_timer_after(peers->tick, TICK_MS);
	else
		loop_timer_stop(peers->tick);
}

static void
on_tick(void *arg)
{
	struct peers *peers = arg;

	place_socket(peers);
	peers_forget(peers);
	if (peers_able(peers))
		peers_care(peers);
}

/* ---- sending ---- */

/* EINVAL may have many reasons: whether the address is still there, bind(2) knows. */
static bool
is_homeless(const struct peers *peers, int error)
{
	struct peer self = { .port = 0 };

	if (error != EADDRNOTAVAIL && error != EINVAL)
		return false;
	AUTO_CLOSE int fd =
	    peer_set_where(&self, peers->bound, 0) ? open_bound(&self.where) : -1;
	return fd < 0;
}

static void
judge_sent(struct peers *peers, struct peer *peer, int error)
{
	peer->errors++;
	if (is_homeless(peers, error)) {
		log_warning(
		    "peer", "%s is no address of this host any more", peers->bound);
		close_socket(peers);
	} else if (error != EAGAIN && error != ENOBUFS) {
		peers_trouble(peers, peer, &peer->out, PEER_ERROR, error);
	}
}

/* What another datagram met with may be told here: then this one was not sent. */
static int
send_bytes(struct peers *peers, const uint8_t *data, size_t len,
    const struct sockaddr_storage *to)
{
	for (int i = 0; i < 2; i++) {
		if (sendto(peers->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
			(const struct sockaddr *)to, size_of(to)) >= 0)
			return 0;
		int error = errno;
		if (i > 0 || !take_error(peers))
			return error;
	}
	return 0;
}

void
peers_send(struct peers *peers, struct peer *peer, const struct sockaddr_storage *where,
    struct pulse *pulse)
{
	const struct sockaddr_storage *to = where != NULL ? where : &peer->where;
	uint8_t data[PULSE_MAX];
	int error;

	str_copy(pulse->node, sizeof(pulse->node), peers->node);
	pulse->from = peers->inst;
	pulse->seq = ++peers->seq;
	if (!peers_able(peers) || to->ss_family == 0)
		return;
	error = send_bytes(peers, data, pulse_print(pulse, &peers->keys, data), to);
	peer->sent++;
	if (error != 0)
		judge_sent(peers, peer, error);
}

static uint64_t
instance_of(const struct peer *peer)
{
	return peer->inst != 0 ? peer->inst : peer->place_inst;
}

void
peers_heartbeat(struct peers *peers, uint32_t role, enum role_phase phase, uint64_t rev,
    int64_t ts, int64_t lease_ms)
{
	struct peer_row *row = &peers->rows[role];
	struct pulse pulse = { .type = PULSE_HEARTBEAT,
		.role = row->id,
		.rev = rev,
		.ts = ts,
		.lease_ms = (uint32_t)lease_ms,
		.phase = phase };

	if (!peers_able(peers))
		return;
	if (ts != peers->beat_ts) {
		peers->beat_ts = ts;
		peers->beat_us = peers_clock_us();
	}
	for (size_t i = 0; i < row->count; i++) {
		pulse.to = instance_of(row->links[i].peer);
		peers_send(peers, row->links[i].peer, NULL, &pulse);
	}
}

void
peers_ack(struct peers *peers, uint32_t role, const char *node, uint64_t inst,
    uint64_t rev, int64_t ts, bool ready, uint64_t known)
{
	struct peer *peer = peers_find(peers, node);
	struct pulse pulse = { .type = PULSE_ACK,
		.to = inst,
		.role = peers->rows[role].id,
		.rev = rev,
		.known = known,
		.ts = ts,
		.ready = ready };

	if (peer == NULL)
		return;
	/* one that Consul does not tell a new key knows the one before alone */
	pulse.key = peer->key;
	peers_send(peers, peer, NULL, &pulse);
}

/* ---- what is told from above ---- */

void
peers_bind(struct peers *peers, const char *advertised)
{
	str_copy(peers->advertised, sizeof(peers->advertised), advertised);
	place_socket(peers);
}

void
peers_keys(struct peers *peers, const struct heartkeys *keys)
{
	_Static_assert(HEARTKEYS <= PULSE_KEYS, "all are taken");

	pulse_keys_set(&peers->keys, keys->keys, keys->count);
	for (size_t i = 0; i < peers->count; i++)
		peers->list[i]->key = 0;
	tell_able(peers);
}

static bool
is_any(const char *address)
{
	return strcmp(address, "::") == 0 || strcmp(address, "0.0.0.0") == 0;
}

void
peers_reach(const struct peers *peers, char address[INET6_ADDRSTRLEN], uint16_t *port)
{
	bool able = peers_able(peers);

	str_copy(address, INET6_ADDRSTRLEN,
	    !able                      ? ""
		: is_any(peers->bound) ? peers->advertised
				       : peers->bound);
	*port = able ? (uint16_t)peers->bound_port : 0;
}

/* ---- life ---- */

static struct peer_row *
rows_new(const struct conf *conf)
{
	struct peer_row *rows = xcalloc(conf->n_roles + 1, sizeof(*rows));

	for (size_t i = 0; i < conf->n_roles; i++)
		rows[i].id = pulse_role(conf->roles[i]->name);
	return rows;
}

struct peers *
peers_new(struct loop *loop, const struct conf *conf, const char *node, uint64_t inst,
    const struct peers_out *out)
{
	struct peers *peers = xcalloc(1, sizeof(*peers));

	assert(inst != 0);
	peers->loop = loop;
	peers->conf = conf;
	peers->out = *out;
	peers->inst = inst;
	peers->fd = -1;
	str_copy(peers->node, sizeof(peers->node), node);
	peers->rows = rows_new(conf);
	peers->tick = loop_timer_new(loop, on_tick, peers);
	peers->tell = loop_timer_new(loop, on_tell, peers);
	place_socket(peers);
	return peers;
}

void
peers_free(struct peers *peers)
{
	if (peers == NULL)
		return;
	close_socket(peers);
	loop_timer_free(peers->tick);
	loop_timer_free(peers->tell);
	pulse_keys_clear(&peers->keys);
	for (size_t i = 0; i < peers->count; i++)
		free(peers->list[i]);
	free(peers->rows);
	free(peers);
}

void
peers_reload(
    struct peers *peers, const struct conf *next, const struct conf_changes *changes)
{
	struct peer_row *before = peers->rows;

	peers->rows = rows_new(next);
	for (size_t i = 0; i < next->n_roles; i++) {
		if (changes->from.roles[i] != CONF_NONE)
			peers->rows[i] = before[changes->from.roles[i]];
	}
	free(before);
	peers->conf = next;
	peers_recount(peers);
	place_socket(peers);
}
