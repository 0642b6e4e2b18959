/* SPDX-License-Identifier: ISC */
/*
 * A service is as well as the worst of its checks. News of checks come in from the
 * scheduler, news of services go on to the report and the roles. No I/O and no clock:
 * what is kept is the last state of each check and the verdict out of them.
 */
#include "agent/health/service.h"

#include <assert.h>
#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"

struct check_view {
	enum check_status status;
	bool known;
};

struct services {
	struct services_out out;
	struct check_view *checks; /* by the check's index */
	struct service_verdict *verdicts; /* by the service's index */
};

static struct service_verdict
judge(const struct services *services, const struct conf_service *service)
{
	struct service_verdict verdict = { .status = CHECK_PASSING, .known = true };

	for (size_t i = 0; i < service->n_checks; i++) {
		const struct conf_check *check = service->checks[i];
		const struct check_view *view = &services->checks[check->index];
		if (!view->known)
			verdict.known = false;
		if (view->status > verdict.status) {
			verdict.status = view->status;
			verdict.cause = check;
		}
	}
	return verdict;
}

static void
judge_all(struct services *services, const struct conf *conf)
{
	free(services->verdicts);
	services->verdicts = xcalloc(conf->n_services, sizeof(*services->verdicts));
	for (size_t i = 0; i < conf->n_services; i++)
		services->verdicts[i] = judge(services, conf->services[i]);
}

struct services *
services_new(const struct conf *conf, const struct services_out *out)
{
	struct services *services = xcalloc(1, sizeof(*services));

	services->out = *out;
	services->checks = xcalloc(conf->n_checks, sizeof(*services->checks));
	for (size_t i = 0; i < conf->n_checks; i++)
		services->checks[i].status = conf->checks[i]->initial;
	judge_all(services, conf);
	return services;
}

void
services_reload(struct services *services, const struct conf *next,
    const struct conf_changes *changes)
{
	struct check_view *before = services->checks;

	services->checks = xcalloc(next->n_checks, sizeof(*services->checks));
	for (size_t i = 0; i < next->n_checks; i++) {
		uint32_t from = changes->from.checks[i];
		services->checks[i].status = next->checks[i]->initial;
		if (from != CONF_NONE && before[from].known)
			services->checks[i] = before[from];
	}
	free(before);
	judge_all(services, next);
}

void
services_free(struct services *services)
{
	if (services == NULL)
		return;
	free(services->checks);
	free(services->verdicts);
	free(services);
}

void
services_check(struct services *services, const struct conf_check *check,
    enum check_status status, bool known)
{
	const struct conf_service *service = check->service;

	assert(status != CHECK_UNKNOWN);
	if (service == NULL)
		return;
	services->checks[check->index] = (struct check_view){ status, known };
	struct service_verdict *verdict = &services->verdicts[service->index];
	struct service_verdict before = *verdict;
	*verdict = judge(services, service);
	if (verdict->status != before.status || verdict->known != before.known)
		services->out.changed(services->out.arg, service, verdict);
}

const struct service_verdict *
services_verdict(const struct services *services, uint32_t service)
{
	return &services->verdicts[service];
}
