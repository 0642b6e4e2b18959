/* SPDX-License-Identifier: ISC */
/*
 * The text of a register. What others wrote into a fence record must come back word for
 * word in our write, and everything that is no register of version 1 is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role.h"
#include "tests/unit/tap.h"

#define FENCE                                                                          \
	"{\"node\":\"db-1.example\",\"lease_ms\":1010,\"hold_ms\":3600010,"            \
	"\"members\":[\"db-2\",\"db-3\"],\"hb\":true,\"need\":2,\"x\":{\"y\":[null,1." \
	"5]}}"
#define REGISTER(v, rev, wid, holder, fence)                                    \
	"{\"v\":" v ",\"rev\":" rev ",\"wid\":\"" wid "\",\"holder\":\"" holder \
	"\",\"fence\":" fence "}"

static int
parse(const char *text, struct role_register *reg)
{
	char why[128] = "";
	int err = role_register_parse(text, strlen(text), reg, why, sizeof(why));

	CU_ASSERT_TRUE(err == 0 || err == -EPROTO);
	CU_ASSERT_EQUAL(err == 0, why[0] == '\0');
	return err;
}

static void
expect_same(const struct role_register *a, const struct role_register *b)
{
	CU_ASSERT_EQUAL(a->rev, b->rev);
	CU_ASSERT_STRING_EQUAL(a->wid, b->wid);
	CU_ASSERT_STRING_EQUAL(a->holder, b->holder);
	CU_ASSERT_EQUAL(a->fence.present, b->fence.present);
	CU_ASSERT_STRING_EQUAL(a->fence.node, b->fence.node);
	CU_ASSERT_EQUAL(a->fence.lease_ms, b->fence.lease_ms);
	CU_ASSERT_EQUAL(a->fence.hold_ms, b->fence.hold_ms);
	CU_ASSERT_EQUAL(a->fence.hb, b->fence.hb);
	CU_ASSERT_STRING_EQUAL(a->fence.text, b->fence.text);
}

static void
test_verbatim(void)
{
	static const char text[] =
	    REGISTER("1", "9007199254740991", "db-1.example.i7.OWN.0f", "db-2", FENCE);
	struct role_register reg;
	char out[1024];

	CU_ASSERT_EQUAL_FATAL(parse(text, &reg), 0);
	CU_ASSERT_EQUAL(reg.rev, UINT64_C(9007199254740991));
	CU_ASSERT_STRING_EQUAL(reg.wid, "db-1.example.i7.OWN.0f");
	CU_ASSERT_STRING_EQUAL(reg.holder, "db-2");
	CU_ASSERT_TRUE(reg.fence.present);
	CU_ASSERT_TRUE(reg.fence.hb);
	CU_ASSERT_STRING_EQUAL(reg.fence.node, "db-1.example");
	CU_ASSERT_EQUAL(reg.fence.lease_ms, 1010);
	CU_ASSERT_EQUAL(reg.fence.hold_ms, 3600010);
	CU_ASSERT_STRING_EQUAL(reg.fence.text, FENCE);
	role_register_print(&reg, out);
	CU_ASSERT_STRING_EQUAL(out, text);
}

static void
test_nobody(void)
{
	static const char text[] = REGISTER("1", "7", "a.b.GIVE.c", "", "null");
	struct role_register reg;
	char out[1024];

	CU_ASSERT_EQUAL_FATAL(parse(text, &reg), 0);
	CU_ASSERT_FALSE(reg.fence.present);
	CU_ASSERT_EQUAL(reg.fence.node[0], '\0');
	CU_ASSERT_EQUAL(reg.holder[0], '\0');
	role_register_print(&reg, out);
	CU_ASSERT_STRING_EQUAL(out, text);
}

static void
test_first(void)
{
	struct role_params params = { .node = "db-1", .inst = 1, .margin_ms = 1500 };
	struct role_register reg, read;
	char out[1024];

	/* Nobody knows what the last holder's lease was: not less than 4 s. */
	for (int64_t lease = 0; lease < 6000; lease += 250) {
		params.lease_ms = lease;
		role_register_init(&reg, &params, INT64_C(1700000000123), 0xabc);
		role_register_print(&reg, out);
		CU_ASSERT_EQUAL_FATAL(parse(out, &read), 0);
		expect_same(&reg, &read);
		CU_ASSERT_EQUAL(
		    read.fence.lease_ms, lease > 2500 ? lease + 1500 : 4000);
		CU_ASSERT_EQUAL(read.rev, UINT64_C(1700000000123));
		CU_ASSERT_STRING_EQUAL(
		    read.wid, "db-1.0000000000000001.INIT.0000000000000abc");
		CU_ASSERT_TRUE(
		    read.fence.present && !read.fence.node[0] && !read.holder[0]);
	}
}

static void
test_refused(void)
{
	static const char *const bad[] = {
		"",
		"x",
		"[]",
		"1",
		"null",
		"{}",
		REGISTER("0", "7", "w", "", "null"),
		REGISTER("2", "7", "w", "", "null"),
		REGISTER("\"1\"", "7", "w", "", "null"),
		REGISTER("1", "-7", "w", "", "null"),
		REGISTER("1", "7.5", "w", "", "null"),
		REGISTER("1", "9007199254740993", "w", "", "null"),
		REGISTER("1", "\"7\"", "w", "", "null"),
		REGISTER("1", "7", "w\\n", "", "null"),
		REGISTER("1", "7", "w\\\"", "", "null"),
		REGISTER("1", "7", "w", "a\\\"b", "null"),
		REGISTER("1", "7", "w", "a\\\\b", "null"),
		REGISTER("1", "7", "w", "", "7"),
		REGISTER("1", "7", "w", "", "[]"),
		REGISTER("1", "7", "w", "", "{}"),
		REGISTER("1", "7", "w", "",
		    "{\"node\":1,\"lease_ms\":1,\"hold_ms\":0,\"members\":[]}"),
		REGISTER(
		    "1", "7", "w", "", "{\"node\":\"a\",\"hold_ms\":0,\"members\":[]}"),
		REGISTER("1", "7", "w", "",
		    "{\"node\":\"a\",\"lease_ms\":-1,\"hold_ms\":0,\"members\":[]}"),
		REGISTER("1", "7", "w", "",
		    "{\"node\":\"a\",\"lease_ms\":1,\"members\":[]}"),
		REGISTER(
		    "1", "7", "w", "", "{\"node\":\"a\",\"lease_ms\":1,\"hold_ms\":0}"),
		REGISTER("1", "7", "w", "",
		    "{\"node\":\"a\",\"lease_ms\":1,\"hold_ms\":0,\"members\":{}}"),
		REGISTER("1", "7", "w", "",
		    "{\"node\":\"a\",\"lease_ms\":1,\"hold_ms\":0,\"members\":[1]}"),
		REGISTER("1", "7", "w", "",
		    "{\"node\":\"a\",\"lease_ms\":1,\"hold_ms\":0,\"members\":[],"
		    "\"hb\":1}"),
		"{\"v\":1,\"rev\":7,\"wid\":\"w\",\"holder\":\"\"}",
		"{\"v\":1,\"rev\":7,\"wid\":\"w\",\"fence\":null}",
		"{\"v\":1,\"rev\":7,\"holder\":\"\",\"fence\":null}",
		"{\"v\":1,\"wid\":\"w\",\"holder\":\"\",\"fence\":null}",
		REGISTER("1", "7", "w", "", "null") "x",
	};
	struct role_register reg, untouched;

	CU_ASSERT_EQUAL_FATAL(parse(REGISTER("1", "7", "w", "h", FENCE), &reg), 0);
	untouched = reg;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		CU_ASSERT_EQUAL(parse(bad[i], &reg), -EPROTO);
		expect_same(&reg, &untouched);
	}
}

/* Each text that is cut short, or has a byte changed, is refused or is a register. */
static void
test_damage(void)
{
	char text[] = REGISTER("1", "7", "db-1.i7.OWN.0f", "db-2", FENCE);
	struct role_register reg;
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		char kept = text[i];

		text[i] = '\0';
		CU_ASSERT_EQUAL(parse(text, &reg), -EPROTO);
		for (int byte = 1; byte < 256; byte++) {
			text[i] = (char)byte;
			if (parse(text, &reg) == 0)
				CU_ASSERT_TRUE(
				    !reg.fence.present || reg.fence.text[0] == '{');
		}
		text[i] = kept;
	}
	CU_ASSERT_EQUAL(parse(text, &reg), 0);
}

/* The longest names and the longest record make a register of at most a kibibyte. */
static void
test_longest(void)
{
	struct role_register reg = { .rev = UINT64_C(9007199254740991) }, read;
	char name[ROLE_NODE_SIZE], text[2048], out[1024];
	size_t len;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	str_copy(reg.holder, sizeof(reg.holder), name);
	snprintf(
	    reg.wid, sizeof(reg.wid), "%s.%s.ABANDON.0123456789abcdef", name, name);
	for (size_t pad = 0; pad < 800; pad++) {
		snprintf(text, sizeof(text),
		    "{\"v\":1,\"rev\":1,\"wid\":\"w\",\"holder\":\"\",\"fence\":{"
		    "\"node\":\"%s\","
		    "\"lease_ms\":1,\"hold_ms\":0,\"members\":[],\"pad\":\"%*s\"}}",
		    name, (int)pad, "");
		if (parse(text, &read))
			continue;
		reg.fence = read.fence;
		role_register_print(&reg, out);
		CU_ASSERT_TRUE(strlen(out) <= 1023);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, read.fence.text));
		CU_ASSERT_EQUAL(parse(out, &read), 0);
	}
	len = strlen(read.fence.text);
	CU_ASSERT_EQUAL(len, ROLE_FENCE_SIZE - 1);
	/* Eight members with such names are not too long. */
	CU_ASSERT_TRUE(len >= 8 * (sizeof(name) + 2) + 100 + sizeof(name));
}

static void
test_node_names(void)
{
	char name[2 * ROLE_NODE_SIZE] = "";

	CU_ASSERT_FALSE(role_name_valid(""));
	for (size_t len = 1; len < sizeof(name); len++) {
		name[len - 1] = 'x';
		CU_ASSERT_EQUAL(role_name_valid(name), len < ROLE_NODE_SIZE);
	}
	for (int byte = 1; byte < 256; byte++) {
		bool bad = byte < 0x20 || byte == 0x7f || byte == '"' || byte == '\\';

		snprintf(name, sizeof(name), "a%cb", (char)byte);
		CU_ASSERT_EQUAL(role_name_valid(name), !bad);
	}
}

static const struct tap_case cases[] = {
	{ "a fence record is kept word for word", test_verbatim },
	{ "nobody", test_nobody },
	{ "the first register", test_first },
	{ "what is no register is refused", test_refused },
	{ "damage", test_damage },
	{ "the longest fits", test_longest },
	{ "names of nodes", test_node_names },
};

TAP_MAIN("register", cases)
