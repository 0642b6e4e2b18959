/* SPDX-License-Identifier: ISC */
/*
 * Names to addresses without blocking, and addresses as people write them. What was asked
 * before is in names, new questions go through lookup. One question is open for a name at a
 * time, with the calls that wait for it: cancelling a call leaves the question and the
 * others alone, and its answer is kept even if nobody waits any more. A question that was
 * open when the hosts file or resolv.conf changed is taken out of `questions`: it serves
 * who waits already, and what it brings is not kept. Calls whose answer is there are in
 * `answered` until a timer tells them: `done` may do anything, resolve_free included.
 */
#include "agent/base/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <unistd.h>

#include "agent/base/lookup.h"
#include "agent/base/loop.h"
#include "agent/base/names.h"
#include "agent/base/util.h"

#define NAMES_MAX 4096

struct resolve_call {
	TAILQ_ENTRY(resolve_call) link; /* of the question, or of `answered` */
	struct resolve *resolve;
	struct question *question; /* NULL: answered */
	struct answer *answer; /* NULL: not yet */
	void (*done)(void *arg, const union resolve_address *addresses, size_t count,
	    const char *why);
	void *arg;
	bool telling;
};

TAILQ_HEAD(call_list, resolve_call);

struct question {
	LIST_ENTRY(question) link;
	const char *host; /* what the tree is sorted by */
	struct resolve *resolve;
	struct call_list calls;
	bool old; /* not in the tree any more */
	char text[];
};

struct resolve {
	struct loop *loop;
	struct lookups *lookups; /* made when the first name is asked for */
	struct names *names;
	struct answer *localhost;
	void *questions; /* a tree of those that a call may join */
	LIST_HEAD(, question) open; /* all of them */
	struct loop_timer *deliver;
	struct call_list answered;
	bool telling, freed; /* freed while it tells: the shell stays until it has */
};

bool
resolve_is_localhost(const char *host)
{
	size_t len = strlen(host);

	return strcasecmp(host, "localhost") == 0 ||
	    (len > 10 && strcasecmp(host + len - 10, ".localhost") == 0);
}

/* An IPv6 address, perhaps with the interface of a link-local one behind a '%'. */
static bool
literal_ipv6(const char *host, struct sockaddr_in6 *out)
{
	size_t len = strcspn(host, "%");
	char bare[INET6_ADDRSTRLEN];

	if (len >= sizeof(bare))
		return false;
	memcpy(bare, host, len);
	bare[len] = '\0';
	out->sin6_family = AF_INET6;
	if (inet_pton(AF_INET6, bare, &out->sin6_addr) != 1)
		return false;
	if (host[len] == '\0')
		return true;
	out->sin6_scope_id = if_nametoindex(host + len + 1);
	return out->sin6_scope_id != 0;
}

bool
resolve_literal(
    const char *host, uint16_t port, union resolve_address *out, socklen_t *len)
{
	union resolve_address address = { 0 };

	if (inet_pton(AF_INET, host, &address.in.sin_addr) == 1) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
		*len = sizeof(address.in);
	} else if (literal_ipv6(host, &address.in6)) {
		address.in6.sin6_port = htons(port);
		*len = sizeof(address.in6);
	} else {
		return false;
	}
	*out = address;
	return true;
}

socklen_t
resolve_address_len(const union resolve_address *address)
{
	return address->sa.sa_family == AF_INET6 ? sizeof(address->in6)
						 : sizeof(address->in);
}

void
resolve_format(const struct sockaddr *address, char *out, size_t size)
{
	const void *bytes = address->sa_family == AF_INET6
	    ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)
		  ->sin6_addr
	    : (const void *)&((const struct sockaddr_in *)(const void *)address)
		  ->sin_addr;

	if (size > 0 &&
	    inet_ntop(address->sa_family, bytes, out, (socklen_t)size) == NULL)
		out[0] = '\0';
}

/* RFC 8305, 4: the families in turn, each in its own order, the first one first. */
static void
interleave(union resolve_address *addresses, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		size_t next = i;
		while (next < count &&
		    addresses[next].sa.sa_family == addresses[i - 1].sa.sa_family)
			next++;
		if (next == count)
			return;
		union resolve_address moved = addresses[next];
		memmove(&addresses[i + 1], &addresses[i], (next - i) * sizeof(moved));
		addresses[i] = moved;
	}
}

static void
answer(struct resolve_call *call, struct answer *answer)
{
	struct resolve *resolve = call->resolve;

	call->question = NULL;
	call->answer = answer_hold(answer);
	TAILQ_INSERT_TAIL(&resolve->answered, call, link);
	loop_timer_after(resolve->deliver, 0);
}

static void
free_call(struct resolve_call *call)
{
	answer_release(call->answer);
	free(call);
}

static void
tell(struct resolve_call *call)
{
	const struct answer *told = call->answer;

	call->telling = true;
	if (told->error == NET_OK)
		call->done(call->arg, told->addresses, told->count, NULL);
	else
		call->done(call->arg, NULL, 0, told->why);
	free_call(call);
}

/* Those that are answered now; who is answered meanwhile is told in a later turn. */
static void
on_deliver(void *arg)
{
	struct resolve *resolve = arg;
	struct resolve_call *call;
	size_t due = 0;

	TAILQ_FOREACH(call, &resolve->answered, link)
	due++;
	resolve->telling = true;
	for (; due > 0 && !TAILQ_EMPTY(&resolve->answered); due--) {
		call = TAILQ_FIRST(&resolve->answered);
		TAILQ_REMOVE(&resolve->answered, call, link);
		tell(call);
	}
	resolve->telling = false;
	if (resolve->freed)
		free(resolve);
}

static int
compare(const void *a, const void *b)
{
	const struct question *one = a, *other = b;

	return strcasecmp(one->host, other->host);
}

static struct question *
question_find(struct resolve *resolve, const char *host)
{
	struct question wanted = { .host = host };
	void *node = tfind(&wanted, &resolve->questions, compare);

	return node == NULL ? NULL : *(struct question **)node;
}

/* Nobody can join it any more. */
static void
question_close(struct question *question)
{
	if (!question->old)
		tdelete(question, &question->resolve->questions, compare);
	question->old = true;
}

static void
question_free(struct question *question)
{
	question_close(question);
	LIST_REMOVE(question, link);
	free(question);
}

static void
on_looked_up(void *arg, struct answer *found, int64_t keep_ms)
{
	struct question *question = arg;
	struct resolve *resolve = question->resolve;
	int64_t now = loop_now(resolve->loop);
	int64_t until = keep_ms == INT64_MAX ? keep_ms : now + keep_ms;
	struct resolve_call *call;

	interleave(found->addresses, found->count);
	if (keep_ms > 0 && !question->old)
		names_keep(resolve->names, question->host, found, until);
	while ((call = TAILQ_FIRST(&question->calls)) != NULL) {
		TAILQ_REMOVE(&question->calls, call, link);
		answer(call, found);
	}
	answer_release(found);
	question_free(question);
}

/* The call waits for the question of this name, which is asked now or was before. */
static void
ask(struct resolve_call *call, const char *host)
{
	struct resolve *resolve = call->resolve;
	struct question *question = question_find(resolve, host);
	size_t size = strlen(host) + 1;
	bool asked = question != NULL;

	if (!asked) {
		question = xcalloc(1, sizeof(*question) + size);
		memcpy(question->text, host, size);
		question->host = question->text;
		question->resolve = resolve;
		TAILQ_INIT(&question->calls);
		LIST_INSERT_HEAD(&resolve->open, question, link);
		if (tsearch(question, &resolve->questions, compare) == NULL)
			out_of_memory();
	}
	call->question = question;
	TAILQ_INSERT_TAIL(&question->calls, call, link);
	if (!asked)
		lookup_start(resolve->lookups, host, on_looked_up, question);
}

/* What was learnt of a file or a server is not used after that has changed. */
static void
refresh(struct resolve *resolve)
{
	struct question *question;
	struct lookups_news news;

	if (resolve->lookups == NULL)
		resolve->lookups = lookups_new(resolve->loop);
	news = lookups_refresh(resolve->lookups);
	if (!news.servers && !news.hosts)
		return;
	if (news.servers)
		names_forget(resolve->names);
	else
		names_doubt(resolve->names);
	LIST_FOREACH(question, &resolve->open, link)
	question_close(question);
}

/* What a server said holds on when the hosts file changes, unless that speaks of the name
 * now: so nothing depends on the server being there at that moment. */
static struct answer *
find_known(struct resolve *resolve, const char *host)
{
	bool doubted;
	int64_t now = loop_now(resolve->loop);
	struct answer *known = names_find(resolve->names, host, now, &doubted);
	struct answer *filed =
	    known != NULL && doubted ? lookup_filed(resolve->lookups, host) : NULL;

	if (filed == NULL)
		return known;
	interleave(filed->addresses, filed->count);
	names_keep(resolve->names, host, filed, INT64_MAX);
	answer_release(filed);
	return names_find(resolve->names, host, now, &doubted);
}

/* RFC 6761, 6.3: nobody is asked. IPv4 first: what listens on one of the two only mostly
 * listens there. */
static struct answer *
make_localhost(void)
{
	union resolve_address addresses[] = {
		{ .in = { .sin_family = AF_INET,
		      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } },
		{ .in6 = { .sin6_family = AF_INET6,
		      .sin6_addr = IN6ADDR_LOOPBACK_INIT } },
	};
	AUTO_CLOSE int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has_ipv6 =
	    fd >= 0 && bind(fd, &addresses[1].sa, sizeof(addresses[1].in6)) == 0;

	return answer_new(addresses, has_ipv6 ? 2 : 1);
}

struct resolve *
resolve_new(struct loop *loop)
{
	struct resolve *resolve = xcalloc(1, sizeof(*resolve));

	resolve->loop = loop;
	TAILQ_INIT(&resolve->answered);
	resolve->names = names_new(NAMES_MAX);
	resolve->localhost = make_localhost();
	resolve->deliver = loop_timer_new(loop, on_deliver, resolve);
	return resolve;
}

static void
free_calls(struct call_list *calls)
{
	struct resolve_call *call;

	while ((call = TAILQ_FIRST(calls)) != NULL) {
		TAILQ_REMOVE(calls, call, link);
		free_call(call);
	}
}

void
resolve_free(struct resolve *resolve)
{
	if (resolve == NULL)
		return;
	lookups_free(resolve->lookups);
	while (!LIST_EMPTY(&resolve->open)) {
		struct question *question = LIST_FIRST(&resolve->open);
		free_calls(&question->calls);
		question_free(question);
	}
	free_calls(&resolve->answered);
	names_free(resolve->names);
	answer_release(resolve->localhost);
	loop_timer_free(resolve->deliver);
	resolve->freed = true;
	if (!resolve->telling)
		free(resolve);
}

struct resolve_call *
resolve_start(struct resolve *resolve, const char *host,
    void (*done)(void *arg, const union resolve_address *addresses, size_t count,
	const char *why),
    void *arg)
{
	struct resolve_call *call = xcalloc(1, sizeof(*call));
	union resolve_address literal;
	socklen_t len;

	call->resolve = resolve;
	call->done = done;
	call->arg = arg;
	if (resolve_is_localhost(host)) {
		answer(call, resolve->localhost);
		return call;
	}
	if (resolve_literal(host, 0, &literal, &len)) {
		struct answer *itself = answer_new(&literal, 1);
		answer(call, itself);
		answer_release(itself);
		return call;
	}
	refresh(resolve);
	struct answer *known = find_known(resolve, host);
	if (known != NULL)
		answer(call, known);
	else
		ask(call, host);
	return call;
}

void
resolve_cancel(struct resolve_call *call)
{
	if (call == NULL || call->telling)
		return;
	TAILQ_REMOVE(
	    call->question != NULL ? &call->question->calls : &call->resolve->answered,
	    call, link);
	free_call(call);
}

enum net_error
resolve_error(const struct resolve_call *call)
{
	return call->answer->error;
}
