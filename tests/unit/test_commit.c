/* SPDX-License-Identifier: ISC */
/*
 * All or none, in every order of what can happen: both processes, their sockets and the runner
 * around the machine are modelled here, and every state that they can come to is visited,
 * with refusals, deaths, silences, more reloads and the order to stop at any moment. In each
 * of them a process runs what it would be started with, or has the order to turn to it before
 * it, or is about to end.
 */
#include "agent/runner/commit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define QUEUE 8
#define NONE 2 /* no configuration; there are 0 and 1 */

/* A message is a letter and, on the way to a process, 16 times its configuration. */
enum letter { PREPARE = 1, YIELD, COMMIT, ABORT, PREPARED, REFUSED, YIELDED, TURNED };
#define LETTER_MASK 15

struct party {
	uint8_t alive, zombie; /* it runs; it has died, which the runner has not seen */
	uint8_t cut; /* the runner has closed its socket */
	uint8_t again; /* it will be started */
	uint8_t runs, prepared, yielding;
	uint8_t n_in, n_out;
	uint8_t in[QUEUE], out[QUEUE];
};

struct world {
	struct commit commit;
	struct party parties[COMMIT_PROCESSES];
	uint8_t counts,
	    next; /* configurations: the runner's, and the one that is tried */
	uint8_t trial, stopped;
	uint8_t open, waiting; /* who asked before the files were read, and since */
	uint8_t asks, deaths; /* that may still come */
};

/* What is the same in all worlds of a walk: which configuration has addresses. */
struct walk {
	bool addresses[2];
	struct world *worlds;
	size_t count, size;
	uint32_t *table; /* index + 1 of a world; 0: free */
	size_t table_size;
	size_t wrong, turns[2];
	char what[96];
};

static void
fault(struct walk *walk, const char *what)
{
	if (walk->wrong++ == 0)
		str_copy(walk->what, sizeof(walk->what), what);
}

static void
require(struct walk *walk, bool holds, const char *what)
{
	if (!holds)
		fault(walk, what);
}

/* ---- the sockets and the processes ---- */

static void
push(struct walk *walk, uint8_t *queue, uint8_t *count, unsigned int message)
{
	if (*count == QUEUE)
		fault(walk, "a queue is too short for the test");
	else
		queue[(*count)++] = (uint8_t)message;
}

static unsigned int
pull(uint8_t *queue, uint8_t *count)
{
	unsigned int message = queue[0];

	(*count)--;
	memmove(queue, queue + 1, *count);
	queue[*count] = 0;
	return message;
}

static bool
holds(const uint8_t *queue, uint8_t count, enum letter letter)
{
	for (uint8_t i = 0; i < count; i++)
		if ((queue[i] & LETTER_MASK) == letter)
			return true;
	return false;
}

static void
begin(struct party *party, uint8_t runs)
{
	memset(party, 0, sizeof(*party));
	party->alive = 1;
	party->runs = runs;
	party->prepared = NONE;
}

static void
post(struct walk *walk, const struct world *world, struct party *party,
    enum letter letter)
{
	uint8_t conf = letter == COMMIT ? world->counts : world->next;

	require(walk, !party->cut, "a closed socket is written to");
	require(walk, conf != NONE, "a message about nothing");
	if (party->alive)
		push(walk, party->in, &party->n_in, letter | conf << 4);
}

/* From here on it hears nothing and nobody hears it. */
static void
cut(struct party *party)
{
	party->again = 0;
	party->cut = party->alive || party->zombie;
	party->n_in = party->n_out = 0;
	memset(party->in, 0, QUEUE);
	memset(party->out, 0, QUEUE);
	party->yielding = 0;
}

static void
hear(struct walk *walk, struct party *party, bool good)
{
	unsigned int message = pull(party->in, &party->n_in);
	uint8_t conf = (uint8_t)(message >> 4);

	switch ((enum letter)(message & LETTER_MASK)) {
	case PREPARE:
		party->prepared = good ? conf : NONE;
		push(walk, party->out, &party->n_out, good ? PREPARED : REFUSED);
		break;
	case YIELD:
		require(walk, party->prepared == conf, "yields too early");
		party->yielding = 1;
		break;
	case COMMIT:
		require(walk, party->prepared == conf,
		    "told to turn to what it has not prepared");
		party->runs = conf;
		party->prepared = NONE;
		push(walk, party->out, &party->n_out, TURNED);
		break;
	case ABORT:
		party->prepared = NONE;
		party->yielding = 0;
		break;
	case PREPARED:
	case REFUSED:
	case YIELDED:
	case TURNED: fault(walk, "a message the wrong way"); break;
	}
}

/* ---- the runner around the machine ---- */

static bool
is_needed(const struct walk *walk, const struct world *world, int i)
{
	return i == COMMIT_AGENT || walk->addresses[world->counts];
}

static void
swap(struct walk *walk, struct world *world)
{
	const struct party *agent = &world->parties[COMMIT_AGENT];

	for (int i = 0; i < COMMIT_PROCESSES; i++) {
		const struct party *party = &world->parties[i];
		bool born = party->runs == world->next;
		if (party->alive && !party->cut)
			require(walk, born || party->prepared == world->next,
			    "counts before a process has prepared it");
	}
	require(walk, !agent->alive || (!agent->yielding && agent->n_in == 0),
	    "counts before the agent has yielded");
	world->counts = world->next;
	world->next = NONE;
	walk->turns[world->counts]++;
}

static void
carry_out(struct walk *walk, struct world *world, unsigned int actions)
{
	struct party *agent = &world->parties[COMMIT_AGENT];
	struct party *warden = &world->parties[COMMIT_WARDEN];

	if ((actions & COMMIT_CANCEL) != 0)
		world->trial = 0;
	if ((actions & COMMIT_PREPARE) != 0)
		post(walk, world, agent, PREPARE);
	if ((actions & COMMIT_PREPARE_WARDEN) != 0)
		post(walk, world, warden, PREPARE);
	if ((actions & COMMIT_BEAR) != 0) {
		require(walk, !warden->alive && !warden->zombie, "two wardens");
		warden->again = 1;
	}
	if ((actions & COMMIT_YIELD) != 0)
		post(walk, world, agent, YIELD);
	if ((actions & COMMIT_SWAP) != 0)
		swap(walk, world);
	if ((actions & COMMIT_COMMIT) != 0)
		post(walk, world, agent, COMMIT);
	if ((actions & COMMIT_COMMIT_WARDEN) != 0)
		post(walk, world, warden, COMMIT);
	if ((actions & COMMIT_ABORT) != 0)
		post(walk, world, agent, ABORT);
	if ((actions & COMMIT_ABORT_WARDEN) != 0)
		post(walk, world, warden, ABORT);
	if ((actions & COMMIT_KILL) != 0)
		cut(agent);
	if ((actions & (COMMIT_KILL_WARDEN | COMMIT_DISMISS)) != 0)
		cut(warden);
	if ((actions & COMMIT_ANSWER) != 0) {
		require(walk, world->open, "an answer that nobody asked for");
		world->open = 0;
		world->next = NONE;
	}
	if ((actions & COMMIT_READ) != 0) {
		require(walk, !world->stopped, "a reload while it stops");
		require(walk, !world->open && !world->trial, "two reloads at once");
		world->open = 1;
		world->waiting = 0;
		world->trial = 1;
	}
}

static void
step(struct walk *walk, struct world *world, struct commit_event event)
{
	carry_out(walk, world, commit_step(&world->commit, &event));
}

static void
tell(struct walk *walk, struct world *world, int i, enum letter letter)
{
	struct commit_event event = { .process = (enum commit_process)i,
		.good = letter != REFUSED,
		.happening = letter == YIELDED ? COMMIT_YIELDED
		    : letter == TURNED         ? COMMIT_TURNED
					       : COMMIT_PREPARED };

	step(walk, world, event);
}

/* The runner sees that one has died. */
static void
bury(struct walk *walk, struct world *world, int i)
{
	struct commit_event event = { .happening = COMMIT_ENDED,
		.process = (enum commit_process)i };

	memset(&world->parties[i], 0, sizeof(world->parties[i]));
	step(walk, world, event);
	if (!world->stopped && is_needed(walk, world, i))
		world->parties[i].again = 1;
}

static bool
is_first(const struct walk *walk, const struct world *world)
{
	return world->next != NONE && walk->addresses[world->next] &&
	    !walk->addresses[world->counts];
}

static void
start(struct walk *walk, struct world *world, int i)
{
	bool born = i == COMMIT_WARDEN && is_first(walk, world);
	struct party *party = &world->parties[i];
	struct commit_event event = { .process = (enum commit_process)i,
		.happening = born ? COMMIT_BORN : COMMIT_STARTED };

	begin(party, born ? world->next : world->counts);
	if (born) /* its pong */
		push(walk, party->out, &party->n_out, PREPARED);
	step(walk, world, event);
}

static void
end_trial(struct walk *walk, struct world *world, bool good)
{
	struct commit_event event = { .happening = COMMIT_TRIED, .good = good };

	world->trial = 0;
	if (good) {
		world->next = !world->counts;
		event.warden_now = walk->addresses[world->counts];
		event.warden_next = walk->addresses[world->next];
	}
	step(walk, world, event);
}

static void
ask(struct walk *walk, struct world *world)
{
	struct commit_event event = { .happening = COMMIT_ASKED };

	world->asks--;
	world->waiting = !world->stopped;
	step(walk, world, event);
}

static void
stop(struct walk *walk, struct world *world)
{
	struct commit_event event = { .happening = COMMIT_STOPPED };

	world->stopped = 1;
	world->waiting = 0;
	world->parties[COMMIT_AGENT].again = world->parties[COMMIT_WARDEN].again = 0;
	step(walk, world, event);
}

/* ---- what must hold ---- */

static bool
is_limited(const struct world *world)
{
	return world->commit.state > COMMIT_TRYING;
}

/* Nothing is waited for that will not come by itself. */
static void
require_progress(struct walk *walk, const struct world *world, int i)
{
	const struct party *party = &world->parties[i];
	enum commit_part part = world->commit.parts[i];
	bool there = party->alive || party->zombie;

	if (part == COMMIT_TOLD)
		require(walk,
		    party->zombie || holds(party->in, party->n_in, PREPARE) ||
			holds(party->out, party->n_out, PREPARED) ||
			holds(party->out, party->n_out, REFUSED),
		    "waits for an answer that will not come");
	if (part == COMMIT_TURNS)
		require(walk,
		    party->zombie || party->cut ||
			holds(party->in, party->n_in, COMMIT) ||
			holds(party->out, party->n_out, TURNED),
		    "waits for a turn that will not come");
	if (part == COMMIT_UNBORN && !world->stopped)
		require(walk, party->again, "waits for a birth that will not come");
	if (part == COMMIT_LEAVES)
		require(walk, there && party->cut, "waits for an end");
}

static void
require_same(struct walk *walk, const struct world *world, int i)
{
	const struct party *party = &world->parties[i];
	bool turning = world->commit.state == COMMIT_TURNING &&
	    holds(party->in, party->n_in, COMMIT);
	bool first =
	    i == COMMIT_WARDEN && is_first(walk, world) && party->runs == world->next;

	if (party->alive && !party->cut)
		require(walk, party->runs == world->counts || turning || first,
		    "a process runs what does not count");
}

static void
require_rules(struct walk *walk, const struct world *world)
{
	const struct commit *commit = &world->commit;
	const struct party *warden = &world->parties[COMMIT_WARDEN];
	bool idle = commit->state == COMMIT_IDLE;

	for (int i = 0; i < COMMIT_PROCESSES; i++) {
		const struct party *party = &world->parties[i];
		require_same(walk, world, i);
		require_progress(walk, world, i);
		if (idle && !world->stopped && is_needed(walk, world, i))
			require(walk, party->alive || party->zombie || party->again,
			    "a process is missing");
		require(walk,
		    party->prepared == NONE || !party->alive || !idle ||
			holds(party->in, party->n_in, ABORT) || party->cut,
		    "what was prepared is not forgotten");
	}
	if (idle)
		require(walk, !world->open && !world->waiting && !world->trial,
		    "somebody waits for an answer");
	require(walk, !world->stopped || idle || commit->state == COMMIT_TURNING,
	    "a reload goes on while it stops");
	if (commit->state == COMMIT_TRYING)
		require(walk, world->trial, "waits for no trial");
	if (idle && !walk->addresses[world->counts])
		require(walk, !warden->again && (!warden->alive || warden->cut),
		    "a warden without addresses");
	const struct party *agent = &world->parties[COMMIT_AGENT];
	if (commit->state == COMMIT_YIELDING && !commit->yielded)
		require(walk,
		    agent->zombie || agent->yielding ||
			holds(agent->in, agent->n_in, YIELD) ||
			holds(agent->out, agent->n_out, YIELDED),
		    "waits for a yield that will not come");
}

/* ---- the walk ---- */

/* All of them are copies of one that was cleared: what lies between members is zero. */
static bool
same(const unsigned char *a, const unsigned char *b)
{
	return memcmp(a, b, sizeof(struct world)) == 0;
}

static uint32_t *
find(struct walk *walk, const struct world *world)
{
	size_t at = fnv1a64(world, sizeof(*world)) & (walk->table_size - 1);

	while (walk->table[at] != 0 &&
	    !same((const unsigned char *)&walk->worlds[walk->table[at] - 1],
		(const unsigned char *)world))
		at = (at + 1) & (walk->table_size - 1);
	return &walk->table[at];
}

static void
grow(struct walk *walk)
{
	walk->size *= 2;
	walk->worlds = xrealloc(walk->worlds, walk->size, sizeof(*walk->worlds));
	free(walk->table);
	walk->table_size = 4 * walk->size;
	walk->table = xcalloc(walk->table_size, sizeof(*walk->table));
	for (size_t i = 0; i < walk->count; i++)
		*find(walk, &walk->worlds[i]) = (uint32_t)i + 1;
}

static void
visit(struct walk *walk, const struct world *world)
{
	require_rules(walk, world);
	if (walk->count == walk->size)
		grow(walk);
	uint32_t *place = find(walk, world);
	if (*place != 0)
		return;
	walk->worlds[walk->count++] = *world;
	*place = (uint32_t)walk->count;
}

static void
visit_party(struct walk *walk, const struct world *from, int i)
{
	const struct party *party = &from->parties[i];
	struct world world = *from;
	struct party *own = &world.parties[i];

	for (int good = 0; party->alive && party->n_in > 0 && good < 2; good++) {
		world = *from;
		hear(walk, own, good == 1);
		visit(walk, &world);
	}
	if (party->alive && party->yielding) {
		world = *from;
		own->yielding = 0;
		push(walk, own->out, &own->n_out, YIELDED);
		visit(walk, &world);
	}
	if (party->n_out > 0) {
		world = *from;
		tell(walk, &world, i, (enum letter)pull(own->out, &own->n_out));
		visit(walk, &world);
	}
	if (party->alive && (party->cut || from->deaths > 0)) {
		world = *from;
		world.deaths -= party->cut == 0;
		own->alive = 0;
		own->zombie = 1;
		own->n_in = 0;
		memset(own->in, 0, QUEUE);
		visit(walk, &world);
	}
	if (party->zombie) {
		world = *from;
		bury(walk, &world, i);
		visit(walk, &world);
	}
	if (party->again) {
		world = *from;
		start(walk, &world, i);
		visit(walk, &world);
	}
}

static void
visit_all(struct walk *walk, const struct world *from)
{
	struct world world;

	for (int i = 0; i < COMMIT_PROCESSES; i++)
		visit_party(walk, from, i);
	for (int good = 0; from->trial && good < 2; good++) {
		world = *from;
		end_trial(walk, &world, good == 1);
		visit(walk, &world);
	}
	if (is_limited(from)) {
		world = *from;
		step(walk, &world, (struct commit_event){ .happening = COMMIT_LATE });
		visit(walk, &world);
	}
	if (from->asks > 0) {
		world = *from;
		ask(walk, &world);
		visit(walk, &world);
	}
	if (!from->stopped) {
		world = *from;
		stop(walk, &world);
		visit(walk, &world);
	}
}

static void
walk_all(struct walk *walk, bool now, bool next)
{
	*walk = (struct walk){ .addresses = { now, next }, .size = 1024 };
	struct world world;

	grow(walk);
	memset(&world, 0, sizeof(world));
	world.next = NONE;
	world.asks = 3;
	world.deaths = 2;
	start(walk, &world, COMMIT_AGENT);
	if (now)
		start(walk, &world, COMMIT_WARDEN);
	visit(walk, &world);
	for (size_t i = 0; i < walk->count && walk->wrong == 0; i++) {
		struct world from = walk->worlds[i];
		visit_all(walk, &from);
	}
	if (walk->wrong > 0)
		printf("# addresses %d, then %d: %s\n", now, next, walk->what);
	CU_ASSERT_EQUAL(walk->wrong, 0);
	CU_ASSERT(walk->turns[0] > 0 && walk->turns[1] > 0);
	printf("# addresses %d, then %d: %zu states\n", now, next, walk->count);
	free(walk->worlds);
	free(walk->table);
}

static void
test_addresses_in_both(void)
{
	struct walk walk;

	walk_all(&walk, true, true);
}

static void
test_first_addresses(void)
{
	struct walk walk;

	walk_all(&walk, false, true);
}

static void
test_last_addresses(void)
{
	struct walk walk;

	walk_all(&walk, true, false);
}

static void
test_no_addresses(void)
{
	struct walk walk;

	walk_all(&walk, false, false);
}

static const struct tap_case cases[] = {
	{ "all or none, with addresses in both", test_addresses_in_both },
	{ "all or none, with the first addresses", test_first_addresses },
	{ "all or none, with the last addresses", test_last_addresses },
	{ "all or none, without addresses", test_no_addresses },
};

TAP_MAIN("commit", cases)
