/* SPDX-License-Identifier: ISC */
/*
 * Maintenance in virtual time: what roles and Consul are told is held against the rule
 * stated a second time after each of some thousand random steps, restarts and corrections
 * of the clock among them; and a kept file that was damaged at each of its bytes.
 */
#include "agent/consul/upkeep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define SERVICES 3
#define HOST SERVICES
#define STEPS 6000
#define SECOND INT64_C(1000)
#define EPOCH INT64_C(1800000000000)

struct bench {
	struct loop *loop;
	struct conf conf;
	struct conf_service service[SERVICES], *services[SERVICES];
	char names[SERVICES][2], dir[32], path[64];
	struct upkeep *upkeep;
	char why[SERVICES + 1][400], shown[SERVICES][400]; /* as told; "": no */
	unsigned int told;
};

static unsigned int
chance(unsigned int below)
{
	static uint64_t state = 7;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(state >> 33) % below;
}

/* What the clocks show beside the loop's. */
static struct {
	const struct loop *loop;
	int64_t suspended, corrected;
} clocks;

static int64_t
boot(void)
{
	return loop_now(clocks.loop) + clocks.suspended;
}

static int64_t
wall(void)
{
	return EPOCH + boot() + clocks.corrected;
}

static void
on_ours(void *arg, const struct conf_service *service, bool on, const char *reason)
{
	struct bench *bench = arg;

	CU_ASSERT_EQUAL(on, reason[0] != '\0');
	str_copy(bench->shown[service->index], sizeof(bench->shown[0]), reason);
	bench->told++;
}

static void
on_changed(void *arg, const struct conf_service *service, const char *why)
{
	struct bench *bench = arg;
	size_t i = service != NULL ? service->index : HOST;

	str_copy(bench->why[i], sizeof(bench->why[i]), why != NULL ? why : "");
	bench->told++;
}

static void
start(struct bench *bench)
{
	static const struct upkeep_clock clock = { boot, wall };
	struct upkeep_out out = { on_ours, on_changed, bench };

	memset(bench->why, 0, sizeof(bench->why));
	memset(bench->shown, 0, sizeof(bench->shown));
	bench->upkeep =
	    upkeep_new(bench->loop, &bench->conf, bench->path, &clock, &out);
	upkeep_start(bench->upkeep);
}

static void
stop(struct bench *bench)
{
	upkeep_free(bench->upkeep);
	bench->upkeep = NULL;
}

static void
bench_open(struct bench *bench)
{
	/* in memory where possible: what is written goes to the disk each time */
	*bench = (struct bench){ .dir = "/dev/shm/lictor-test-XXXXXX" };
	if (access("/dev/shm", W_OK) != 0)
		str_copy(bench->dir, sizeof(bench->dir), "/tmp/lictor-test-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(bench->dir) != NULL);
	snprintf(bench->path, sizeof(bench->path), "%s/maintenance", bench->dir);
	for (uint32_t i = 0; i < SERVICES; i++) {
		bench->names[i][0] = (char)('a' + (char)i);
		bench->service[i] = (struct conf_service){
			.index = i, .name = bench->names[i], .id = bench->names[i]
		};
		bench->services[i] = &bench->service[i];
	}
	bench->conf.services = bench->services;
	bench->conf.n_services = SERVICES;
	bench->loop = loop_new();
	clocks.loop = bench->loop;
	clocks.suspended = clocks.corrected = 0;
}

static void
bench_close(struct bench *bench)
{
	char fresh[80];

	stop(bench);
	loop_free(bench->loop);
	snprintf(fresh, sizeof(fresh), "%s.new", bench->path);
	unlink(fresh);
	unlink(bench->path);
	CU_ASSERT_EQUAL(rmdir(bench->dir), 0);
}

static const struct conf_service *
service_at(const struct bench *bench, size_t i)
{
	return i < SERVICES ? bench->services[i] : NULL;
}

/* ---- the rule, stated again ---- */

struct model {
	bool ours, theirs;
	int64_t span, until; /* of boot() */
	unsigned int reason;
};

static bool
model_on(const struct model *model)
{
	return model->ours && (model->span == 0 || model->until > boot());
}

static bool
says(const char *text, const char *with, unsigned int number)
{
	char *wanted AUTO_FREE = xasprintf("%s%u (", with, number);

	return strstr(text, wanted) != NULL;
}

static void
expect_place(const struct bench *bench, const struct model *models, size_t i)
{
	const struct model *model = &models[i];
	struct upkeep_view view;

	upkeep_view(bench->upkeep, service_at(bench, i), &view);
	CU_ASSERT_EQUAL(view.ours, model_on(model));
	CU_ASSERT_EQUAL(view.theirs, model->theirs);
	if (model_on(model)) {
		CU_ASSERT_TRUE(
		    says(bench->why[i], "in maintenance: reason ", model->reason));
		CU_ASSERT_EQUAL(
		    view.left_ms, model->span != 0 ? model->until - boot() : 0);
	} else {
		CU_ASSERT_EQUAL(
		    model->theirs, strncmp(bench->why[i], "Consul has ", 11) == 0);
		CU_ASSERT_EQUAL(model->theirs, bench->why[i][0] != '\0');
	}
	if (i == HOST)
		return;
	const struct model *by = model_on(model) ? model : &models[HOST];
	CU_ASSERT_EQUAL(model_on(by), bench->shown[i][0] != '\0');
	CU_ASSERT_TRUE(
	    !model_on(by) || says(bench->shown[i], "lictor: reason ", by->reason));
}

static void
begin(struct bench *bench, struct model *models, size_t i, int64_t span)
{
	static unsigned int number;
	char reason[32];

	snprintf(reason, sizeof(reason), "reason %u", ++number);
	upkeep_begin(bench->upkeep, service_at(bench, i), span, reason, "alice");
	models[i].ours = true;
	models[i].span = span;
	models[i].until = boot() + span;
	models[i].reason = number;
}

static void
end(struct bench *bench, struct model *models, size_t i)
{
	char why[160] = "";
	bool any = false;

	for (size_t j = 0; j <= SERVICES; j++) {
		if (i != j && i != HOST)
			continue;
		any = any || model_on(&models[j]);
		models[j].ours = false;
	}
	CU_ASSERT_EQUAL(
	    upkeep_end(bench->upkeep, service_at(bench, i), "bob", why, sizeof(why)),
	    any ? 0 : -ENOENT);
	CU_ASSERT_EQUAL(any, why[0] == '\0');
}

/* Down for a while: the wall clock counts, but never for longer than was asked for. */
static void
restart(struct bench *bench, struct model *models, int64_t jump)
{
	int64_t left[SERVICES + 1];

	for (size_t i = 0; i <= SERVICES; i++) {
		models[i].ours = model_on(&models[i]);
		left[i] = models[i].until - boot() - jump;
	}
	stop(bench);
	clocks.corrected += jump;
	start(bench);
	for (size_t i = 0; i <= SERVICES; i++) {
		struct model *model = &models[i];

		model->theirs = false; /* until Consul says it again */
		if (model->span == 0)
			continue;
		model->ours = model->ours && left[i] > 0;
		if (left[i] > model->span)
			left[i] = model->span;
		model->until = boot() + left[i];
	}
}

/* Both are noticed within a minute. */
static void
correct(struct bench *bench, int64_t ms)
{
	clocks.corrected += ms;
	virtual_loop_run(bench->loop, 60 * SECOND);
}

static void
suspend(struct bench *bench, int64_t ms)
{
	clocks.suspended += ms;
	virtual_loop_run(bench->loop, 60 * SECOND);
}

static void
random_step(struct bench *bench, struct model *models)
{
	size_t i = chance(SERVICES + 1);
	int64_t some = chance(100) * SECOND;

	switch (chance(8)) {
	case 0: begin(bench, models, i, chance(3) == 0 ? 0 : some + SECOND); break;
	case 1: end(bench, models, i); break;
	case 2:
		models[i].theirs = chance(2) == 0;
		upkeep_consul(
		    bench->upkeep, service_at(bench, i), models[i].theirs, "theirs");
		break;
	case 3: correct(bench, (chance(2) == 0 ? 2 : -2) * some); break;
	case 4: suspend(bench, some); break;
	case 5: restart(bench, models, 0); break;
	case 6: restart(bench, models, (chance(2) == 0 ? 2 : -2) * some); break;
	case 7: virtual_loop_run(bench->loop, some); break;
	}
	/* a timer is up to a slot late */
	virtual_loop_run(bench->loop, 20);
}

static void
test_random(void)
{
	struct model models[SERVICES + 1] = { 0 };
	struct bench bench;

	bench_open(&bench);
	start(&bench);
	for (int i = 0; i < STEPS && CU_get_number_of_failures() == 0; i++) {
		random_step(&bench, models);
		for (size_t j = 0; j <= SERVICES; j++)
			expect_place(&bench, models, j);
	}
	bench_close(&bench);
}

/* ---- examples ---- */

static bool
wait_kept(struct bench *bench, char *why, size_t size)
{
	for (int i = 0; i < 5000; i++) {
		if (upkeep_kept(bench->upkeep, why, size))
			return true;
		if (why[0] != '\0')
			return false;
		usleep(1000);
		virtual_loop_run(bench->loop, 10);
	}
	CU_FAIL("nothing was written within 5 s");
	return false;
}

/* Nothing is told twice, and the newest word counts. */
static void
test_said_once(void)
{
	struct bench bench;
	char why[160];

	bench_open(&bench);
	start(&bench);
	CU_ASSERT_EQUAL(bench.told, 0);
	upkeep_begin(bench.upkeep, bench.services[1], 0, "new\ndisk", "al\x1bice");
	CU_ASSERT_EQUAL(bench.told, 2);
	CU_ASSERT_STRING_EQUAL(
	    bench.why[1], "service b is in maintenance: new\\ndisk (by al\\x1bice)");
	CU_ASSERT_STRING_EQUAL(
	    upkeep_why(bench.upkeep, bench.services[1]), bench.why[1]);
	CU_ASSERT_PTR_NULL(upkeep_why(bench.upkeep, NULL));
	upkeep_begin(bench.upkeep, bench.services[1], 0, "new\ndisk", "al\x1bice");
	upkeep_consul(bench.upkeep, bench.services[1], true, "by hand");
	upkeep_consul(bench.upkeep, bench.services[1], true, "by hand");
	CU_ASSERT_EQUAL(bench.told, 2);
	CU_ASSERT_EQUAL(
	    upkeep_end(bench.upkeep, bench.services[1], "bob", why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(bench.told, 4);
	CU_ASSERT_STRING_EQUAL(
	    bench.why[1], "Consul has service b in maintenance: by hand");
	CU_ASSERT_STRING_EQUAL(bench.shown[1], "");
	CU_ASSERT_EQUAL(
	    upkeep_end(bench.upkeep, bench.services[1], "bob", why, sizeof(why)),
	    -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "consul maint -disable -service=b"));
	bench_close(&bench);
}

static void
test_unknown_service(void)
{
	struct bench bench;
	struct stat st;
	char why[160];

	bench_open(&bench);
	start(&bench);
	upkeep_begin(bench.upkeep, bench.services[2], 0, "", "alice");
	upkeep_begin(bench.upkeep, bench.services[0], 0, "", "alice");
	CU_ASSERT_TRUE(wait_kept(&bench, why, sizeof(why)));
	stop(&bench);
	bench.conf.n_services = 2; /* "c" left the configuration */
	start(&bench);
	CU_ASSERT_STRING_NOT_EQUAL(bench.why[0], "");
	CU_ASSERT_STRING_EQUAL(bench.why[2], "");
	stop(&bench);
	bench.conf.n_services = SERVICES;
	start(&bench);
	CU_ASSERT_STRING_NOT_EQUAL(bench.shown[0], "");
	CU_ASSERT_STRING_EQUAL(bench.why[2], "");
	CU_ASSERT_EQUAL(stat(bench.path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777 & ~0640u, 0);
	bench_close(&bench);
}

/* A configuration of three of five services; "a", "b" and "c" are those before. */
static void
reload(struct bench *bench, struct conf_service next[3], const char *names[3])
{
	struct conf_service *services[3] = { &next[0], &next[1], &next[2] };
	struct conf conf = { .services = services, .n_services = 3 };
	uint32_t from[3];
	struct conf_changes changes = { .from = { .services = from } };

	for (uint32_t i = 0; i < 3; i++) {
		char *name = (char *)names[i];

		next[i] = (struct conf_service){ .index = i, .name = name, .id = name };
		from[i] = name[0] <= 'c' ? (uint32_t)(name[0] - 'a') : CONF_NONE;
	}
	upkeep_reload(bench->upkeep, &conf, &changes);
	for (uint32_t i = 0; i < 3; i++) {
		struct upkeep_view view;

		upkeep_view(bench->upkeep, &next[i], &view);
		CU_ASSERT_EQUAL(view.ours, names[i][0] == 'a' || names[i][0] == 'c');
		CU_ASSERT_EQUAL(view.theirs, names[i][0] == 'b' || names[i][0] == 'c');
		/* of the host, which those that are new are in as well */
		CU_ASSERT_EQUAL(bench->shown[i][0] != '\0', from[i] == CONF_NONE);
	}
	stop(bench);
	bench->conf.services = services;
	start(bench);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(
		    bench->why[i][0] != '\0', names[i][0] == 'a' || names[i][0] == 'c');
	CU_ASSERT_STRING_NOT_EQUAL(bench->why[HOST], "");
	upkeep_end(bench->upkeep, NULL, "bob", bench->why[0], sizeof(bench->why[0]));
	stop(bench);
	bench->conf.services = bench->services;
}

/* Nothing is told of what stays, in whatever order; what is gone is gone from the file. */
static void
test_reload(void)
{
	static const char *const all[] = { "a", "b", "c", "d", "e" };
	struct conf_service next[3];
	struct bench bench;

	bench_open(&bench);
	for (unsigned int i = 0; i < 125; i++) {
		const char *names[3] = { all[i % 5], all[i / 5 % 5], all[i / 25] };

		if (names[0] == names[1] || names[1] == names[2] ||
		    names[0] == names[2])
			continue;
		start(&bench);
		upkeep_begin(bench.upkeep, NULL, 60 * SECOND, "", "alice");
		upkeep_begin(bench.upkeep, bench.services[0], 0, "", "alice");
		upkeep_begin(bench.upkeep, bench.services[2], 0, "", "alice");
		upkeep_consul(bench.upkeep, bench.services[1], true, "theirs");
		upkeep_consul(bench.upkeep, bench.services[2], true, "theirs");
		memset(bench.shown, 0, sizeof(bench.shown));
		reload(&bench, next, names);
	}
	start(&bench);
	bench_close(&bench);
}

/* It counts all the same, it is said, and made up for. */
static void
test_full_disk(void)
{
	struct bench bench;
	char why[160] = "";

	bench_open(&bench);
	CU_ASSERT_EQUAL(mkdir(bench.path, 0755), 0);
	start(&bench);
	upkeep_begin(bench.upkeep, bench.services[0], 0, "", "alice");
	CU_ASSERT_STRING_NOT_EQUAL(bench.why[0], "");
	CU_ASSERT_FALSE(wait_kept(&bench, why, sizeof(why)));
	CU_ASSERT_STRING_NOT_EQUAL(why, "");
	CU_ASSERT_EQUAL(rmdir(bench.path), 0);
	virtual_loop_run(bench.loop, 11 * SECOND);
	CU_ASSERT_TRUE(wait_kept(&bench, why, sizeof(why)));
	stop(&bench);
	start(&bench);
	CU_ASSERT_STRING_NOT_EQUAL(bench.why[0], "");
	bench_close(&bench);
}

/* ---- files that others wrote ---- */

static void
put_file(const struct bench *bench, const char *text, size_t len)
{
	FILE *file AUTO_FCLOSE = fopen(bench->path, "w");

	CU_ASSERT_FATAL(file != NULL);
	CU_ASSERT_EQUAL(fwrite(text, 1, len, file), len);
}

static unsigned int
n_on(const struct bench *bench)
{
	struct upkeep_view view;
	unsigned int count = 0;

	for (size_t i = 0; i <= SERVICES; i++) {
		upkeep_view(bench->upkeep, service_at(bench, i), &view);
		if (view.ours)
			count++;
	}
	return count;
}

static unsigned int
read_back(struct bench *bench, const char *text, size_t len)
{
	unsigned int count;

	put_file(bench, text, len);
	start(bench);
	count = n_on(bench);
	stop(bench);
	return count;
}

static void
test_lines(void)
{
#define END "\"who\":\"w\",\"reason\":\"r\"}\n"
	static const struct {
		const char *text;
		unsigned int count;
	} rows[] = {
		{ "", 0 },
		{ "\n\n", 0 },
		{ "{\"service\":\"a\",\"until\":0,\"span\":0," END, 1 },
		{ "{\"until\":0,\"span\":0," END, 1 },
		{ "x\n{\"until\":0,\"span\":0," END "{", 1 },
		{ "{\"service\":\"a\",\"until\":0,\"span\":0," END
		  "{\"service\":\"b\",\"until\":0,\"span\":0," END,
		    2 },
		{ "{\"service\":\"\",\"until\":0,\"span\":0," END, 0 },
		{ "{\"service\":7,\"until\":0,\"span\":0," END, 0 },
		{ "{\"service\":\"d\",\"until\":0,\"span\":0," END, 0 },
		{ "{\"service\":\"a\",\"until\":5,\"span\":0," END, 0 },
		{ "{\"service\":\"a\",\"until\":0,\"span\":5," END, 0 },
		{ "{\"service\":\"a\",\"until\":5,\"span\":5," END, 0 },
		{ "{\"service\":\"a\",\"until\":-5,\"span\":5," END, 0 },
		{ "{\"service\":\"a\",\"until\":9007199254740991,\"span\":5," END, 1 },
		{ "{\"service\":\"a\",\"until\":9007199254740991,\"span\":"
		  "9007199254740991," END,
		    0 },
		{ "{\"service\":\"a\",\"until\":0,\"span\":0,\"reason\":\"r\"}\n", 0 },
		{ "{\"service\":\"a\",\"until\":0,\"span\":0,\"who\":\"w\"}\n", 0 },
	};
	struct bench bench;

	bench_open(&bench);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		CU_ASSERT_EQUAL(read_back(&bench, rows[i].text, strlen(rows[i].text)),
		    rows[i].count);
	start(&bench);
	bench_close(&bench);
}

/* Every byte lost, and every one changed, and cut at each: one line at the most is gone. */
static void
test_damage(void)
{
	static const char text[] =
	    "{\"service\":\"a\",\"until\":0,\"span\":0," END
	    "{\"until\":1900000000000,\"span\":60000," END
	    "{\"service\":\"b\",\"until\":1900000000000,\"span\":60000," END;
	static const char bytes[] = { '\0', '\n', '"', '9', (char)0xff };
	size_t len = sizeof(text) - 1;
	char copy[sizeof(text)];
	struct bench bench;

	bench_open(&bench);
	for (size_t at = 0; at < len; at++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			memcpy(copy, text, len);
			copy[at] = bytes[i];
			CU_ASSERT_TRUE(read_back(&bench, copy, len) >= 1);
		}
		memmove(copy, text, at);
		memmove(copy + at, text + at + 1, len - at - 1);
		CU_ASSERT_TRUE(read_back(&bench, copy, len - 1) >= 1);
		CU_ASSERT_TRUE(read_back(&bench, text, at) <= 3);
	}
	CU_ASSERT_EQUAL(read_back(&bench, text, len), 3);
	start(&bench);
	bench_close(&bench);
}

static const struct tap_case cases[] = {
	{ "random steps keep to the rule", test_random },
	{ "a change is told once", test_said_once },
	{ "a service that is configured no more", test_unknown_service },
	{ "reloads of any three of five services", test_reload },
	{ "a file that cannot be written", test_full_disk },
	{ "lines of all kinds", test_lines },
	{ "a damaged file costs what was damaged", test_damage },
};
TAP_MAIN_APART("upkeep", cases)
