/* SPDX-License-Identifier: ISC */
/*
 * What Consul refuses is said once, with what the operator can do about it, and once when
 * it works again. This is the memory of that and the words; who complains knows what it
 * tried and which permission it takes.
 *
 * The texts are those of acl/errors.go and agent/http.go, matched in part since they gain
 * words with each version.
 */
#include "agent/consul/complaint.h"

#include <string.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/consul/consul.h"

#define PATIENCE_TIMES 3
#define PATIENCE_MS 10000

static bool
may_pass(const struct consul_reply *reply)
{
	return reply->result == CONSUL_BUSY || consul_token_unknown(reply);
}

bool
complaint_due(
    struct complaint *complaint, const struct consul_reply *reply, int64_t now)
{
	if (complaint->times++ == 0)
		complaint->since = now;
	if (complaint->said)
		return false;
	complaint->said = !may_pass(reply) ||
	    (complaint->times >= PATIENCE_TIMES &&
		now - complaint->since >= PATIENCE_MS);
	return complaint->said;
}

bool
complaint_over(struct complaint *complaint)
{
	bool said = complaint->said;

	*complaint = (struct complaint){ 0 };
	return said;
}

static const char *
advice(const struct consul_reply *reply)
{
	static const struct {
		const char *text, *advice;
	} known[] = {
		{ "Enterprise", "namespace and partition are for Consul Enterprise" },
		{ "No path to datacenter", "Consul knows no such datacenter" },
		{ "Request body too large", "the service has too many checks" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
		if (strstr(reply->why, known[i].text))
			return known[i].advice;
	return reply->result == CONSUL_BAD ? "Consul does not take it as it is"
					   : "it is tried again";
}

void
complaint_say(const char *what, const struct consul_reply *reply, const char *needs)
{
	if (consul_token_unknown(reply))
		log_warning("consul",
		    "%s is denied (%s): Consul does not know the token", what,
		    reply->why);
	else if (reply->result == CONSUL_DENIED)
		log_warning("consul", "%s is denied (%s): the token lacks %s", what,
		    reply->why, needs);
	else
		log_warning(
		    "consul", "%s failed (%s): %s", what, reply->why, advice(reply));
}
