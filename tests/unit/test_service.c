/* SPDX-License-Identifier: ISC */
/*
 * A service's verdict out of up to three checks: every tuple of their states, reached from
 * every other one by a single piece of news, against a rule written down again here.
 */
#include "agent/health/service.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "tests/unit/tap.h"

#define CHECKS_MAX 3
#define VIEWS 6 /* three states, each known or not */

struct view {
	enum check_status status;
	bool known;
};

/* One service with some checks, another with none, and a check of the node. */
struct setting {
	struct conf_check checks[CHECKS_MAX + 1];
	const struct conf_check *of_service[CHECKS_MAX];
	struct conf_check *all_checks[CHECKS_MAX + 1];
	struct conf_service db, bare, *all_services[2];
	struct conf conf;
	struct services *services;
	int told;
	struct service_verdict last;
	const struct conf_service *last_service;
};

static void
on_changed(void *arg, const struct conf_service *service,
    const struct service_verdict *verdict)
{
	struct setting *s = arg;

	s->told++;
	s->last = *verdict;
	s->last_service = service;
}

static void
set_up(struct setting *s, size_t n, const struct view *initial)
{
	struct services_out out = { on_changed, s };

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i <= n; i++) {
		s->checks[i].index = (uint32_t)i;
		s->checks[i].service = i < n ? &s->db : NULL;
		s->checks[i].initial = i < n ? initial[i].status : CHECK_CRITICAL;
		s->all_checks[i] = &s->checks[i];
		if (i < n)
			s->of_service[i] = &s->checks[i];
	}
	s->db = (struct conf_service){ .checks = s->of_service, .n_checks = n };
	s->bare.index = 1;
	s->all_services[0] = &s->db;
	s->all_services[1] = &s->bare;
	s->conf = (struct conf){
		.checks = s->all_checks,
		.n_checks = n + 1,
		.services = s->all_services,
		.n_services = 2,
	};
	s->services = services_new(&s->conf, &out);
}

static int
pow_views(size_t n)
{
	return n == 0 ? 1 : VIEWS * pow_views(n - 1);
}

static void
decode(int code, size_t n, struct view *views)
{
	for (size_t i = 0; i < n; i++, code /= VIEWS) {
		views[i].status = (enum check_status)(code % 3);
		views[i].known = code / 3 % 2 == 1;
	}
}

static bool
any(const struct view *views, size_t n, enum check_status status)
{
	for (size_t i = 0; i < n; i++)
		if (views[i].status == status)
			return true;
	return false;
}

/* One critical check makes it critical; else a warning makes it a warning. */
static struct service_verdict
rule(const struct view *views, size_t n)
{
	struct service_verdict v = { .known = true };

	v.status = any(views, n, CHECK_CRITICAL) ? CHECK_CRITICAL
	    : any(views, n, CHECK_WARNING)       ? CHECK_WARNING
						 : CHECK_PASSING;
	for (size_t i = 0; i < n; i++)
		v.known = v.known && views[i].known;
	return v;
}

static bool
agrees(const struct setting *s, const struct view *views, size_t n)
{
	const struct service_verdict *is = services_verdict(s->services, 0);
	struct service_verdict ought = rule(views, n);

	if (is->status != ought.status || is->known != ought.known)
		return false;
	if (ought.status == CHECK_PASSING)
		return is->cause == NULL;
	return is->cause != NULL && is->cause->service == &s->db &&
	    views[is->cause->index].status == ought.status;
}

/* From the tuple `from`, check `which` becomes `news`. */
static int
step_is_wrong(size_t n, const struct view *from, size_t which, struct view news)
{
	struct view to[CHECKS_MAX];
	struct setting s;
	int wrong = 0;

	set_up(&s, n, from);
	for (size_t i = 0; i < n; i++)
		services_check(s.services, &s.checks[i], from[i].status, from[i].known);
	wrong += !agrees(&s, from, n);
	memcpy(to, from, sizeof(to));
	to[which] = news;
	struct service_verdict before = rule(from, n), after = rule(to, n);
	bool changed = before.status != after.status || before.known != after.known;
	s.told = 0;
	services_check(s.services, &s.checks[which], news.status, news.known);
	wrong += !agrees(&s, to, n) || s.told != changed;
	if (changed)
		wrong += s.last_service != &s.db || s.last.status != after.status ||
		    s.last.known != after.known;
	services_free(s.services);
	return wrong;
}

static void
every_step(void)
{
	struct view from[CHECKS_MAX] = { 0 }, news;
	int wrong = 0, steps = 0;

	for (size_t n = 1; n <= CHECKS_MAX; n++)
		for (int code = 0; code < pow_views(n); code++)
			for (size_t which = 0; which < n; which++)
				for (int next = 0; next < VIEWS; next++, steps++) {
					decode(code, n, from);
					decode(next, 1, &news);
					wrong += step_is_wrong(n, from, which, news);
				}
	CU_ASSERT_EQUAL(steps, 6 * (6 + 2 * 36 + 3 * 216));
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
starts_with_the_initial_states(void)
{
	struct view views[CHECKS_MAX];
	struct setting s;

	for (int code = 0; code < pow_views(CHECKS_MAX); code++) {
		decode(code, CHECKS_MAX, views);
		for (size_t i = 0; i < CHECKS_MAX; i++)
			views[i].known = false;
		set_up(&s, CHECKS_MAX, views);
		CU_ASSERT(agrees(&s, views, CHECKS_MAX));
		CU_ASSERT_EQUAL(s.told, 0);
		services_free(s.services);
	}
	services_free(NULL);
}

static void
no_checks_are_well(void)
{
	struct view initial = { CHECK_CRITICAL, false };
	struct setting s;

	set_up(&s, 1, &initial);
	const struct service_verdict *bare = services_verdict(s.services, 1);
	CU_ASSERT(bare->status == CHECK_PASSING && bare->known && bare->cause == NULL);
	services_check(s.services, &s.checks[1], CHECK_CRITICAL, true);
	CU_ASSERT_EQUAL(s.told, 0);
	CU_ASSERT_PTR_NULL(services_verdict(s.services, 1)->cause);
	services_free(s.services);
}

static const struct tap_case cases[] = {
	{ "every step between all states of three checks", every_step },
	{ "it begins with the initial states, not known",
	    starts_with_the_initial_states },
	{ "a service without checks is well; the node's checks are not its",
	    no_checks_are_well },
};
TAP_MAIN("service", cases)
