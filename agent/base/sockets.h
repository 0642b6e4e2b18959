/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SOCKETS_H
#define LICTOR_SOCKETS_H

#include <stdbool.h>
#include <sys/socket.h>

struct loop;
struct sockets;

/*
 * TCP sockets that are used again: a connection that is over is reset, and its socket,
 * already watched, waits for the next one. They take none that are not for checks (net.h);
 * the log says when there are not enough, once, and when there are again.
 */
struct socket {
	int fd;
	/* whoever has taken it; the events are those of loop_edge_new */
	void (*ready)(void *arg, struct socket *socket, unsigned int events);
	void *arg;
	struct socket *next; /* for its taker's use, as the index is */
	unsigned int index;
};

struct sockets *sockets_new(struct loop *loop);
void sockets_free(struct sockets *sockets); /* when all are given back */
/* Where no descriptor is left `spare` is asked to give a socket back that it can do
 * without; false: it has none. NULL: nobody is asked. */
void sockets_spare(struct sockets *sockets, bool (*spare)(void *arg), void *arg);

/* Begins to connect one. 0 (`ready` says how it went, never from within this call) or
 * -errno. */
int sockets_connect(struct sockets *sockets, const struct sockaddr *to, socklen_t len,
    void (*ready)(void *arg, struct socket *socket, unsigned int events), void *arg,
    struct socket **out);

/* What became of the connect that `events` speak of: 0 connected, -EINPROGRESS nothing
 * yet, or -errno. */
int sockets_connected(struct socket *socket, unsigned int events);

/* It is connected and waits for the other end to speak first: the last packet of the
 * handshake, held back until now to go with what is said, goes alone. */
void sockets_listen(struct socket *socket);

/* Gives it back, in any callback too: reset, or, if `polite`, closed in order. */
void sockets_release(struct socket *socket, bool polite);

#endif
