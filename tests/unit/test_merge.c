/* SPDX-License-Identifier: ISC */
/*
 * What a reload changes, held against a model of the files that knows what was edited: what
 * conf_compare says is what the model says, a merged tree is that of a fresh parse, and a
 * thing keeps its place in memory if and only if it is the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/merge.h"
#include "agent/conf/options.h"
#include "agent/conf/same.h"
#include "agent/conf/schema.h"
#include "tests/unit/conf_edits.h"
#include "tests/unit/tap.h"

#define SEEDS 60
#define STEPS 8

static struct conf *
parse(const char *node_file, const char *services)
{
	struct bundle_file files[] = {
		{ "environment", "", 0 },
		{ "lictor.conf", node_file, strlen(node_file) },
		{ "a.conf", services, strlen(services) },
	};
	char error[CONF_ERROR_MAX] = "";
	struct conf_bundle *bundle = bundle_new(files, 3);

	bundle->received = true; /* the host is not asked for the files that it names */
	struct conf *conf = conf_parse(bundle, error);
	if (conf == NULL)
		fprintf(stderr, "%s in\n%s\n", error, services);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	return conf;
}

static struct conf *
parse_edits(const struct edits *edits)
{
	AUTO_FREE char *text = edits_text(edits);

	return parse("", text);
}

/* ---- what the model says ---- */

/* The number in a name of the model: "s3", "c0". */
static size_t
number(const char *name)
{
	return (size_t)(name[1] - '0');
}

static size_t
service_number(const struct conf_check *check)
{
	return check->service != NULL ? number(check->service->name) : EDITS_HOST;
}

static void
hold_checks(const struct edits *a, const struct edits *b, const struct conf *next,
    const struct conf *prev, const struct conf_changes *changes)
{
	size_t kept = 0;

	for (size_t i = 0; i < next->n_checks; i++) {
		const struct conf_check *check = next->checks[i];
		size_t service = service_number(check), n = number(check->name);
		bool both = edits_has_check(a, service, n) &&
		    a->checks[service][n].type == b->checks[service][n].type;
		uint32_t from = changes->from.checks[i];
		CU_ASSERT_EQUAL(from != CONF_NONE, both);
		CU_ASSERT_EQUAL(changes->check_changed[i],
		    both && !edits_same_check(a, b, service, n));
		kept += both;
		if (from != CONF_NONE)
			CU_ASSERT_STRING_EQUAL(check->name, prev->checks[from]->name);
	}
	CU_ASSERT_EQUAL(changes->checks.added, next->n_checks - kept);
	CU_ASSERT_EQUAL(changes->checks.removed, prev->n_checks - kept);
}

static void
hold_services(const struct edits *a, const struct edits *b, const struct conf *next,
    const struct conf_changes *changes)
{
	for (size_t i = 0; i < next->n_services; i++) {
		size_t n = number(next->services[i]->name);
		bool both = a->services[n].there;
		CU_ASSERT_EQUAL(changes->from.services[i] != CONF_NONE, both);
		CU_ASSERT_EQUAL(
		    changes->service_changed[i], both && !edits_same_service(a, b, n));
	}
}

static void
hold_roles(const struct edits *a, const struct edits *b, const struct conf *next,
    const struct conf_changes *changes)
{
	for (size_t i = 0; i < next->n_roles; i++) {
		size_t n = number(next->roles[i]->name);
		bool both = a->roles[n].there;
		CU_ASSERT_EQUAL(changes->from.roles[i] != CONF_NONE, both);
		CU_ASSERT_EQUAL(
		    changes->role_changed[i], both && !edits_same_role(a, b, n));
	}
	for (size_t i = 0; i < next->n_vips; i++) {
		const struct conf_vip *vip = next->vips[i];
		size_t role = number(vip->role->name), n = vip->address[3] % 10;
		bool both = a->roles[role].there && a->vips[role][n].there;
		CU_ASSERT_EQUAL(changes->from.vips[i] != CONF_NONE, both);
		CU_ASSERT_EQUAL(
		    changes->vip_changed[i], both && !edits_same_vip(a, b, role, n));
	}
}

/* ---- what a merged tree must be ---- */

#define LEADS(conf, kind, pointer)              \
	((pointer)->index < (conf)->n_##kind && \
	    (conf)->kind[(pointer)->index] == (pointer))

static void
hold_check_links(const struct conf *conf, const struct conf_check *check)
{
	CU_ASSERT(check->service == NULL || LEADS(conf, services, check->service));
	CU_ASSERT(check->command == NULL || LEADS(conf, commands, check->command));
	CU_ASSERT(check->depends_on == NULL || LEADS(conf, checks, check->depends_on));
}

static void
hold_role_links(const struct conf *conf, const struct conf_role *role)
{
	const struct conf_command *hooks[] = { role->promote, role->demote,
		role->notify };

	for (size_t i = 0; i < role->n_services; i++)
		CU_ASSERT(LEADS(conf, services, role->services[i]) &&
		    role->services[i]->role == role);
	for (size_t i = 0; i < role->n_vips; i++)
		CU_ASSERT(
		    LEADS(conf, vips, role->vips[i]) && role->vips[i]->role == role);
	for (size_t i = 0; i < ARRAY_LENGTH(hooks); i++)
		CU_ASSERT(hooks[i] == NULL ||
		    (LEADS(conf, commands, hooks[i]) && hooks[i]->role == role));
}

static void
hold_whole(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_checks; i++) {
		CU_ASSERT_EQUAL(conf->checks[i]->index, i);
		hold_check_links(conf, conf->checks[i]);
	}
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf->services[i];
		CU_ASSERT_EQUAL(service->index, i);
		for (size_t j = 0; j < service->n_checks; j++)
			CU_ASSERT(LEADS(conf, checks, service->checks[j]) &&
			    service->checks[j]->service == service);
	}
	for (size_t i = 0; i < conf->n_roles; i++) {
		CU_ASSERT_EQUAL(conf->roles[i]->index, i);
		hold_role_links(conf, conf->roles[i]);
	}
	for (size_t i = 0; i < conf->n_vips; i++)
		CU_ASSERT(conf->vips[i]->index == i &&
		    LEADS(conf, roles, conf->vips[i]->role));
	for (size_t i = 0; i < conf->n_commands; i++)
		CU_ASSERT(conf->commands[i]->index == i);
}

/* Where things stand in the files, which conf_compare does not look at. */
static void
hold_places(const struct conf *conf, const struct conf *fresh)
{
	for (size_t i = 0; i < conf->n_checks; i++) {
		CU_ASSERT_STRING_EQUAL(conf->checks[i]->file, fresh->checks[i]->file);
		CU_ASSERT_EQUAL(conf->checks[i]->line, fresh->checks[i]->line);
	}
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct conf_service *a = conf->services[i],
					  *b = fresh->services[i];
		CU_ASSERT(strcmp(a->file, b->file) == 0 && a->line == b->line);
		CU_ASSERT_EQUAL(a->n_checks, b->n_checks);
	}
	for (size_t i = 0; i < conf->n_roles; i++)
		CU_ASSERT_EQUAL(conf->roles[i]->line, fresh->roles[i]->line);
	for (size_t i = 0; i < conf->n_vips; i++)
		CU_ASSERT_EQUAL(conf->vips[i]->line, fresh->vips[i]->line);
}

static void
hold_fresh(const struct conf *conf, const struct edits *edits)
{
	struct conf *fresh = parse_edits(edits);
	struct conf_changes changes;

	conf_compare(fresh, conf, &changes);
	CU_ASSERT_FALSE(changes.anything);
	conf_changes_clear(&changes);
	hold_places(conf, fresh);
	conf_free(fresh);
}

static void **
copy(void *const *list, size_t count)
{
	void **out = xcalloc(count + 1, sizeof(*out));

	for (size_t i = 0; i < count; i++)
		out[i] = list[i];
	return out;
}

static void
hold_kept(void *const *now, void *const *before, const uint32_t *from,
    const bool *changed, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool is_kept = false;
		if (from[i] != CONF_NONE)
			is_kept = now[i] == before[from[i]];
		CU_ASSERT_EQUAL(is_kept, from[i] != CONF_NONE && !changed[i]);
	}
}

static void
merge(struct conf *next, struct conf *prev, const struct conf_changes *changes)
{
	const struct conf_map *from = &changes->from;
	bool *never = xcalloc(next->n_commands + 1, sizeof(*never));

	void **before[] = {
		copy((void *const *)prev->checks, prev->n_checks),
		copy((void *const *)prev->services, prev->n_services),
		copy((void *const *)prev->roles, prev->n_roles),
		copy((void *const *)prev->vips, prev->n_vips),
		copy((void *const *)prev->commands, prev->n_commands),
	};
	conf_merge(next, prev, changes);
	hold_kept((void *const *)next->checks, before[0], from->checks,
	    changes->check_changed, next->n_checks);
	hold_kept((void *const *)next->services, before[1], from->services,
	    changes->service_changed, next->n_services);
	hold_kept((void *const *)next->roles, before[2], from->roles,
	    changes->role_changed, next->n_roles);
	hold_kept((void *const *)next->vips, before[3], from->vips,
	    changes->vip_changed, next->n_vips);
	hold_kept((void *const *)next->commands, before[4], from->commands, never,
	    next->n_commands);
	for (size_t i = 0; i < ARRAY_LENGTH(before); i++)
		free(before[i]);
	free(never);
}

/* Edits upon edits, each tree freed as soon as the next has taken what it keeps. */
static void
walk(uint64_t seed)
{
	struct edits before, now;
	struct conf_changes changes;

	edits_init(&now, seed, false);
	struct conf *prev = parse_edits(&now);
	for (int i = 0; i < STEPS; i++) {
		before = now;
		edits_change(&now);
		struct conf *next = parse_edits(&now);
		conf_compare(next, prev, &changes);
		hold_checks(&before, &now, next, prev, &changes);
		hold_services(&before, &now, next, &changes);
		hold_roles(&before, &now, next, &changes);
		merge(next, prev, &changes);
		hold_whole(next);
		hold_whole(prev);
		conf_changes_clear(&changes);
		conf_free(prev);
		hold_fresh(next, &now);
		prev = next;
	}
	conf_free(prev);
}

static void
test_edits(void)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		walk(seed);
}

/* ---- that nothing is left out ---- */

static bool
is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The model has every option but those that make a thing the one it is, and one that most
 * others may not stand beside. */
static void
hold_model(enum edits_kind kind, const struct check_option *table, const char *but)
{
	static const char alone[] = "register"; /* test_register */
	const char *names[EDITS_OPTIONS];
	size_t count = edits_options(kind, names);

	for (const struct check_option *o = table; o->name != NULL; o++)
		if (strcmp(o->name, but) != 0 && strcmp(o->name, alone) != 0 &&
		    !is_one_of(o->name, names, count)) {
			fprintf(stderr, "%s is not in the model\n", o->name);
			CU_FAIL("an option is not in the model");
		}
}

static void
test_model(void)
{
	hold_model(EDITS_OF_CHECK, schema_check, "depends-on");
	hold_model(EDITS_OF_SERVICE, schema_service, "id");
	hold_model(EDITS_OF_ROLE, schema_role, "services");
	hold_model(EDITS_OF_ROLE, schema_hooks, "");
	hold_model(EDITS_OF_VIP, schema_vip, "interface");
	CU_PASS("every option is in the model");
}

union value {
	char *text, **list;
	uint64_t number;
	int64_t time;
	bool truth;
};

/* Two values of a type that differ, and one that is written otherwise and does not. */
static void
hold_type(enum check_option_type type, const union value *a, const union value *again,
    const union value *b)
{
	const struct check_option table[] = { { "before", CHECK_OPTION_BOOL, 0 },
		{ "it", type, 8 }, { NULL } };
	struct {
		uint64_t before;
		union value value;
	} x = { 0, *a }, y = { 0, *again }, z = { 0, *b }, none = { 0 };

	CU_ASSERT_TRUE(options_same(table, &x, &y));
	CU_ASSERT_FALSE(options_same(table, &x, &z));
	CU_ASSERT_FALSE(options_same(table, &none, &z));
	CU_ASSERT_FALSE(options_same(table, &z, &none));
	CU_ASSERT_TRUE(options_same(table, &none, &none));
}

static void
test_values(void)
{
	char one[] = "one", same[] = "one", two[] = "two";
	char *list[] = { one, two, NULL }, *list_again[] = { same, two, NULL };
	char *shorter[] = { one, NULL };
	const union value text = { .text = one }, text_again = { .text = same },
			  other = { .text = two }, many = { .list = list },
			  many_again = { .list = list_again },
			  few = { .list = shorter }, big = { .number = 1 },
			  bigger = { .number = 1ull << 40 };

	for (int i = CHECK_OPTION_TEXT; i <= CHECK_OPTION_FILES; i++) {
		enum check_option_type type = (enum check_option_type)i;
		switch (type) {
		case CHECK_OPTION_TEXT:
		case CHECK_OPTION_FILE:
		case CHECK_OPTION_USER:
		case CHECK_OPTION_DIRECTORY:
			hold_type(type, &text, &text_again, &other);
			break;
		case CHECK_OPTION_LIST:
		case CHECK_OPTION_COMMAND:
		case CHECK_OPTION_ENVIRONMENT:
			hold_type(type, &many, &many_again, &few);
			break;
		case CHECK_OPTION_BOOL:
			hold_type(type, &(union value){ 0 }, &(union value){ 0 }, &big);
			break;
		case CHECK_OPTION_UINT:
		case CHECK_OPTION_DURATION:
		case CHECK_OPTION_MEMORY:
		case CHECK_OPTION_PROCESSES:
		case CHECK_OPTION_FILES: hold_type(type, &big, &big, &bigger); break;
		}
	}
}

/* ---- the node's own ---- */

struct node_case {
	const char *file;
	bool consul, node_wide, reloadable;
	const char *text;
};

static void
hold_node(const struct node_case *c)
{
	char error[CONF_ERROR_MAX] = "", text[CONF_ERROR_MAX];
	struct conf *prev = parse("node = a", ""), *next = parse(c->file, "");
	struct conf_changes changes;

	conf_compare(next, prev, &changes);
	CU_ASSERT_EQUAL(changes.consul, c->consul);
	CU_ASSERT_EQUAL(changes.node_wide, c->node_wide);
	CU_ASSERT_EQUAL(changes.anything, c->consul || c->node_wide);
	CU_ASSERT_EQUAL(conf_reloadable(next, prev, error), c->reloadable);
	conf_changes_text(&changes, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(c->reloadable ? text : error, c->text);
	conf_changes_clear(&changes);
	conf_free(prev);
	conf_free(next);
}

static void
test_node(void)
{
	static const char way[] = "the way to Consul changed";
	static const struct node_case cases[] = {
		{ "node = a", false, false, true, "nothing has changed" },
		{ "# a comment\nnode=\"a\"", false, false, true,
		    "nothing has changed" },
		{ "node = a\nconsul { address = \"http://h:1\" }", true, false, true,
		    way },
		{ "node = a\nconsul { address = \"unix:///s\" }", true, false, true,
		    way },
		{ "node = a\nconsul { token-file = /a }", true, false, true, way },
		{ "node = a\nconsul { ca-file = /a }", true, false, true, way },
		{ "node = a\nconsul { cert-file = /a key-file = /b }", true, false,
		    true, way },
		{ "node = a\nconsul { server-name = a }", true, false, true, way },
		{ "node = a\nconsul { verify = false }", true, false, true, way },
		{ "node = a\nconsul { ttl = 11s }", true, false, true, way },
		{ "node = a\nfailover { lease = 3250ms }", false, true, true,
		    "the lease changed" },
		{ "node = a\nfailover { silence = 500ms }", false, true, true,
		    "failover changed" },
		{ "node = a\nfailover { heartbeats = false }", false, true, true,
		    "failover changed" },
		{ "node = a\nfailover { outage-hold = 0s }", false, true, true,
		    "failover changed" },
		{ "node = a\nfailover { outage-hold-alone = 70s }", false, true, true,
		    "failover changed" },
		{ "node = a\nfailover { port = 1 }", false, true, false,
		    "lictor.conf: port: it was changed, which needs a restart" },
		{ "node = a\nfailover { address = \"::\" }", false, true, false,
		    "lictor.conf: address: it was changed, which needs a restart" },
		{ "node = a\nfailover { key-file = /a }", false, true, false,
		    "lictor.conf: key-file of failover: it was changed, which needs a "
		    "restart" },
		{ "node = b", false, false, false,
		    "lictor.conf: node: it was changed, which needs a restart" },
		{ "", false, false, false,
		    "lictor.conf: node: it was changed, which needs a restart" },
		{ "node = a plugin-directory = /", false, false, false,
		    "lictor.conf: plugin-directory: it was changed, which needs a "
		    "restart" },
		{ "node = a\nfailover { fence = lifetime }", false, false, false,
		    "lictor.conf: fence: it was changed, which needs a restart" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		hold_node(&cases[i]);
}

static void
test_register(void)
{
	static const char ours[] = "service \"a\" { register = true }";
	static const char theirs[] = "service \"a\" { register = false }";
	struct conf *prev = parse("", ours), *next = parse("", theirs);
	struct conf_changes changes;

	conf_compare(next, prev, &changes);
	CU_ASSERT_TRUE(changes.service_changed[0]);
	conf_changes_clear(&changes);
	conf_free(prev);
	conf_free(next);
}

static void
test_text(void)
{
	struct conf_changes changes = { .checks = { 1, 0, 2 },
		.services = { 0, 1, 0 },
		.vips = { 0, 1, 0 },
		.consul = true };
	char text[CONF_ERROR_MAX];

	conf_changes_text(&changes, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text,
	    "1 service removed, 1 check added, 2 checks changed, 1 vip removed, the "
	    "way "
	    "to Consul changed");
	changes = (struct conf_changes){ .anything = true };
	conf_changes_text(&changes, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "what there is stands in another order");
}

static const struct tap_case cases[] = {
	{ "edits", test_edits },
	{ "model", test_model },
	{ "values", test_values },
	{ "who registers a service", test_register },
	{ "node", test_node },
	{ "text", test_text },
};

TAP_MAIN("merge", cases)
