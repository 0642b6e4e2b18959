/* SPDX-License-Identifier: ISC */
/*
 * The names whose addresses are known, each until its time is over. Pure: the time is an
 * argument, nobody is asked. A name is in the tree and in `used`, the list in the order of
 * use, or in neither. Answers are shared with those who wait to be told (resolve) and live
 * as long as anybody has a use for them; one that has expired stays until it is asked for,
 * replaced or pushed out, but is never given. What is doubted is known as before: who finds
 * it is told once, and may put another answer in its place.
 */
#include "agent/base/names.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "agent/base/util.h"

struct name {
	TAILQ_ENTRY(name) link;
	const char *host; /* what the tree is sorted by */
	struct answer *answer;
	int64_t until;
	uint64_t doubts; /* that there had been when it was kept or found */
	char text[];
};

struct names {
	void *tree;
	uint64_t doubts;
	size_t count, max;
	TAILQ_HEAD(name_list, name) used; /* the last one was used last */
};

struct answer *
answer_new(const union resolve_address *addresses, size_t count)
{
	struct answer *answer =
	    xcalloc(1, sizeof(*answer) + count * sizeof(addresses[0]));

	answer->users = 1;
	answer->count = count;
	memcpy(answer->addresses, addresses, count * sizeof(addresses[0]));
	return answer;
}

struct answer *
answer_new_fault(enum net_error error, const char *why)
{
	struct answer *answer = xcalloc(1, sizeof(*answer));

	answer->users = 1;
	answer->error = error;
	str_copy(answer->why, sizeof(answer->why), why);
	return answer;
}

struct answer *
answer_hold(struct answer *answer)
{
	answer->users++;
	return answer;
}

void
answer_release(struct answer *answer)
{
	if (answer == NULL || --answer->users > 0)
		return;
	free(answer);
}

static int
compare(const void *a, const void *b)
{
	const struct name *one = a, *other = b;

	return strcasecmp(one->host, other->host);
}

static struct name *
find(struct names *names, const char *host)
{
	struct name wanted = { .host = host };
	void *node = tfind(&wanted, &names->tree, compare);

	return node == NULL ? NULL : *(struct name **)node;
}

static void
drop(struct names *names, struct name *name)
{
	tdelete(name, &names->tree, compare);
	TAILQ_REMOVE(&names->used, name, link);
	names->count--;
	answer_release(name->answer);
	free(name);
}

struct names *
names_new(size_t max)
{
	struct names *names = xcalloc(1, sizeof(*names));

	assert(max > 0);
	names->max = max;
	TAILQ_INIT(&names->used);
	return names;
}

void
names_forget(struct names *names)
{
	while (!TAILQ_EMPTY(&names->used))
		drop(names, TAILQ_FIRST(&names->used));
}

void
names_free(struct names *names)
{
	if (names == NULL)
		return;
	names_forget(names);
	free(names);
}

void
names_doubt(struct names *names)
{
	struct name *name, *next;

	names->doubts++;
	for (name = TAILQ_FIRST(&names->used); name != NULL; name = next) {
		next = TAILQ_NEXT(name, link);
		if (name->until == INT64_MAX)
			drop(names, name);
	}
}

struct answer *
names_find(struct names *names, const char *host, int64_t now, bool *doubted)
{
	struct name *name = find(names, host);

	*doubted = name != NULL && name->doubts != names->doubts;
	if (name == NULL)
		return NULL;
	if (now >= name->until) {
		drop(names, name);
		return NULL;
	}
	name->doubts = names->doubts;
	TAILQ_REMOVE(&names->used, name, link);
	TAILQ_INSERT_TAIL(&names->used, name, link);
	return name->answer;
}

void
names_keep(struct names *names, const char *host, struct answer *answer, int64_t until)
{
	size_t size = strlen(host) + 1;
	struct name *name = find(names, host);

	if (name != NULL)
		drop(names, name);
	else if (names->count == names->max)
		drop(names, TAILQ_FIRST(&names->used));
	name = xcalloc(1, sizeof(*name) + size);
	memcpy(name->text, host, size);
	name->host = name->text;
	name->answer = answer_hold(answer);
	name->until = until;
	name->doubts = names->doubts;
	if (tsearch(name, &names->tree, compare) == NULL)
		out_of_memory();
	TAILQ_INSERT_TAIL(&names->used, name, link);
	names->count++;
}

size_t
names_count(const struct names *names)
{
	return names->count;
}
