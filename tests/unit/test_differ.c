/* SPDX-License-Identifier: ISC */
/*
 * Every state of a service with two checks, and every step that is proposed in it, carried
 * out as Consul does. What each step may not do (show a service missing, or a check worse
 * than it was and is to be, remove what is not ours, end a stranger's maintenance) is held
 * against each; each must lead closer to the end, and where no step is left the picture
 * must be what was wanted. So all orders of all steps from everywhere are covered.
 */
#include "agent/consul/differ.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/tap.h"

#define CHECKS 2
#define OF_CHECK 81 /* not wanted, or ready, apart, want; absent, or ours, form, have */
#define OF_SERVICE (16 * 2 * 3 * 2 * 4) /* bits; strange; maintenance; orders */

enum maintenance { NONE, OURS, THEIRS };

struct world {
	struct differ_service service; /* the counts are made of the checks */
	struct differ_check checks[CHECKS];
};

static enum check_status
passing_or_critical(unsigned int bit)
{
	return bit ? CHECK_CRITICAL : CHECK_PASSING;
}

static struct differ_check
check_of(unsigned int number)
{
	unsigned int asked = number % 9, shown = number / 9;
	struct differ_check check = { .wanted = asked < 8, .shown = shown < 8 };

	if (check.wanted) {
		check.ready = asked & 1;
		check.apart = asked & 2;
		check.want = passing_or_critical(asked & 4);
	}
	if (check.shown) {
		check.ours = shown & 1;
		check.same_form = shown & 2;
		check.have = passing_or_critical(shown & 4);
	}
	return check;
}

static struct differ_service
service_of(unsigned int number)
{
	unsigned int bits = number % 16, kind = number / 16 % 3, rest = number / 48;
	enum maintenance maintenance = (enum maintenance)kind;

	return (struct differ_service){
		.shown = bits & 1,
		.ours = bits & 2,
		.same_form = bits & 4,
		.alias_shown = bits & 8,
		.maintained = maintenance != NONE,
		.maintained_by_us = maintenance == OURS,
		.strange = rest & 1,
		.wanted = rest & 2,
		.foreign = rest & 4,
		.want_maintained = rest & 8,
	};
}

/* What is shown of a service goes with it. */
static bool
is_possible(const struct world *world)
{
	const struct differ_service *service = &world->service;

	if (service->shown)
		return true;
	for (int i = 0; i < CHECKS; i++)
		if (world->checks[i].shown)
			return false;
	return !service->ours && !service->same_form && !service->alias_shown &&
	    !service->maintained && !service->strange;
}

static void
count_all(struct world *world)
{
	struct differ_service *service = &world->service;

	service->waited_for = service->lacking = service->apart = service->surplus = 0;
	for (int i = 0; i < CHECKS; i++)
		differ_count(service, &world->checks[i]);
}

/* ---- Consul ---- */

static void
add_check(struct differ_check *check)
{
	if (!check->shown)
		check->have = check->want;
	check->shown = check->ours = check->same_form = true;
}

static void
remove_check(struct differ_check *check)
{
	check->shown = check->ours = check->same_form = false;
	check->have = CHECK_PASSING;
}

static void
register_service(struct world *world, bool replacing)
{
	struct differ_service *service = &world->service;

	service->shown = service->ours = service->same_form = service->alias_shown =
	    true;
	for (int i = 0; i < CHECKS; i++) {
		struct differ_check *check = &world->checks[i];

		if (check->wanted && !check->apart && (check->shown || check->ready))
			add_check(check);
		else if (replacing)
			remove_check(check);
	}
	if (replacing)
		service->maintained = service->maintained_by_us = service->strange =
		    false;
}

static void
remove_service(struct world *world)
{
	struct differ_service *service = &world->service;

	service->shown = service->ours = service->same_form = service->alias_shown =
	    service->maintained = service->maintained_by_us = service->strange = false;
	for (int i = 0; i < CHECKS; i++)
		remove_check(&world->checks[i]);
}

static void
carry_out(struct world *world, enum differ_do what, struct differ_check *check)
{
	struct differ_service *service = &world->service;

	switch (what) {
	case DIFFER_NOTHING: break;
	case DIFFER_REGISTER: register_service(world, false); break;
	case DIFFER_REGISTER_REPLACING: register_service(world, true); break;
	case DIFFER_ADD_ALIAS: service->alias_shown = true; break;
	case DIFFER_REMOVE_SERVICE: remove_service(world); break;
	case DIFFER_MAINTAIN:
		service->maintained = service->maintained_by_us = true;
		break;
	case DIFFER_MAINTAIN_NO_MORE:
		service->maintained = service->maintained_by_us = false;
		break;
	case DIFFER_ADD_CHECK: add_check(check); break;
	case DIFFER_UPDATE: check->have = check->want; break;
	case DIFFER_REMOVE_CHECK: remove_check(check); break;
	}
}

/* ---- the rules ---- */

static bool
is_to_go(const struct differ_service *service)
{
	return !service->wanted || (service->foreign && service->ours);
}

/* A number that each step must make smaller; 0 where all is as wanted. */
static unsigned int
distance(const struct world *world)
{
	const struct differ_service *service = &world->service;
	unsigned int sum = 0;

	if (is_to_go(service))
		return service->shown && service->ours ? 1000 : 0;
	if (!service->shown) {
		for (int i = 0; i < CHECKS; i++)
			if (world->checks[i].wanted && !world->checks[i].ready)
				return 0; /* it is waited for */
		return service->foreign ? 0 : 1000;
	}
	sum += !service->alias_shown || (!service->foreign && !service->same_form);
	if (service->want_maintained ? !service->maintained : service->maintained_by_us)
		sum++;
	for (int i = 0; i < CHECKS; i++) {
		const struct differ_check *check = &world->checks[i];
		bool right = check->shown && check->same_form;

		if (check->wanted && (check->shown || check->ready))
			sum += (!right ? 2 : 0) +
			    (check->shown && check->have != check->want);
		else if (!check->wanted)
			sum += check->shown && check->ours;
	}
	return sum;
}

static bool
no_worse(const struct differ_check *before, const struct differ_check *after)
{
	if (!before->wanted)
		return true;
	if (!before->shown)
		return !after->shown || after->have == after->want;
	return after->shown &&
	    (after->have == before->have || after->have == after->want);
}

/* All worlds are copies of one that was cleared: what lies between members is the same. */
static bool
is_same(const unsigned char *a, const unsigned char *b)
{
	return memcmp(a, b, sizeof(struct world)) == 0;
}

static bool
is_harmless(const struct world *before, const struct world *after)
{
	const struct differ_service *was = &before->service, *is = &after->service;

	if (is_to_go(was))
		return was->ours ||
		    is_same(
			(const unsigned char *)before, (const unsigned char *)after);
	if (was->shown && !is->shown)
		return false;
	if (was->foreign && (is->ours || is->same_form != was->same_form))
		return false;
	if (was->strange && !is->strange)
		return false;
	if (was->maintained && !was->maintained_by_us &&
	    (!is->maintained || is->maintained_by_us))
		return false;
	if (was->maintained && was->want_maintained && !is->maintained)
		return false;
	for (int i = 0; i < CHECKS; i++) {
		const struct differ_check *a = &before->checks[i];
		const struct differ_check *b = &after->checks[i];

		if (!no_worse(a, b) ||
		    (!a->wanted && a->shown && !a->ours && !b->shown))
			return false;
	}
	return true;
}

static unsigned int
step(const struct world *world, enum differ_do what, int check)
{
	struct world after = *world;

	if (what == DIFFER_NOTHING)
		return 0;
	carry_out(&after, what, &after.checks[check < 0 ? 0 : check]);
	if (!is_harmless(world, &after) || distance(&after) >= distance(world)) {
		printf("# wanted %d foreign %d shown %d ours %d: do %d of check %d\n",
		    world->service.wanted, world->service.foreign, world->service.shown,
		    world->service.ours, (int)what, check);
		CU_FAIL("a step that harms, or leads nowhere");
	}
	return 1;
}

/* How many steps are proposed. */
static unsigned int
steps_of(struct world *world)
{
	unsigned int n;

	count_all(world);
	n = step(world, differ_service(&world->service), -1);
	for (int i = 0; i < CHECKS; i++)
		n += step(world, differ_check(&world->service, &world->checks[i]), i);
	return n;
}

static void
test_every_state(void)
{
	unsigned long states = 0, wrong = 0;

	for (unsigned int s = 0; s < OF_SERVICE; s++)
		for (unsigned int c = 0; c < OF_CHECK * OF_CHECK && wrong == 0; c++) {
			struct world world = { .service = service_of(s) };

			world.checks[0] = check_of(c % OF_CHECK);
			world.checks[1] = check_of(c / OF_CHECK);
			if (!is_possible(&world))
				continue;
			states++;
			wrong += (steps_of(&world) == 0) != (distance(&world) == 0);
		}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_TRUE(states > 1000000);
}

/* What the rules do not say: how much is written. */
static void
test_thrift(void)
{
	struct world world = { .service = { .wanted = true, .shown = true } };

	for (int i = 0; i < CHECKS; i++)
		world.checks[i] = (struct differ_check){ .wanted = true,
			.ready = true,
			.shown = true,
			.ours = true,
			.same_form = true };
	world.service.ours = world.service.same_form = world.service.alias_shown = true;
	CU_ASSERT_EQUAL(steps_of(&world), 0);
	world.checks[0].shown = false; /* one is added by itself */
	CU_ASSERT_EQUAL(steps_of(&world), 1);
	CU_ASSERT_EQUAL(differ_service(&world.service), DIFFER_NOTHING);
	world.checks[1].shown = false; /* two are registered at one go */
	CU_ASSERT_EQUAL(steps_of(&world), 1);
	CU_ASSERT_EQUAL(differ_service(&world.service), DIFFER_REGISTER);
	world.checks[1].shown = true;
	world.checks[1].wanted = world.service.same_form = false;
	count_all(&world); /* what is to go goes with it */
	CU_ASSERT_EQUAL(differ_service(&world.service), DIFFER_REGISTER_REPLACING);
	world.service.maintained = true;
	CU_ASSERT_EQUAL(differ_service(&world.service), DIFFER_REGISTER);
}

static const struct tap_case cases[] = {
	{ "every step from every state", test_every_state },
	{ "no more is written than needs to be", test_thrift },
};

TAP_MAIN("differ", cases)
