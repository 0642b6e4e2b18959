/* SPDX-License-Identifier: ISC */
/*
 * What Consul is to show, and when it does: whatever the role and the states, what was
 * asked for is recognised, and one difference in any field of ours is seen. That a real
 * Consul takes the bodies is seen in test_report.
 */
#include "agent/consul/desired.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "tests/unit/tap.h"

#define TEXT(text) ((char *)(text))

static char *tags[] = { TEXT("sql"), NULL };
static char *meta[] = { TEXT("version=15"), TEXT("role=mine"), TEXT("empty="), NULL };

struct fixture {
	struct conf_role role;
	struct conf_service service;
	struct conf_check check;
	const struct conf_check *checks[1];
};

static void
configure(struct fixture *f)
{
	f->role = (struct conf_role){
		.master_tag = TEXT("master"),
		.backup_tag = TEXT("backup"),
	};
	f->check = (struct conf_check){
		.name = TEXT("port"),
		.service = &f->service,
		.notes = TEXT("a note"),
	};
	f->checks[0] = &f->check;
	f->service = (struct conf_service){
		.name = TEXT("db"),
		.id = TEXT("db-1"),
		.address = TEXT("10.0.0.1"),
		.port = 5432,
		.tags = tags,
		.meta = meta,
		.weight = 3,
		.warning_weight = 2,
		.role = &f->role,
		.checks = f->checks,
		.n_checks = 1,
	};
}

/* As /v1/agent/services shows what the body asked for. */
static cJSON *
as_shown(const cJSON *body)
{
	cJSON *shown = cJSON_Duplicate(body, true);

	cJSON_DeleteItemFromObjectCaseSensitive(shown, "Checks");
	cJSON_AddItemToObject(
	    shown, "Service", cJSON_DetachItemFromObjectCaseSensitive(shown, "Name"));
	cJSON_AddBoolToObject(shown, "EnableTagOverride", false);
	cJSON_AddNumberToObject(shown, "Later", 1);
	return shown;
}

static void
test_recognised(void)
{
	static const enum report_role roles[] = { REPORT_NO_ROLE, REPORT_BACKUP,
		REPORT_MASTER };
	struct fixture f;

	configure(&f);
	for (size_t i = 0; i < ARRAY_LENGTH(roles) * 3 * 3; i++) {
		enum check_status status = i % 3;
		uint64_t term = i / 3 % 3;
		enum report_role role = roles[i / 9], read = REPORT_MASTER;
		AUTO_JSON cJSON *want =
		    desired_service(&f.service, role, term, &status, 1);
		AUTO_JSON cJSON *shown = as_shown(want);
		AUTO_JSON cJSON *other = desired_form(&f.service, role, term + 1);
		uint64_t read_term = 9;

		CU_ASSERT_TRUE(desired_service_shown(want, shown));
		CU_ASSERT_FALSE(desired_service_shown(other, shown));
		CU_ASSERT_TRUE(desired_is_ours(shown));
		desired_read_role(shown, &read, &read_term);
		CU_ASSERT_EQUAL(
		    read, role == REPORT_MASTER ? REPORT_MASTER : REPORT_BACKUP);
		CU_ASSERT_EQUAL(read_term, term);
	}
}

/* Each field of ours, changed by itself. */
static void
test_differences(void)
{
	struct fixture f, g;
	enum check_status status = CHECK_PASSING;
	static char *other_tags[] = { TEXT("sq"), NULL };
	static char *other_meta[] = { TEXT("version=16"), TEXT("empty="), NULL };
	static char *none[] = { NULL };

	configure(&f);
	for (int change = 0; change < 10; change++) {
		AUTO_JSON cJSON *want =
		    desired_service(&f.service, REPORT_BACKUP, 1, &status, 1);
		AUTO_JSON cJSON *body = NULL, *shown = NULL;

		configure(&g);
		switch (change) {
		case 0: g.service.name = TEXT("dc"); break;
		case 1: g.service.address = NULL; break;
		case 2: g.service.port = 0; break;
		case 3: g.service.tags = other_tags; break;
		case 4: g.service.tags = none; break;
		case 5: g.service.meta = other_meta; break;
		case 6: g.service.meta = none; break;
		case 7: g.service.weight = 1; break;
		case 8: g.service.warning_weight = 1; break;
		case 9: g.service.role = NULL; break;
		}
		body = desired_service(&g.service, REPORT_BACKUP, 1, &status, 1);
		shown = as_shown(body);
		CU_ASSERT_FALSE(desired_service_shown(want, shown));
		CU_ASSERT_TRUE(desired_service_shown(body, shown));
	}
}

static bool
parse_shown(const struct conf_check *check, const char *text)
{
	AUTO_JSON cJSON *shown = json_parse(text, strlen(text));

	CU_ASSERT_PTR_NOT_NULL(shown);
	return desired_check_shown(check, shown);
}

static void
test_checks(void)
{
	struct conf_check node = { .name = TEXT("disk") };
	struct fixture f;
	char *id;

	configure(&f);
	CU_ASSERT_TRUE(parse_shown(&f.check,
	    "{\"Name\":\"port\",\"Notes\":\"a note\",\"ServiceID\":\"db-1\","
	    "\"Type\":\"ttl\",\"Status\":\"critical\"}"));
	CU_ASSERT_TRUE(parse_shown(&f.check,
	    "{\"Name\":\"port\",\"Notes\":\"a note\",\"ServiceID\":\"db-1\"}"));
	CU_ASSERT_FALSE(parse_shown(&f.check,
	    "{\"Name\":\"port\",\"Notes\":\"a note\",\"ServiceID\":\"db-1\","
	    "\"Type\":\"tcp\"}"));
	CU_ASSERT_FALSE(parse_shown(
	    &f.check, "{\"Name\":\"port\",\"Notes\":\"a note\",\"ServiceID\":\"\"}"));
	CU_ASSERT_FALSE(
	    parse_shown(&f.check, "{\"Name\":\"port\",\"ServiceID\":\"db-1\"}"));
	CU_ASSERT_FALSE(parse_shown(&f.check, "{\"Name\":5}"));
	CU_ASSERT_TRUE(parse_shown(
	    &node, "{\"Name\":\"disk\",\"ServiceID\":\"\",\"Notes\":\"\"}"));
	CU_ASSERT_FALSE(
	    parse_shown(&node, "{\"Name\":\"disk\",\"ServiceID\":\"db-1\"}"));
	id = desired_check_id(&f.check);
	CU_ASSERT_STRING_EQUAL(id, "db-1:port");
	free(id);
	id = desired_check_id(&node);
	CU_ASSERT_STRING_EQUAL(id, "lictor:disk");
	free(id);
	id = desired_alias_id(&f.service);
	CU_ASSERT_STRING_EQUAL(id, "db-1:lictor");
	free(id);
}

static void
expect_text(cJSON *json, const char *expected)
{
	AUTO_FREE char *text = json_print(json);

	CU_ASSERT_STRING_EQUAL(text, expected);
	cJSON_Delete(json);
}

static void
test_bodies(void)
{
	struct conf_check node = { .name = TEXT("disk"), .notes = TEXT("half\"full") };
	enum check_status status = CHECK_WARNING;
	struct fixture f;

	configure(&f);
	expect_text(desired_lictor(2500),
	    "{\"ID\":\"lictor\",\"Name\":\"lictor\",\"Meta\":{\"lictor\":\"2\","
	    "\"ttl\":\"2500ms\"},"
	    "\"Checks\":[{\"CheckID\":\"service:lictor\",\"Name\":\"lictord is alive\","
	    "\"TTL\":\"2500ms\",\"Status\":\"passing\"}]}");
	expect_text(desired_update(CHECK_CRITICAL, "no\nanswer"),
	    "{\"Status\":\"critical\",\"Output\":\"no\\nanswer\"}");
	expect_text(desired_check(&node, CHECK_WARNING),
	    "{\"ID\":\"lictor:disk\",\"Name\":\"disk\",\"Notes\":\"half\\\"full\","
	    "\"TTL\":\"720h\",\"Status\":\"warning\"}");
	expect_text(desired_service(&f.service, REPORT_MASTER, 12, &status, 1),
	    "{\"ID\":\"db-1\",\"Name\":\"db\",\"Address\":\"10.0.0.1\",\"Port\":5432,"
	    "\"Tags\":[\"sql\",\"master\"],\"Meta\":{\"version\":\"15\",\"empty\":\"\","
	    "\"lictor\":\"2\",\"role\":\"master\",\"term\":\"12\"},"
	    "\"Weights\":{\"Passing\":3,\"Warning\":2},"
	    "\"Checks\":[{\"CheckID\":\"db-1:port\",\"Name\":\"port\","
	    "\"Notes\":\"a note\",\"TTL\":\"720h\",\"Status\":\"warning\"},"
	    "{\"CheckID\":\"db-1:lictor\",\"Name\":\"lictor\","
	    "\"AliasService\":\"lictor\",\"Status\":\"passing\"}]}");
}

/* In somebody else's service the notes say that a check is ours. */
static void
test_foreign(void)
{
	struct fixture f;

	configure(&f);
	f.service.foreign = true;
	expect_text(desired_check(&f.check, CHECK_PASSING),
	    "{\"ID\":\"db-1:port\",\"Name\":\"port\",\"Notes\":\"lictor: a note\","
	    "\"TTL\":\"720h\",\"Status\":\"passing\",\"ServiceID\":\"db-1\"}");
	expect_text(desired_alias(&f.service),
	    "{\"ID\":\"db-1:lictor\",\"Name\":\"lictor\",\"Notes\":\"lictor: db\","
	    "\"AliasService\":\"lictor\",\"Status\":\"passing\",\"ServiceID\":\"db-"
	    "1\"}");
	CU_ASSERT_FALSE(parse_shown(&f.check,
	    "{\"Name\":\"port\",\"Notes\":\"a note\",\"ServiceID\":\"db-1\"}"));
	CU_ASSERT_TRUE(parse_shown(&f.check,
	    "{\"Name\":\"port\",\"Notes\":\"lictor: a note\",\"ServiceID\":"
	    "\"db-1\"}"));
}

#define MANY 3000

/* Whatever the notes are, what is registered at one go is less than Consul takes, and no
 * less than a good part of that. */
static void
test_size(void)
{
	static struct conf_check checks[MANY];
	static const struct conf_check *list[MANY];
	static enum check_status states[MANY];
	char notes[301], name[CONF_NAME_MAX + 1];
	struct fixture f;

	configure(&f);
	memset(name, 'n', CONF_NAME_MAX);
	name[CONF_NAME_MAX] = '\0';
	f.service.checks = list;
	f.service.n_checks = MANY;
	for (size_t len = 0; len <= 300; len += 100) {
		memset(notes, '\1', len);
		notes[len] = '\0';
		for (uint32_t i = 0; i < MANY; i++) {
			checks[i] = (struct conf_check){ .index = i,
				.name = name,
				.service = &f.service,
				.notes = notes };
			list[i] = &checks[i];
		}
		size_t n = desired_checks_within(&f.service);
		AUTO_JSON cJSON *body =
		    desired_service(&f.service, REPORT_BACKUP, 1, states, n);
		AUTO_FREE char *text = json_print(body);

		CU_ASSERT_TRUE(n < MANY);
		CU_ASSERT_TRUE(strlen(text) < 256u << 10);
		CU_ASSERT_TRUE(strlen(text) > 128u << 10);
	}
	f.service.n_checks = 1;
	CU_ASSERT_EQUAL(desired_checks_within(&f.service), 1);
}

static const struct tap_case cases[] = {
	{ "what was asked for is recognised", test_recognised },
	{ "every difference is seen", test_differences },
	{ "checks are told apart", test_checks },
	{ "bodies are as Consul takes them", test_bodies },
	{ "checks in a service of others", test_foreign },
	{ "a registration is never too big", test_size },
};

TAP_MAIN("desired", cases)
