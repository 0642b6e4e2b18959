/* SPDX-License-Identifier: ISC */
/*
 * A role on its way to another host, by an operator's word. What is asked for takes effect
 * later, on several hosts; so it is followed in the status of this one until it is seen or
 * its time is up, step by step, each with the time at which it was seen here. What
 * only another host can see (its own addresses) is left out.
 */
#include "agent/ctl/move.h"

#include "agent/base/util.h"
#include "agent/ctl/ask.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAIT_MS 60000
#define SETTLE_MS \
	500 /* until the new master is heard, or its addresses are seen here */
#define LOOK_MS 5 /* it is the master that is asked, at work on the very thing */
#define LOOK_SLOWLY_MS 20
#define QUICK_MS 1000

enum step { ASKED, LEAVING, DOWN, GIVEN, TAKEN, UP, STEPS };

static const struct {
	const char *name, *words;
} steps[] = {
	[ASKED] = { "asked", "asked" },
	[LEAVING] = { "leaving", "%s runs its demote hook" },
	[DOWN] = { "down", "the addresses are gone from %s" },
	[GIVEN] = { "given", "%s has given the role away" },
	[TAKEN] = { "taken", "%s has taken it" },
	[UP] = { "up", "%s is master with all that belongs to it" },
};

_Static_assert(ARRAY_LENGTH(steps) == STEPS, "a step has no words");

struct move {
	const struct ctl *ctl;
	const char *role, *to; /* to "": the best candidate */
	char old[256], now[256]; /* masters; "": nobody */
	int64_t began, taken_at; /* 0: not yet */
	bool seen[STEPS];
};

/* Who has the role by a status ("" for nobody). */
static void
read_master(const cJSON *role, char *node, size_t size)
{
	const char *holder = json_text(role, "holder");
	const char *fence = json_text(role, "fence");

	if (holder == NULL || fence == NULL || strcmp(holder, fence) != 0)
		fence = "";
	str_copy(node, size, fence);
}

static bool
holds_any(const cJSON *role)
{
	const cJSON *vip;

	cJSON_ArrayForEach (vip, cJSON_GetObjectItemCaseSensitive(role, "vips"))
		if (json_true(vip, "held"))
			return true;
	return false;
}

/* Its heartbeats come since it is master: the last is younger than that. */
static bool
is_heard(const cJSON *role, const char *node, int64_t since_ms)
{
	const cJSON *peer;
	uint64_t age;

	cJSON_ArrayForEach (peer, cJSON_GetObjectItemCaseSensitive(role, "peers"))
		if (json_is(peer, "node", node) &&
		    json_get_uint(peer, "heard_ms", &age))
			return (int64_t)age < since_ms;
	return false;
}

static void
tell(struct move *move, enum step step, const char *node)
{
	int64_t ms = clock_boot_ms() - move->began;
	char words[512];

	if (move->seen[step])
		return;
	move->seen[step] = true;
	if (move->ctl->json) {
		cJSON *line AUTO_JSON = cJSON_CreateObject();
		cJSON_AddStringToObject(line, "step", steps[step].name);
		cJSON_AddStringToObject(line, "role", move->role);
		cJSON_AddStringToObject(line, "node", node);
		json_add_uint(line, "ms", (uint64_t)ms);
		ask_print(line);
		return;
	}
	const char *name = strstr(steps[step].words, "%s");
	if (name == NULL)
		str_copy(words, sizeof(words), steps[step].words);
	else
		snprintf(words, sizeof(words), "%.*s%s%s",
		    (int)(name - steps[step].words), steps[step].words,
		    node[0] != '\0' ? node : "nobody", name + 2);
	printf("%6lld ms  %s\n", (long long)ms, words);
}

static bool
has_peer(const cJSON *role, const char *node)
{
	const cJSON *peer;

	cJSON_ArrayForEach (peer, cJSON_GetObjectItemCaseSensitive(role, "peers"))
		if (json_is(peer, "node", node))
			return true;
	return false;
}

/* Whether that is all there is to see. */
static bool
is_over(const struct move *move, const cJSON *role, bool here)
{
	if (move->taken_at == 0)
		return false;
	return move->seen[UP] || (!here && !has_peer(role, move->now)) ||
	    clock_boot_ms() - move->taken_at > SETTLE_MS;
}

/* What a status shows of the move; true: there will be no more. */
static bool
look(struct move *move, const cJSON *answer)
{
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(answer, "status");
	const cJSON *role = ask_find_role(answer, move->role);
	bool old_here = json_is(status, "node", move->old);
	bool has_vips =
	    cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(role, "vips")) > 0;

	read_master(role, move->now, sizeof(move->now));
	bool moved = move->now[0] != '\0' && strcmp(move->now, move->old) != 0;
	if (old_here && json_true(role, "leaving"))
		tell(move, LEAVING, move->old);
	if (old_here && has_vips && !holds_any(role))
		tell(move, DOWN, move->old);
	if (moved || json_is(role, "fence", ""))
		tell(move, GIVEN, move->old);
	if (!moved)
		return false;
	tell(move, TAKEN, move->now);
	if (move->taken_at == 0)
		move->taken_at = clock_boot_ms();
	bool here = json_is(status, "node", move->now);
	bool up = here
	    ? json_is(role, "state", "master") && (!has_vips || holds_any(role))
	    : is_heard(role, move->now, clock_boot_ms() - move->taken_at);
	if (up)
		tell(move, UP, move->now);
	return is_over(move, role, here);
}

static bool
has_moved(const struct move *move)
{
	return move->now[0] != '\0' && strcmp(move->now, move->old) != 0;
}

/* False: lictord does not answer any more. */
static bool
follow(struct move *move)
{
	for (;;) {
		cJSON *answer AUTO_JSON = ask(move->ctl, "status", NULL, NULL);
		int64_t passed = clock_boot_ms() - move->began;

		if (answer == NULL)
			return false;
		if (look(move, answer) || passed > WAIT_MS)
			return true;
		int ms = passed < QUICK_MS ? LOOK_MS : LOOK_SLOWLY_MS;
		struct timespec pause = { .tv_nsec = ms * 1000000L };
		nanosleep(&pause, NULL);
	}
}

static int
sum_up(const struct move *move)
{
	int64_t end = move->taken_at != 0 ? move->taken_at : clock_boot_ms();
	int64_t took = end - move->began;
	bool moved = has_moved(move);
	bool meant = move->to[0] == '\0' || strcmp(move->now, move->to) == 0;

	if (move->ctl->json) {
		cJSON *result AUTO_JSON = cJSON_CreateObject();
		cJSON_AddBoolToObject(result, "ok", moved && meant);
		cJSON_AddStringToObject(result, "role", move->role);
		cJSON_AddStringToObject(result, "from", move->old);
		cJSON_AddStringToObject(result, "master", move->now);
		json_add_uint(result, "took_ms", (uint64_t)took);
		ask_print(result);
	} else if (moved) {
		printf("%s is master of %s now, %s was; it took %lld ms\n", move->now,
		    move->role, move->old[0] != '\0' ? move->old : "nobody",
		    (long long)took);
	} else {
		fprintf(stderr,
		    "lictorctl: the role has not moved in %d s; \"lictorctl explain "
		    "%s\" says why\n",
		    WAIT_MS / 1000, move->role);
	}
	if (moved && !meant)
		fprintf(
		    stderr, "lictorctl: it is not %s that has taken it\n", move->to);
	return moved && meant ? 0 : 1;
}

/* Who has it before anything is asked for. */
static bool
begin(struct move *move, const struct ctl *ctl, const char *role, const char *to)
{
	cJSON *answer AUTO_JSON = ask(ctl, "status", NULL, NULL);

	*move = (struct move){ .ctl = ctl, .role = role, .to = to };
	if (answer == NULL)
		return false;
	const cJSON *found = ask_find_role(answer, role);
	if (found != NULL)
		read_master(found, move->old, sizeof(move->old));
	move->began = clock_boot_ms();
	return true;
}

int
move_switchover(const struct ctl *ctl, char **args)
{
	const char *to = args[1] != NULL ? args[1] : "";
	struct move move;

	if (!begin(&move, ctl, args[0], to))
		return 1;
	cJSON *answer AUTO_JSON = ask(ctl, "switchover", args[0], to);
	if (answer == NULL)
		return 1;
	tell(&move, ASKED, move.old);
	return follow(&move) ? sum_up(&move) : 1;
}

int
move_failover(const struct ctl *ctl, char **args)
{
	cJSON *request AUTO_JSON = cJSON_CreateObject();

	if (ctl->fenced == NULL) {
		fprintf(stderr,
		    "lictorctl: a failover needs --i-have-fenced NODE: your oath that "
		    "the last master is off, or its addresses are removed there\n");
		return 2;
	}
	cJSON_AddStringToObject(request, "command", "failover");
	cJSON_AddStringToObject(request, "role", args[0]);
	cJSON_AddStringToObject(request, "to", args[1]);
	cJSON_AddStringToObject(request, "fenced", ctl->fenced);
	return ask_tell(ctl, ask_long(ctl, request), NULL);
}
