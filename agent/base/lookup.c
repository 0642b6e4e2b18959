/* SPDX-License-Identifier: ISC */
/*
 * Asks for names: the one file that knows c-ares. Its neighbour above is resolve, which
 * knows what was answered before. Two kinds of channels: `files`, which reads the hosts file
 * and answers at once, and one for the servers of resolv.conf, its sockets watched by the
 * loop, its timeouts kept by a timer. When resolv.conf changes a new channel takes its place
 * and the old one stays in `channels` until its questions have ended; it is freed where
 * c-ares is not at work in it. c-ares cannot withdraw a question, so none ever is.
 */
#include "agent/base/lookup.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/names.h"
#include "agent/base/util.h"

/* c-ares' own five seconds are longer than a check may take. */
#define TRY_MS 1000
#define TRIES 3
#define REFRESH_MS 1000
/* How long an answer holds: what it says itself, within limits; and "there is none" (as
 * RFC 2308 asks, which leaves the time to us where c-ares does not tell it). */
#define KEEP_MIN_S 1
#define KEEP_MAX_S 3600
#define KEEP_NONE_MS 5000

struct watched {
	LIST_ENTRY(watched) link;
	struct channel *channel;
	struct loop_io *io;
	int fd;
};

/* The servers of one resolv.conf. */
struct channel {
	LIST_ENTRY(channel) link;
	struct lookups *lookups;
	ares_channel ares;
	struct loop_timer *timeout;
	size_t asked; /* questions that are open */
	LIST_HEAD(, watched) sockets;
};

struct lookup {
	struct channel *channel;
	void (*done)(void *arg, struct answer *answer, int64_t keep_ms);
	void *arg;
};

struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

struct lookups {
	struct loop *loop;
	ares_channel files;
	struct channel *servers; /* NULL: `fault` says why */
	int fault, files_fault; /* errors of c-ares, or 0 */
	LIST_HEAD(, channel) channels;
	struct stamp resolv_conf, hosts;
	int64_t looked_at;
	bool closing;
};

static void channel_settle(struct channel *channel);

static void
on_timeout(void *arg)
{
	struct channel *channel = arg;

	ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	channel_settle(channel);
}

static void
on_io(void *arg, unsigned int events)
{
	struct watched *watched = arg;
	struct channel *channel = watched->channel;
	int fd = watched->fd; /* c-ares may close it, and `watched` goes */

	ares_process_fd(channel->ares, (events & LOOP_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (events & LOOP_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
	channel_settle(channel);
}

static void
unwatch(struct watched *watched)
{
	LIST_REMOVE(watched, link);
	loop_io_free(watched->io);
	free(watched);
}

static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct channel *channel = arg;
	struct watched *watched = LIST_FIRST(&channel->sockets);

	while (watched != NULL && watched->fd != fd)
		watched = LIST_NEXT(watched, link);
	if (!readable && !writable) {
		if (watched != NULL)
			unwatch(watched);
		return;
	}
	if (watched == NULL) {
		watched = xcalloc(1, sizeof(*watched));
		watched->channel = channel;
		watched->fd = fd;
		watched->io = loop_io_new(channel->lookups->loop, fd, on_io, watched);
		LIST_INSERT_HEAD(&channel->sockets, watched, link);
	}
	loop_io_watch(
	    watched->io, (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0));
}

/* What is open is answered, to nobody. */
static void
channel_free(struct channel *channel)
{
	ares_destroy(channel->ares);
	assert(LIST_EMPTY(&channel->sockets)); /* c-ares has closed them */
	loop_timer_free(channel->timeout);
	LIST_REMOVE(channel, link);
	free(channel);
}

/* After each call into c-ares. */
static void
channel_settle(struct channel *channel)
{
	struct timeval tv;

	if (channel->asked == 0 && channel != channel->lookups->servers)
		channel_free(channel);
	else if (ares_timeout(channel->ares, NULL, &tv) == NULL)
		loop_timer_stop(channel->timeout);
	else
		loop_timer_after(channel->timeout,
		    (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1);
}

/* The servers as resolv.conf names them now, in place of those before. */
static void
change_servers(struct lookups *lookups)
{
	struct channel *old = lookups->servers;
	struct channel *channel = xcalloc(1, sizeof(*channel));
	static char dns_only[] = "b";
	struct ares_options options = {
		.timeout = TRY_MS,
		.tries = TRIES,
		.lookups = dns_only,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = channel,
	};

	channel->lookups = lookups;
	lookups->fault = ares_init_options(&channel->ares, &options,
	    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
		ARES_OPT_SOCK_STATE_CB);
	if (lookups->fault != ARES_SUCCESS) {
		free(channel);
		channel = NULL;
	} else {
		channel->timeout = loop_timer_new(lookups->loop, on_timeout, channel);
		LIST_INSERT_HEAD(&lookups->channels, channel, link);
	}
	lookups->servers = channel;
	if (old != NULL)
		channel_settle(old);
}

static void
open_files(struct lookups *lookups)
{
	static char files_only[] = "f";
	struct ares_options options = { .lookups = files_only };

	lookups->files_fault =
	    ares_init_options(&lookups->files, &options, ARES_OPT_LOOKUPS);
}

/* True: it is another file than the stamp says, which now says this one. */
static bool
has_changed(const char *path, struct stamp *stamp)
{
	struct stat st;
	struct stamp now;

	memset(&now, 0, sizeof(now)); /* its gaps are compared too */
	if (stat(path, &st) == 0) {
		now.device = st.st_dev;
		now.inode = st.st_ino;
		now.size = st.st_size;
		now.modified = st.st_mtim;
		now.changed = st.st_ctim;
	}
	bool changed = memcmp(&now, stamp, sizeof(now)) != 0;
	*stamp = now;
	return changed;
}

struct lookups_news
lookups_refresh(struct lookups *lookups)
{
	int64_t now = loop_now(lookups->loop);
	struct lookups_news news = { false, false };

	if (now - lookups->looked_at < REFRESH_MS)
		return news;
	lookups->looked_at = now;
	news.servers = has_changed("/etc/resolv.conf", &lookups->resolv_conf);
	news.hosts = has_changed("/etc/hosts", &lookups->hosts);
	if (lookups->files_fault != ARES_SUCCESS)
		open_files(lookups);
	if (news.servers || lookups->servers == NULL)
		change_servers(lookups);
	return news;
}

struct lookups *
lookups_new(struct loop *loop)
{
	struct lookups *lookups = xcalloc(1, sizeof(*lookups));

	lookups->loop = loop;
	lookups->looked_at = loop_now(loop) - REFRESH_MS;
	ares_library_init(ARES_LIB_INIT_ALL);
	open_files(lookups);
	lookups_refresh(lookups);
	return lookups;
}

void
lookups_free(struct lookups *lookups)
{
	struct channel *channel, *next;

	if (lookups == NULL)
		return;
	lookups->closing = true;
	for (channel = LIST_FIRST(&lookups->channels); channel != NULL;
	     channel = next) {
		next = LIST_NEXT(channel, link);
		channel_free(channel);
	}
	if (lookups->files_fault == ARES_SUCCESS)
		ares_destroy(lookups->files);
	ares_library_cleanup();
	free(lookups);
}

static const char *
fault_text(int status)
{
	switch (status) {
	case ARES_ENOTFOUND: return "there is no such name";
	case ARES_ENODATA: return "the name has no address";
	case ARES_ETIMEOUT: return "no name server answered";
	/* said of one that failed or refused, too, whatever the manual says */
	case ARES_ECONNREFUSED: return "no name server could help";
	case ARES_EBADNAME: return "this is not a name";
	default: return ares_strerror(status);
	}
}

static struct answer *
fault_of(int status)
{
	if (status == ARES_ENOMEM || status == ARES_EFILE)
		return answer_new_fault(NET_LOCAL, fault_text(status));
	/* c-ares says no more where the kernel gave it no socket: ask it ourselves */
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno != EAFNOSUPPORT)
		return answer_new_fault(NET_LOCAL, strerror(errno));
	return answer_new_fault(NET_RESOLVE, fault_text(status));
}

static struct answer *
take_addresses(const struct ares_addrinfo *result)
{
	union resolve_address addresses[RESOLVE_MAX] = { 0 };
	size_t count = 0;

	for (const struct ares_addrinfo_node *node = result->nodes;
	     node != NULL && count < RESOLVE_MAX; node = node->ai_next)
		if ((size_t)node->ai_addrlen <= sizeof(addresses[0]))
			memcpy(&addresses[count++], node->ai_addr, node->ai_addrlen);
	if (count == 0)
		return answer_new_fault(NET_RESOLVE, fault_text(ARES_ENODATA));
	return answer_new(addresses, count);
}

/* The shortest time to live of all records that led to the addresses. */
static int64_t
time_to_live(const struct ares_addrinfo *result)
{
	int64_t seconds = KEEP_MAX_S;

	for (const struct ares_addrinfo_node *n = result->nodes; n != NULL;
	     n = n->ai_next)
		if (n->ai_ttl < seconds)
			seconds = n->ai_ttl;
	for (const struct ares_addrinfo_cname *c = result->cnames; c != NULL;
	     c = c->next)
		if (c->ttl < seconds)
			seconds = c->ttl;
	return (seconds < KEEP_MIN_S ? KEEP_MIN_S : seconds) * 1000;
}

static void
tell(struct lookup *lookup, struct answer *answer, int64_t keep_ms)
{
	lookup->done(lookup->arg, answer, keep_ms);
	free(lookup);
}

/* "There is none" is an answer too. Silence and failures are not. */
static bool
is_denial(int status)
{
	return status == ARES_ENOTFOUND || status == ARES_ENODATA;
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	struct lookup *lookup = arg;

	lookup->channel->asked--;
	if (lookup->channel->lookups->closing) {
		free(lookup);
	} else if (status != ARES_SUCCESS) {
		struct answer *fault = fault_of(status);
		bool keep = is_denial(status) && fault->error == NET_RESOLVE;
		tell(lookup, fault, keep ? KEEP_NONE_MS : 0);
	} else {
		tell(lookup, take_addresses(result), time_to_live(result));
	}
	ares_freeaddrinfo(result);
}

static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC };

static void
on_file_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	struct answer **out = arg;

	if (status == ARES_SUCCESS && result->nodes != NULL)
		*out = take_addresses(result);
	ares_freeaddrinfo(result);
}

struct answer *
lookup_filed(struct lookups *lookups, const char *host)
{
	struct answer *answer = NULL;

	if (lookups->files_fault == ARES_SUCCESS)
		ares_getaddrinfo(
		    lookups->files, host, NULL, &hints, on_file_answer, &answer);
	return answer;
}

void
lookup_start(struct lookups *lookups, const char *host,
    void (*done)(void *arg, struct answer *answer, int64_t keep_ms), void *arg)
{
	struct answer *filed = lookup_filed(lookups, host);
	struct channel *channel = lookups->servers;

	if (filed != NULL) {
		done(arg, filed, INT64_MAX);
		return;
	}
	if (channel == NULL) {
		done(arg, fault_of(lookups->fault), 0);
		return;
	}
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));
	lookup->channel = channel;
	lookup->done = done;
	lookup->arg = arg;
	channel->asked++;
	ares_getaddrinfo(channel->ares, host, NULL, &hints, on_answer, lookup);
	channel_settle(channel);
}
