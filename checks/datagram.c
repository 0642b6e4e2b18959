/* SPDX-License-Identifier: ISC */
/*
 * The socket of checks that send datagrams (udp, icmp, dns): connected, so that only that
 * host can answer and the errors of ICMP arrive, and moved from address to address of a name
 * as long as sending fails or is refused. An address that is silent is waited for: a check
 * keeps no time. The descriptor belongs to the struct, that to the run.
 */
#include "checks/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

void
datagram_take(
    struct datagram *datagram, const struct check_address *addresses, size_t count)
{
	if (count > DATAGRAM_ADDRESSES)
		count = DATAGRAM_ADDRESSES;
	datagram->count = count;
	datagram->at = 0;
	datagram->error = 0;
	memcpy(datagram->addresses, addresses, count * sizeof(addresses[0]));
}

void
datagram_close(struct datagram *datagram)
{
	if (datagram->open)
		close(datagram->fd);
	datagram->open = false;
}

/* Here, not there: nothing was asked of the service. */
static bool
is_local(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN: /* no local port is left */
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
	case EACCES: return true;
	default: return false;
	}
}

enum check_reason
datagram_reason(int error)
{
	if (is_local(error))
		return CHECK_REASON_LOCAL;
	return error == ETIMEDOUT ? CHECK_REASON_TIMEOUT : CHECK_REASON_REFUSED;
}

enum check_status
datagram_status(int error)
{
	return is_local(error) ? CHECK_UNKNOWN : CHECK_CRITICAL;
}

/* What was said of the address to be preferred stands, unless it was of us: a host that
 * has no IPv6 says so of half of the addresses. */
void
datagram_failed(struct datagram *datagram, int error)
{
	datagram_close(datagram);
	if (datagram->error == 0 || is_local(datagram->error))
		datagram->error = error;
}

static bool
open_to(
    struct datagram *datagram, const struct check_address *to, enum datagram_kind kind)
{
	bool six = to->sa.sa_family == AF_INET6;
	int protocol = kind == DATAGRAM_UDP ? 0 : six ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	datagram->fd = socket(
	    to->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (datagram->fd < 0)
		return false;
	datagram->open = true;
	return setsockopt(datagram->fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
		   six ? IPV6_RECVERR : IP_RECVERR, &(int){ 1 }, sizeof(int)) == 0 &&
	    connect(datagram->fd, &to->sa, to->len) == 0;
}

bool
datagram_next(struct datagram *datagram, enum datagram_kind kind)
{
	while (datagram->at < datagram->count) {
		datagram_close(datagram);
		if (open_to(datagram, &datagram->addresses[datagram->at++], kind))
			return true;
		datagram_failed(datagram, errno);
	}
	return false;
}
