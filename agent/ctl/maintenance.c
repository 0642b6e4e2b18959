/* SPDX-License-Identifier: ISC */
/*
 * What `lictorctl maintenance on|off` asks of lictord, from the words of the command line.
 * Who asks is said in it for those who read the status: the name of the person, where the
 * command runs as root by sudo, and no proof of anything.
 */
#include "agent/ctl/maintenance.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/ctl/ask.h"

#define SPAN_MIN_MS 1000
#define SPAN_MAX_MS (INT64_C(365) * 24 * 3600 * 1000)

static cJSON *
make_request(bool on, const char *service, int64_t span_ms, const char *reason)
{
	cJSON *request = cJSON_CreateObject();

	cJSON_AddStringToObject(request, "command", "maintenance");
	cJSON_AddBoolToObject(request, "on", on);
	if (service != NULL)
		cJSON_AddStringToObject(request, "service", service);
	if (span_ms != 0)
		json_add_uint(request, "span_ms", (uint64_t)span_ms);
	if (reason != NULL)
		cJSON_AddStringToObject(request, "reason", reason);
	ask_add_who(request);
	return request;
}

cJSON *
maintenance_request(
    char *const *args, const char *span, const char *reason, char *why, size_t why_size)
{
	bool on = strcmp(args[0], "on") == 0;
	int64_t span_ms = 0;

	if (!on && strcmp(args[0], "off") != 0)
		snprintf(why, why_size, "\"%s\" is neither on nor off", args[0]);
	else if (!on && (span != NULL || reason != NULL))
		str_copy(why, why_size, "--for and --reason are for maintenance on");
	else if (span != NULL &&
	    parse_duration(span, SPAN_MIN_MS, SPAN_MAX_MS, &span_ms) != 0)
		snprintf(why, why_size,
		    "\"%s\" is no duration from 1s to 8760h, such as 30m or 2h", span);
	else
		return make_request(on, args[1], span_ms, reason);
	return NULL;
}
