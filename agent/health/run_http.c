/* SPDX-License-Identifier: ISC */
/*
 * One HTTP exchange of a run: what our own client speaks goes to it, the rest to libcurl's,
 * and both answer the same way. The order belongs to the run like those of run_net.c.
 */
#include <assert.h>

#include "agent/base/fetch.h"
#include "agent/base/http.h"
#include "agent/health/run_state.h"

#define SLACK_MS 1000 /* the scheduler's deadline comes first */

_Static_assert((int)CHECK_HTTP_1_1 == (int)HTTP_1_1 &&
	(int)CHECK_HTTP_2 == (int)HTTP_2 &&
	(int)CHECK_HTTP_2_PLAIN == (int)HTTP_2_PLAIN,
    "one set of versions");

void
run_http_let_go(struct check_run *run)
{
	if (run->call != NULL)
		http_cancel(run->call);
	if (run->fetching != NULL)
		fetch_cancel(run->fetching);
	run->call = NULL;
	run->fetching = NULL;
}

static void
on_answer(void *arg, const struct http_reply *answer)
{
	struct check_run *run = arg;
	struct check_http_reply reply = {
		.reason = run_reason(answer->error),
		.why = answer->why,
		.status = answer->status,
		.body = answer->body,
		.body_len = answer->body_len,
		.certificate_days = run_certificate_days(answer->certificate_end),
		.headers = answer,
	};

	run->call = NULL;
	run->fetching = NULL;
	run_enter(run);
	run->answered(run, &reply);
	run_leave(run);
}

const char *
check_http_header(const struct check_http_reply *reply, const char *name)
{
	return http_header(reply->headers, name);
}

void
check_http(struct check_run *run, const struct check_http_request *request,
    void (*answered)(struct check_run *run, const struct check_http_reply *reply))
{
	const struct run_servants *servants = &run->runs->servants;
	bool simple = !request->follow && request->proxy == NULL &&
	    request->version == CHECK_HTTP_1_1;
	struct http_request order = {
		.method = request->method,
		.url = request->url,
		.headers = request->headers,
		.body = request->body,
		.body_len = request->body_len,
		.timeout_ms = run->timeout_ms + SLACK_MS,
		.body_limit = request->body_limit,
		.error_body = request->error_body,
		.follow = request->follow,
		.fresh = !request->keep_alive,
		.tls = &run->tls,
		.version = (enum http_version)request->version,
		.proxy = request->proxy,
		.certificate = true,
	};

	assert(!run->done && run->call == NULL && run->fetching == NULL);
	run->answered = answered;
	run->tls = run_tls(&request->tls);
	if (simple)
		run->fetching = fetch_send(servants->fetch, &order, on_answer, run);
	else
		run->call = http_send(servants->http, &order, on_answer, run);
}
