/* SPDX-License-Identifier: ISC */
/*
 * The commands of the control socket: what each needs and who may, as a table; a request
 * is read strictly, since a word that is not understood must not become another. What
 * they do is the owner's business (control_out). See control.h for what they look like.
 */
#include "agent/status/command.h"

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/consul/upkeep_file.h"
#include "agent/status/control.h"

#include <stdio.h>
#include <string.h>

static cJSON *
refusal(const char *why)
{
	cJSON *answer = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", false);
	cJSON_AddStringToObject(answer, "error", why);
	return answer;
}

static cJSON *
do_status(struct command_call *call, const cJSON *request)
{
	const struct control_out *out = call->out;
	cJSON *answer = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", true);
	cJSON_AddItemToObject(answer, "status", out->status(out->arg));
	return answer;
}

static cJSON *
outcome(int rc, const char *why)
{
	if (rc != 0)
		return refusal(why);
	cJSON *answer = cJSON_CreateObject();
	cJSON_AddBoolToObject(answer, "ok", true);
	return answer;
}

static cJSON *
do_switchover(struct command_call *call, const cJSON *request)
{
	const struct control_out *out = call->out;
	const char *role = json_text(request, "role"), *to = json_text(request, "to");
	char why[256] = "";

	if (role == NULL)
		return refusal("switchover needs a role");
	return outcome(
	    out->switchover(out->arg, role, to != NULL ? to : "", why, sizeof(why)),
	    why);
}

static cJSON *
do_init(struct command_call *call, const cJSON *request)
{
	const struct control_out *out = call->out;
	const char *role = json_text(request, "role");
	char why[256] = "";

	if (role == NULL)
		return refusal("init needs a role");
	return outcome(out->init(out->arg, role, why, sizeof(why)), why);
}

static cJSON *
report(struct command_call *call, const cJSON *request, enum check_status status)
{
	const struct control_out *out = call->out;
	const char *check = json_text(request, "check"),
		   *output = json_text(request, "output");
	char why[256] = "";

	if (check == NULL)
		return refusal("a report needs a check");
	return outcome(out->report(out->arg, check, status,
			   output != NULL ? output : "", why, sizeof(why)),
	    why);
}

static cJSON *
do_pass(struct command_call *call, const cJSON *request)
{
	return report(call, request, CHECK_PASSING);
}

static cJSON *
do_warn(struct command_call *call, const cJSON *request)
{
	return report(call, request, CHECK_WARNING);
}

static cJSON *
do_fail(struct command_call *call, const cJSON *request)
{
	return report(call, request, CHECK_CRITICAL);
}

/* An absent text is "", one that cannot be taken is false. */
static bool
take_text(const cJSON *request, const char *name, char *out, size_t size)
{
	out[0] = '\0';
	return cJSON_GetObjectItemCaseSensitive(request, name) == NULL ||
	    json_get_text(request, name, out, size);
}

/* Who asks, as they call themselves or by the kernel's word, and why: NULL, or a refusal. */
static cJSON *
take_cause(const struct command_call *call, const cJSON *request,
    char who[UPKEEP_WHO_SIZE], char reason[UPKEEP_REASON_SIZE])
{
	if (!take_text(request, "who", who, UPKEEP_WHO_SIZE) || who[0] == '\0')
		snprintf(who, UPKEEP_WHO_SIZE, "the user %u", call->uid);
	if (take_text(request, "reason", reason, UPKEEP_REASON_SIZE))
		return NULL;
	return refusal("a reason has at most 120 bytes and no control character");
}

static cJSON *
do_maintenance(struct command_call *call, const cJSON *request)
{
	const struct control_out *out = call->out;
	char reason[UPKEEP_REASON_SIZE], who[UPKEEP_WHO_SIZE], why[256] = "";
	struct control_maintenance wanted = { .reason = reason, .who = who };
	cJSON *refused;
	uint64_t span = 0;

	const cJSON *length = cJSON_GetObjectItemCaseSensitive(request, "span_ms");
	const char *service = json_text(request, "service");

	if (!json_get_bool(request, "on", &wanted.on))
		return refusal("maintenance is to be on or off");
	/* a word that is not understood must not become the whole host, or for ever */
	if (service == NULL &&
	    cJSON_GetObjectItemCaseSensitive(request, "service") != NULL)
		return refusal("a service is named by a text");
	if (length != NULL &&
	    (!json_get_uint(request, "span_ms", &span) || span == 0 ||
		span > UPKEEP_SPAN_MAX_MS))
		return refusal("a maintenance lasts from 1 ms to a year");
	wanted.span_ms = (int64_t)span;
	if ((refused = take_cause(call, request, who, reason)) != NULL)
		return refused;
	return outcome(
	    out->maintenance(out->arg, service, &wanted, why, sizeof(why)), why);
}

static cJSON *
do_handover(struct command_call *call, const cJSON *request)
{
	const struct control_out *out = call->out;
	char why[256] = "";
	bool on;

	if (!json_get_bool(request, "on", &on))
		return refusal("a handover is to be on or off");
	return outcome(out->handover(out->arg, on, why, sizeof(why)), why);
}

/* There is no answer yet. */
static cJSON *
later(struct command_call *call, int rc, const char *why)
{
	if (rc != 0)
		return refusal(why);
	call->later = true;
	return NULL;
}

static cJSON *
do_reload(struct command_call *call, const cJSON *request)
{
	char why[256] = "";

	return later(call,
	    call->out->reload(call->out->arg, call->number, why, sizeof(why)), why);
}

static cJSON *
do_upgrade(struct command_call *call, const cJSON *request)
{
	char why[256] = "";

	return later(call,
	    call->out->upgrade(call->out->arg, call->number, why, sizeof(why)), why);
}

static cJSON *
pause_role(struct command_call *call, const cJSON *request, bool on)
{
	const struct control_out *out = call->out;
	char reason[UPKEEP_REASON_SIZE], who[UPKEEP_WHO_SIZE], why[256] = "";
	const char *role = json_text(request, "role");
	cJSON *refused;

	if (role == NULL)
		return refusal(on ? "pause needs a role" : "resume needs a role");
	if ((refused = take_cause(call, request, who, reason)) != NULL)
		return refused;
	return outcome(
	    out->pause(out->arg, role, on, who, reason, why, sizeof(why)), why);
}

static cJSON *
do_pause(struct command_call *call, const cJSON *request)
{
	return pause_role(call, request, true);
}

static cJSON *
do_resume(struct command_call *call, const cJSON *request)
{
	return pause_role(call, request, false);
}

static cJSON *
do_explain(struct command_call *call, const cJSON *request)
{
	const char *role = json_text(request, "role");
	char why[256] = "";

	if (role == NULL)
		return refusal("explain needs a role");
	cJSON *words = call->out->explain(call->out->arg, role, why, sizeof(why));
	if (words == NULL)
		return refusal(why);
	cJSON *answer = cJSON_CreateObject();
	cJSON_AddBoolToObject(answer, "ok", true);
	cJSON_AddItemToObject(answer, "explain", words);
	return answer;
}

/* Who is fenced is named, so that nobody swears to the wrong host. */
static cJSON *
do_failover(struct command_call *call, const cJSON *request)
{
	const struct control_out *out = call->out;
	const char *role = json_text(request, "role"), *to = json_text(request, "to"),
		   *fenced = json_text(request, "fenced");
	char why[256] = "";

	if (role == NULL || to == NULL || fenced == NULL)
		return refusal(
		    "failover needs a role, the node that gets it and the node that "
		    "is fenced");
	return later(call,
	    out->force(out->arg, call->number, role, to, fenced, why, sizeof(why)),
	    why);
}

static cJSON *
do_key(struct command_call *call, const cJSON *request)
{
	const char *act = json_text(request, "act");
	char why[256] = "";

	if (act == NULL || strcmp(act, "rotate") != 0)
		return refusal("a key can be rotated, and nothing else");
	return outcome(call->out->rotate(call->out->arg, why, sizeof(why)), why);
}

static const struct {
	const char *name;
	enum command_access access;
	cJSON *(*run)(struct command_call *call, const cJSON *request);
} commands[] = {
	{ "status", COMMAND_READ, do_status },
	{ "explain", COMMAND_READ, do_explain },
	{ "switchover", COMMAND_CHANGE, do_switchover },
	{ "pause", COMMAND_CHANGE, do_pause },
	{ "resume", COMMAND_CHANGE, do_resume },
	{ "init", COMMAND_CHANGE, do_init },
	{ "failover", COMMAND_CHANGE, do_failover },
	{ "key", COMMAND_CHANGE, do_key },
	{ "pass", COMMAND_CHANGE, do_pass },
	{ "warn", COMMAND_CHANGE, do_warn },
	{ "fail", COMMAND_CHANGE, do_fail },
	{ "maintenance", COMMAND_CHANGE, do_maintenance },
	{ "handover", COMMAND_CHANGE, do_handover },
	{ "reload", COMMAND_CHANGE, do_reload },
	{ "upgrade", COMMAND_CHANGE, do_upgrade },
};

cJSON *
command_answer(struct command_call *call, const char *line, size_t len)
{
	cJSON *request AUTO_JSON = json_parse(line, len);
	const char *name = request != NULL ? json_text(request, "command") : NULL;

	if (name == NULL)
		return refusal("a request is one JSON object with a \"command\"");
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (call->access < commands[i].access)
			return refusal(commands[i].access == COMMAND_CHANGE
				? "permission denied: root or the group lictor-admin "
				  "may"
				: "permission denied: root, lictor-admin or "
				  "lictor-status may");
		return commands[i].run(call, request);
	}
	return refusal("unknown command");
}
