/* SPDX-License-Identifier: ISC */
/*
 * The names that are known, in virtual time: held against a plain model (an array in the
 * order of use) over every short sequence of calls and over long random ones.
 */
#include "agent/base/names.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define MAX 2 /* names that the store holds */
#define HOSTS 3
#define DEPTH 6
#define STEPS (2 * HOSTS + 3) /* keep, find; a moment passes; doubt; forget */

static const char *const hosts[HOSTS][2] = {
	{ "a.test", "A.test" },
	{ "b.test", "b.TEST" },
	{ "ab.test", "aB.tEst" },
};

/* What should be known: the last one was used last. */
struct model {
	int64_t now;
	size_t count;
	struct {
		size_t host;
		struct answer *answer; /* only compared */
		int64_t until;
		bool doubted;
	} known[MAX];
};

static void
model_remove(struct model *model, size_t at)
{
	model->count--;
	for (; at < model->count; at++)
		model->known[at] = model->known[at + 1];
}

static size_t
model_find(const struct model *model, size_t host)
{
	size_t at = 0;

	while (at < model->count && model->known[at].host != host)
		at++;
	return at;
}

static void
keep(struct model *model, struct names *names, size_t host)
{
	union resolve_address address = { .in = { .sin_family = AF_INET } };
	struct answer *answer = answer_new(&address, 1);
	size_t at = model_find(model, host);
	/* of two moments or three, so that not all end together, or for ever */
	int64_t until = host == 2 ? INT64_MAX : model->now + 2 + (int64_t)(host == 0);

	if (at < model->count)
		model_remove(model, at);
	else if (model->count == MAX)
		model_remove(model, 0);
	model->known[model->count].host = host;
	model->known[model->count].answer = answer;
	model->known[model->count].doubted = false;
	model->known[model->count++].until = until;
	names_keep(names, hosts[host][0], answer, until);
	answer_release(answer);
}

static bool
find(struct model *model, struct names *names, size_t host)
{
	size_t at = model_find(model, host);
	struct answer *expected = NULL;
	bool doubted, expected_doubt = false;

	if (at < model->count) {
		int64_t until = model->known[at].until;
		struct answer *answer = model->known[at].answer;
		expected_doubt = model->known[at].doubted;
		model_remove(model, at);
		if (model->now < until) {
			model->known[model->count].host = host;
			model->known[model->count].answer = answer;
			model->known[model->count].doubted = false;
			model->known[model->count++].until = until;
			expected = answer;
		}
	}
	return names_find(names, hosts[host][1], model->now, &doubted) == expected &&
	    (expected == NULL || doubted == expected_doubt);
}

static void
doubt(struct model *model, struct names *names)
{
	for (size_t at = model->count; at-- > 0;) {
		model->known[at].doubted = true;
		if (model->known[at].until == INT64_MAX)
			model_remove(model, at);
	}
	names_doubt(names);
}

static bool
step(struct model *model, struct names *names, unsigned int what)
{
	bool good = true;

	if (what < HOSTS)
		keep(model, names, what);
	else if (what < 2 * HOSTS)
		good = find(model, names, what - HOSTS);
	else if (what == 2 * HOSTS)
		model->now++;
	else if (what == 2 * HOSTS + 1)
		doubt(model, names);
	else
		names_forget(names);
	if (what == 2 * HOSTS + 2)
		model->count = 0;
	return good && names_count(names) == model->count;
}

static void
test_every_sequence(void)
{
	unsigned long sequences = 1, bad = 0;

	for (int i = 0; i < DEPTH; i++)
		sequences *= STEPS;
	for (unsigned long i = 0; i < sequences; i++) {
		struct names *names = names_new(MAX);
		struct model model = { 0 };
		unsigned long rest = i;
		for (int depth = 0; depth < DEPTH; depth++, rest /= STEPS)
			bad += !step(&model, names, (unsigned int)(rest % STEPS));
		names_free(names);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void
test_long_sequences(void)
{
	struct names *names = names_new(MAX);
	struct model model = { 0 };
	uint64_t state = 1;
	unsigned long bad = 0;

	for (int i = 0; i < 200000; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		unsigned int what = (unsigned int)(state >> 33) % (4 * STEPS);
		/* forgetting is rare, or nothing would ever be known for long */
		bad +=
		    !step(&model, names, what == STEPS - 1 ? what : what % (STEPS - 1));
	}
	names_free(names);
	CU_ASSERT_EQUAL(bad, 0);
}

static void
test_bound(void)
{
	struct names *names = names_new(100);
	struct answer *none = answer_new_fault(NET_RESOLVE, "there is no such name");
	char host[32];
	bool doubted;

	for (int i = 0; i < 10000; i++) {
		snprintf(host, sizeof(host), "host-%d.test", i);
		names_keep(names, host, none, INT64_MAX);
		CU_ASSERT_TRUE_FATAL(names_count(names) <= 100);
	}
	for (int i = 0; i < 10000; i++) {
		snprintf(host, sizeof(host), "host-%d.test", i);
		CU_ASSERT_EQUAL(
		    names_find(names, host, INT64_MAX - 1, &doubted) != NULL,
		    i >= 9900);
	}
	CU_ASSERT_EQUAL(none->users, 101);
	names_free(names);
	CU_ASSERT_EQUAL(none->users, 1);
	answer_release(none);
	answer_release(NULL);
	names_free(NULL);
}

static void
test_an_answer_outlives_its_name(void)
{
	union resolve_address two[] = {
		{ .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(1) } },
		{ .in6 = { .sin6_family = AF_INET6, .sin6_addr.s6_addr = { 2 } } },
	};
	struct names *names = names_new(1);
	struct answer *answer = answer_new(two, 2);
	bool doubted;

	names_keep(names, "a.test", answer, 5);
	answer_release(answer);
	struct answer *held = answer_hold(names_find(names, "a.test", 4, &doubted));
	CU_ASSERT_PTR_NULL(names_find(names, "a.test", 5, &doubted));
	CU_ASSERT_EQUAL(names_count(names), 0);
	CU_ASSERT_EQUAL(held->users, 1);
	CU_ASSERT_EQUAL(held->error, NET_OK);
	CU_ASSERT_EQUAL(held->count, 2);
	CU_ASSERT_EQUAL(held->addresses[0].in.sin_addr.s_addr, htonl(1));
	CU_ASSERT_EQUAL(held->addresses[1].in6.sin6_addr.s6_addr[0], 2);
	answer_release(held);
	names_free(names);
}

static const struct tap_case cases[] = {
	{ "every sequence of calls", test_every_sequence },
	{ "long sequences", test_long_sequences },
	{ "the bound, and who has to go", test_bound },
	{ "an answer outlives its name", test_an_answer_outlives_its_name },
};

TAP_MAIN("names", cases)
