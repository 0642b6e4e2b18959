/* SPDX-License-Identifier: ISC */
/*
 * The text of a role's register in Consul, and the first one of all. The content is plain
 * data of role.h; registers.c carries it to Consul and back, role.c makes the next one.
 *
 * A fence record is kept as the text it was read as, since everybody but its owner copies
 * it with whatever members it has. What can be parsed here can be printed again, with a
 * write id of ours, in 1023 bytes: names need no escapes, and ROLE_FENCE_SIZE is what
 * remains.
 */
#include "agent/failover/role.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

#define REGISTER_MAX 1023
#define INIT_LEASE_MS 4000 /* whoever had the address had it no longer than so */

_Static_assert(sizeof("{'v':1,'rev':9007199254740991,'wid':'','holder':'','fence':}") +
	    ROLE_NODE_SIZE * 3 + sizeof("..ABANDON.") + 16 + ROLE_FENCE_SIZE <=
	REGISTER_MAX,
    "a register of ours fits");

bool
role_name_valid(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
			return false;
	}
	return len > 0 && len < ROLE_NODE_SIZE;
}

void
role_inst_print(uint64_t inst, char out[ROLE_INST_SIZE])
{
	snprintf(out, ROLE_INST_SIZE, "%016" PRIx64, inst);
}

/* The part of `wid` from `start` to `end`. */
static bool
copy_part(char *out, size_t size, const char *start, const char *end)
{
	size_t len = (size_t)(end - start);

	if (len >= size)
		return false;
	memcpy(out, start, len);
	out[len] = '\0';
	return true;
}

bool
role_wid_split(const char *wid, struct role_wid *parts)
{
	const char *dots[3]; /* before inst, KIND and random */
	const char *at = wid + strlen(wid);

	for (size_t i = 3; i > 0; i--) {
		do {
			if (at == wid)
				return false;
		} while (*--at != '.');
		dots[i - 1] = at;
	}
	return copy_part(parts->node, sizeof(parts->node), wid, dots[0]) &&
	    copy_part(parts->inst, sizeof(parts->inst), dots[0] + 1, dots[1]) &&
	    copy_part(parts->kind, sizeof(parts->kind), dots[1] + 1, dots[2]);
}

static void
print_wid(struct role_register *reg, const struct role_params *by, const char *kind,
    uint64_t random)
{
	char inst[ROLE_INST_SIZE];

	role_inst_print(by->inst, inst);
	snprintf(reg->wid, sizeof(reg->wid), "%s.%s.%s.%016" PRIx64, by->node, inst,
	    kind, random);
}

bool
role_force(const struct role_register *now, const struct role_params *by,
    uint64_t random, const char *node, const char *old, struct role_register *out,
    char *why, size_t why_size)
{
	const char *has = now->fence.node;

	if (!now->fence.present)
		snprintf(why, why_size, "nobody has it: a switchover is enough");
	else if (strcmp(old, has) != 0 || has[0] == '\0')
		snprintf(why, why_size, "it is %s that may still have it, not %s",
		    has[0] ? has : "a host unknown", old);
	else if (strcmp(node, old) == 0)
		snprintf(why, why_size, "%s is the host that is said to be off", old);
	else if (!role_name_valid(node))
		snprintf(why, why_size, "%s is no name of a host", node);
	else {
		*out = (struct role_register){ .rev = now->rev + 1 };
		str_copy(out->holder, sizeof(out->holder), node);
		print_wid(out, by, "FORCE", random);
		return true;
	}
	return false;
}

void
role_register_init(struct role_register *reg, const struct role_params *params,
    int64_t wall_ms, uint64_t random)
{
	int64_t lease_ms = params->lease_ms + params->margin_ms;

	if (lease_ms < INIT_LEASE_MS)
		lease_ms = INIT_LEASE_MS;
	*reg = (struct role_register){ .rev = (uint64_t)wall_ms };
	print_wid(reg, params, "INIT", random);
	reg->fence.present = true;
	reg->fence.lease_ms = lease_ms;
	snprintf(reg->fence.text, sizeof(reg->fence.text),
	    "{\"node\":\"\",\"lease_ms\":%" PRId64
	    ",\"hold_ms\":0,\"members\":[],\"hb\":false}",
	    lease_ms);
}

void
role_register_print(const struct role_register *reg, char out[1024])
{
	int len = snprintf(out, REGISTER_MAX + 1,
	    "{\"v\":1,\"rev\":%" PRIu64
	    ",\"wid\":\"%s\",\"holder\":\"%s\",\"fence\":%s}",
	    reg->rev, reg->wid, reg->holder,
	    reg->fence.present ? reg->fence.text : "null");

	assert(len > 0 && len <= REGISTER_MAX);
}

static int
fail(char *why, size_t size, const char *text)
{
	snprintf(why, size, "%s", text);
	return -EPROTO;
}

/* A member that is a node's name, or "" for nobody. */
static bool
get_name(const cJSON *object, const char *member, char out[ROLE_NODE_SIZE])
{
	return json_get_text(object, member, out, ROLE_NODE_SIZE) &&
	    (out[0] == '\0' || role_name_valid(out));
}

static bool
get_ms(const cJSON *object, const char *member, int64_t *out)
{
	uint64_t value;

	if (!json_get_uint(object, member, &value))
		return false;
	*out = (int64_t)value;
	return true;
}

static bool
get_members(const cJSON *json, struct role_fence *fence)
{
	const cJSON *members = cJSON_GetObjectItemCaseSensitive(json, "members");
	const cJSON *member;

	if (!cJSON_IsArray(members))
		return false;
	cJSON_ArrayForEach (member, members)
		if (fence->n_members == ROLE_PEERS || !cJSON_IsString(member) ||
		    !str_copy(fence->members[fence->n_members++], ROLE_NODE_SIZE,
			member->valuestring))
			return false;
	return true;
}

static int
parse_fence(const cJSON *json, struct role_fence *fence, char *why, size_t why_size)
{
	AUTO_FREE char *text = NULL;

	if (cJSON_IsNull(json))
		return 0;
	if (!cJSON_IsObject(json))
		return fail(why, why_size, "fence is neither null nor a record");
	if (!get_name(json, "node", fence->node) ||
	    !get_ms(json, "lease_ms", &fence->lease_ms) ||
	    !get_ms(json, "hold_ms", &fence->hold_ms) || !get_members(json, fence))
		return fail(why, why_size, "its fence record is not complete");
	if (cJSON_HasObjectItem(json, "hb") && !json_get_bool(json, "hb", &fence->hb))
		return fail(why, why_size, "fence.hb is neither true nor false");
	text = json_print(json);
	if (!str_copy(fence->text, sizeof(fence->text), text))
		return fail(why, why_size, "its fence record is too long");
	fence->present = true;
	return 0;
}

static int
parse_register(const cJSON *json, struct role_register *reg, char *why, size_t why_size)
{
	uint64_t version;

	if (!cJSON_IsObject(json) || !json_get_uint(json, "v", &version))
		return fail(why, why_size, "it is no register");
	if (version != 1) {
		snprintf(
		    why, why_size, "its version is %" PRIu64 ", known is 1", version);
		return -EPROTO;
	}
	if (!json_get_uint(json, "rev", &reg->rev) ||
	    !json_get_text(json, "wid", reg->wid, sizeof(reg->wid)) ||
	    strpbrk(reg->wid, "\"\\") || !get_name(json, "holder", reg->holder))
		return fail(why, why_size, "rev, wid or holder is missing or wrong");
	return parse_fence(cJSON_GetObjectItemCaseSensitive(json, "fence"), &reg->fence,
	    why, why_size);
}

int
role_register_parse(
    const char *text, size_t len, struct role_register *reg, char *why, size_t why_size)
{
	AUTO_JSON cJSON *json = NULL;
	struct role_register read = { 0 };
	int err;

	if (len > REGISTER_MAX)
		return fail(why, why_size, "it is longer than a kibibyte");
	json = json_parse(text, len);
	if (!json)
		return fail(why, why_size, "it is not JSON");
	err = parse_register(json, &read, why, why_size);
	if (!err)
		*reg = read;
	return err;
}
