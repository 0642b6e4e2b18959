/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_NET_H
#define LICTOR_NET_H

#include <stdbool.h>

/* What became of an exchange with another host, whoever made it. */
enum net_error {
	NET_OK,		/* an answer was received, whatever it says */
	NET_RESOLVE,	/* the name has no address */
	NET_REFUSED,	/* refused or unreachable */
	NET_TIMEOUT,
	NET_TLS,
	NET_CLOSED,	/* ended before the answer was whole */
	NET_GARBAGE,	/* not the protocol that was expected */
	NET_LOCAL,	/* our own fault: no memory, no descriptor, a bad URL, a
			   certificate or key file of no use */
};

/* What a number of errno from a socket means, and the words for it. */
enum net_error net_error_of(int error, const char **why);

/* Descriptors from this number on are not for checks and their commands. The kernel gives
 * the lowest number that is free: the process always has some for Consul, for the operator
 * and for its own parts. The limit of open files must not be changed afterwards. */
int net_descriptor_end(void);

/* Paths of PEM files; NULL means the system's or none. Borrowed until the exchange ends. */
struct net_tls {
	const char *ca_file, *cert_file, *key_file;
	const char *server_name;	/* NULL: the host that was asked for */
	bool no_verify;
};

#endif
