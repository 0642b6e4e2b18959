/* SPDX-License-Identifier: ISC */
/*
 * The check type `icmp`: the host answers an echo. By the kernel's ping sockets, which need
 * no privilege but a group within net.ipv4.ping_group_range; the kernel gives each socket an
 * identifier of its own and hands it the answers to that. Those echoes of `count` are sent
 * at once and one answer is enough: a lost packet is not a lost host. An answer must come
 * from the address that was asked, with a token that nobody else knows.
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stddef.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/address.h"
#include "checks/builtin.h"
#include "checks/check.h"
#include "checks/datagram.h"

#define COUNT_MAX 20
#define PAYLOAD 56 /* as ping(8) sends */

struct icmp_check {
	char *address;
	uint64_t count;
	/* made by prepare */
	struct address to;
};

/* RFC 792 and RFC 4443, 4.1 and 4.2: the same for both. The kernel fills in the identifier
 * and the checksum. */
struct echo {
	uint8_t type, code;
	uint16_t checksum, identifier, sequence;
	uint64_t token;
	char rest[PAYLOAD - sizeof(uint64_t)];
};
_Static_assert(sizeof(struct echo) == 8 + PAYLOAD, "as it goes over the wire");

struct icmp_run {
	struct datagram datagram;
	uint64_t token;
};

static const struct check_option options[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct icmp_check, address),
	    .required = true },
	{ "count", CHECK_OPTION_UINT, offsetof(struct icmp_check, count), .value = "1",
	    .min = 1, .max = COUNT_MAX },
	{ NULL },
};

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct icmp_check *check = conf;

	*option = "address";
	return address_parse_host(check->address, &check->to, why, why_size);
}

static void
cancel(struct check_run *run)
{
	struct icmp_run *icmp = check_state(run);

	check_unwatch(run);
	datagram_close(&icmp->datagram);
}

static bool
is_same_host(const struct check_address *a, const struct check_address *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	return a->sa.sa_family == AF_INET6
	    ? memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0
	    : a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

static bool
is_answer(const struct check_run *run, const struct icmp_run *icmp,
    const struct echo *echo, size_t len, const struct check_address *from)
{
	const struct icmp_check *check = check_conf(run);
	const struct check_address *to =
	    &icmp->datagram.addresses[icmp->datagram.at - 1];
	int type = to->sa.sa_family == AF_INET6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	unsigned int sequence = ntohs(echo->sequence);

	return len == sizeof(*echo) && echo->type == type && echo->code == 0 &&
	    echo->token == icmp->token && sequence >= 1 && sequence <= check->count &&
	    is_same_host(from, to);
}

static void try_next(struct check_run *run);

static void
readable(struct check_run *run, unsigned int events)
{
	const struct icmp_check *check = check_conf(run);
	struct icmp_run *icmp = check_state(run);
	struct check_address from = { .len = sizeof(from.in6) };
	struct echo echo;
	ssize_t n =
	    recvfrom(icmp->datagram.fd, &echo, sizeof(echo), 0, &from.sa, &from.len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		int error = errno;
		check_unwatch(run);
		datagram_failed(&icmp->datagram, error);
		try_next(run);
	} else if (is_answer(run, icmp, &echo, (size_t)n, &from)) {
		cancel(run);
		check_done(run, CHECK_PASSING, CHECK_REASON_OK, "%s: answered an echo",
		    check->address);
	}
}

/* True: at least the first one is on its way. What is wrong with a later one may be what a
 * router said of the first, which is told once: who then waits for it waits in vain. */
static bool
send_echoes(const struct icmp_check *check, struct icmp_run *icmp)
{
	const struct datagram *datagram = &icmp->datagram;
	bool six = datagram->addresses[datagram->at - 1].sa.sa_family == AF_INET6;
	struct echo echo = { .type = six ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
		.token = icmp->token };

	for (unsigned int i = 1; i <= check->count; i++) {
		echo.sequence = htons((uint16_t)i);
		if (send(datagram->fd, &echo, sizeof(echo), 0) < 0)
			return i > 1 && datagram_reason(errno) == CHECK_REASON_LOCAL;
	}
	return true;
}

static void
try_next(struct check_run *run)
{
	const struct icmp_check *check = check_conf(run);
	struct icmp_run *icmp = check_state(run);
	struct datagram *datagram = &icmp->datagram;

	while (datagram_next(datagram, DATAGRAM_PING)) {
		if (send_echoes(check, icmp)) {
			check_watch(run, datagram->fd, CHECK_READ, readable);
			return;
		}
		datagram_failed(datagram, errno);
	}
	if (datagram->error == EACCES)
		check_done(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL,
		    "%s: no group of lictord is in net.ipv4.ping_group_range",
		    check->address);
	else
		check_done(run, datagram_status(datagram->error),
		    datagram_reason(datagram->error), "%s: %s", check->address,
		    strerror(datagram->error));
}

static void
found(struct check_run *run, const struct check_address *addresses, size_t count,
    const char *why)
{
	const struct icmp_check *check = check_conf(run);
	struct icmp_run *icmp = check_state(run);

	if (addresses == NULL) {
		check_done(run, CHECK_CRITICAL, CHECK_REASON_RESOLVE, "%s: %s",
		    check->address, why);
		return;
	}
	icmp->token = random_u64();
	datagram_take(&icmp->datagram, addresses, count);
	try_next(run);
}

static void
start(struct check_run *run)
{
	const struct icmp_check *check = check_conf(run);

	check_resolve(run, check->to.host, 0, found);
}

const struct check_class check_icmp_class = {
	.abi = CHECK_ABI,
	.name = "icmp",
	.help = "sends an echo to a host and waits for the answer",
	.conf_size = sizeof(struct icmp_check),
	.run_size = sizeof(struct icmp_run),
	.options = options,
	.prepare = prepare,
	.start = start,
	.cancel = cancel,
};
