/* SPDX-License-Identifier: ISC */
/* lictorctl against a control socket in another process: what it prints and how it ends. */
#include "agent/ctl/ctl.h"
#include "agent/ctl/handover.h"
#include "agent/ctl/show.h"

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/status/control.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char status_text[] =
    "{\"version\":\"1\",\"node\":\"web-1\",\"consul\":{\"address\":\"http://"
    "127.0.0.1:8500\","
    "\"answers\":true,\"in_sync\":false},\"fence\":{%s},\"maintenance\":{\"kept\":%s,%"
    "s\"list\":[%s]},"
    "\"roles\":[{\"name\":\"web\",\"priority\":100,"
    "\"state\":\"master\",\"reason\":\"elected\",\"ready\":\"yes\",\"lost\":false,"
    "\"term\":17,"
    "\"holder\":\"%s\",\"fence\":\"%s\",\"candidates\":[{\"node\":\"web-1\",\"ready\":"
    "true,"
    "\"priority\":100},{\"node\":\"web-2\",\"ready\":false,\"priority\":50}],\"vips\":["
    "{"
    "\"address\":\"10.0.0.100\",\"prefix\":32,\"interface\":\"eth0\",\"held\":true}],"
    "\"paused\":{\"who\":\"bob\",\"reason\":\"new switch\"},\"peers\":[{"
    "\"node\":\"web-2\",\"address\":\"10.0.0.2\",\"port\":8521,\"member\":true,"
    "\"heard_ms\":400,\"answered_ms\":7200000,\"rtt_us\":340,\"fact\":\"\"},{"
    "\"node\":\"web-3\",\"address\":\"\",\"port\":0,\"member\":false,"
    "\"fact\":\"UDP 8521 from web-3 not heard: a firewall?\"}]}],"
    "\"services\":[{\"name\":\"web\",\"status\":\"passing\",\"known\":true,\"checks\":["
    "{"
    "\"name\":\"page\",\"type\":\"http\",\"status\":\"passing\",\"known\":true,"
    "\"reason\":\"ok\",\"output\":\"200 OK\\nmore\",\"runs\":12}]},{\"name\":\"idle\","
    "\"status\":\"passing\",\"known\":true,\"checks\":[]}],\"checks\":[{\"name\":"
    "\"disk\","
    "\"type\":\"script\",\"status\":\"critical\",\"known\":false,\"reason\":\"ok\","
    "\"output\":\"\",\"runs\":0}]}";

struct state {
	bool moved, full, asked;
	const char *fence; /* its members */
	char maintenance[256];
	unsigned int *looks; /* how often a status was asked for */
	struct control *control;
	struct loop_timer *reloaded;
	uint64_t reload; /* the first is taken, the second is not */
};

/* The server's answers: web-1 has the role until a switchover was asked for. */
static cJSON *
on_status(void *arg)
{
	const struct state *state = arg;
	const char *master = state->moved ? "web-2" : "web-1";
	char *text AUTO_FREE =
	    xasprintf(status_text, state->fence, state->full ? "false" : "true",
		state->full ? "\"error\":\"No space left on device\"," : "",
		state->maintenance, master, master);

	++*state->looks;
	return cJSON_Parse(text);
}

static int
on_switchover(void *arg, const char *role, const char *to, char *why, size_t size)
{
	str_copy(why, size, "no candidate is ready");
	if (strcmp(to, "web-9") == 0)
		return -ENOENT;
	((struct state *)arg)->moved = true;
	return 0;
}

static int
on_init(void *arg, const char *role, char *why, size_t size)
{
	str_copy(why, size, "the register is there");
	return strcmp(role, "web") == 0 ? -EEXIST : 0;
}

static int
on_pause(void *arg, const char *role, bool on, const char *who, const char *reason,
    char *why, size_t size)
{
	str_copy(why, size, "it is not paused");
	return on && strcmp(reason, "new switch") == 0 && who[0] != '\0' ? 0 : -EINVAL;
}

static cJSON *
on_explain(void *arg, const char *role, char *why, size_t size)
{
	str_copy(why, size, "there is no role of that name here");
	if (strcmp(role, "web") != 0)
		return NULL;
	return cJSON_Parse("{\"role\":\"web\",\"lines\":[\"one\",\"two\"]}");
}

static int
on_force(void *arg, uint64_t request, const char *role, const char *to,
    const char *fenced, char *why, size_t size)
{
	const struct state *state = arg;
	bool good = strcmp(to, "web-2") == 0 && strcmp(fenced, "web-1") == 0;

	control_answer(state->control, request, good,
	    good ? "web-2 has it now" : "web-1 is the one to be fenced");
	return 0;
}

static int
on_rotate(void *arg, char *why, size_t size)
{
	return 0;
}

static int
on_report(void *arg, const char *check, enum check_status status, const char *output,
    char *why, size_t size)
{
	str_copy(why, size, "another outcome was expected");
	return strcmp(check, check_status_name(status)) == 0 &&
		strcmp(output, "said so") == 0
	    ? 0
	    : -EINVAL;
}

/* Any maintenance is of "web", and stays; what is for "full" is not kept. */
static int
on_maintenance(void *arg, const char *service, const struct control_maintenance *wanted,
    char *why, size_t size)
{
	struct state *state = arg;

	str_copy(why, size, "there is no service of that name here");
	if (service != NULL && strcmp(service, "none") == 0)
		return -ENOENT;
	state->full = service != NULL && strcmp(service, "full") == 0;
	snprintf(state->maintenance, sizeof(state->maintenance),
	    "{\"service\":\"web\",\"by\":\"lictor\",\"who\":\"%s\",\"reason\":\"%s for "
	    "%lld\"},{\"by\":\"consul\",\"reason\":\"\"}",
	    wanted->who, wanted->reason, (long long)wanted->span_ms);
	if (!wanted->on)
		state->maintenance[0] = '\0';
	return 0;
}

/* The first finds nobody who is ready, the second gives the role away. */
static int
on_handover(void *arg, bool on, char *why, size_t size)
{
	struct state *state = arg;

	str_copy(why, size, "lictor stops");
	if (!on)
		return -ESHUTDOWN;
	state->moved = state->asked;
	state->asked = true;
	return 0;
}

static int
on_reload(void *arg, uint64_t request, char *why, size_t size)
{
	struct state *state = arg;

	state->reload = request;
	loop_timer_after(state->reloaded, 20);
	return 0;
}

static void
on_reloaded(void *arg)
{
	struct state *state = arg;
	bool good = state->reload == 1;

	control_answer(state->control, state->reload, good,
	    good ? "reloaded: 1 check added" : "web.conf:7: what is this?");
}

static void
serve(int listener, const char *fence, unsigned int *looks)
{
	struct state state = { .fence = fence, .looks = looks };
	struct control_out out = { .status = on_status,
		.switchover = on_switchover,
		.init = on_init,
		.pause = on_pause,
		.explain = on_explain,
		.force = on_force,
		.rotate = on_rotate,
		.report = on_report,
		.maintenance = on_maintenance,
		.handover = on_handover,
		.reload = on_reload,
		.upgrade = on_reload,
		.arg = &state };
	struct loop *loop = loop_new();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	state.reloaded = loop_timer_new(loop, on_reloaded, &state);
	state.control = control_new(loop, listener, &out);
	loop_run(loop);
	_exit(0);
}

struct bench {
	char dir[40], path[64], out[64], err[64];
	pid_t server;
	unsigned int *looks; /* shared with it */
};

static void
bench_open_with(struct bench *bench, const char *fence)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*bench = (struct bench){ .dir = "/tmp/lictor-test-XXXXXX" };
	CU_ASSERT_FATAL(mkdtemp(bench->dir) != NULL);
	bench->looks = mmap(NULL, sizeof(*bench->looks), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(bench->looks != MAP_FAILED);
	snprintf(bench->path, sizeof(bench->path), "%s/lictor.sock", bench->dir);
	snprintf(bench->out, sizeof(bench->out), "%s/out", bench->dir);
	snprintf(bench->err, sizeof(bench->err), "%s/err", bench->dir);
	str_copy(address.sun_path, sizeof(address.sun_path), bench->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CU_ASSERT_FATAL(listen(fd, 16) == 0);
	fflush(stdout);
	bench->server = fork();
	if (bench->server == 0)
		serve(fd, fence, bench->looks);
	close(fd);
}

static void
bench_open(struct bench *bench)
{
	bench_open_with(bench, "\"kind\":\"unknown\"");
}

static void
bench_close(struct bench *bench)
{
	kill(bench->server, SIGKILL);
	waitpid(bench->server, NULL, 0);
	munmap(bench->looks, sizeof(*bench->looks));
	unlink(bench->path);
	unlink(bench->out);
	unlink(bench->err);
	CU_ASSERT(rmdir(bench->dir) == 0);
}

/* Runs the tool in a process of its own; its exit status. */
static int
run(struct bench *bench, char *const *words)
{
	char *argv[12] = { (char *)"lictorctl", (char *)"--socket", bench->path };
	int argc = 3, status = -1;

	while (*words != NULL)
		argv[argc++] = *words++;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		if (freopen(bench->out, "w", stdout) == NULL ||
		    freopen(bench->err, "w", stderr) == NULL)
			_exit(99);
		optind = 1;
		int rc = ctl_main(argc, argv);
		fflush(NULL);
		_exit(rc);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
slurp(const char *path, char *text, size_t size)
{
	FILE *file AUTO_FCLOSE = fopen(path, "r");

	CU_ASSERT_FATAL(file != NULL);
	text[fread(text, 1, size - 1, file)] = '\0';
}

#define WORDS(...) ((char *const[]){ __VA_ARGS__, NULL })
#define W(text) ((char *)(text))

static const struct {
	const char *members, *line;
} fences[] = {
	{ "\"kind\":\"unknown\"", "fence: not known yet, no role begins before it is" },
	{ "\"kind\":\"bpf\",\"ok\":true,\"why\":\"this host can have it\","
	  "\"lease_ms\":1000,\"late_ms\":10",
	    "fence: bpf, because this host can have it; lease 1000 ms, at most 10 ms "
	    "late" },
	{ "\"kind\":\"bpf\",\"ok\":false,\"why\":\"tun0 cannot be fenced\","
	  "\"lease_ms\":1000,\"late_ms\":10",
	    "fence: bpf cannot be had, no address can be held: tun0 cannot be "
	    "fenced" },
};

static void
test_status_table(void)
{
	static const char wanted[] =
	    "lictor 1 on web-1: Consul at http://127.0.0.1:8500 answers and is being "
	    "told\n"
	    "%s\n"
	    "\n"
	    "ROLE  STATE   READY  TERM  WHY      MASTER  CANDIDATES                    "
	    "   "
	    "ADDRESSES\n"
	    "web   master  yes    17    elected  web-1   web-1 100, web-2 50 (not "
	    "ready)  "
	    "10.0.0.100 on eth0 (here)\n"
	    "web: paused by bob: new switch\n"
	    "\n"
	    "ROLE  PEER   ADDRESS        MEMBER  HEARD      ANSWERED  TRIP\n"
	    "web   web-2  10.0.0.2 8521  yes     0.4 s ago  2 h ago   0.3 ms\n"
	    "web   web-3  -              no      never      never     -\n"
	    "UDP 8521 from web-3 not heard: a firewall?\n"
	    "\n"
	    "SERVICE  STATUS   CHECK  TYPE    STATUS         REASON  RUNS  OUTPUT\n"
	    "web      passing  page   http    passing        ok      12    200 OK\n"
	    "idle     passing  -      -       -              -       -     -\n"
	    "(node)   -        disk   script  not known yet  -       -     -\n";
	char text[4096];

	for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
		struct bench bench;
		AUTO_FREE char *all = xasprintf(wanted, fences[i].line);
		bench_open_with(&bench, fences[i].members);
		CU_ASSERT(run(&bench, WORDS(W("status"))) == 0);
		slurp(bench.out, text, sizeof(text));
		CU_ASSERT_STRING_EQUAL(text, all);
		bench_close(&bench);
	}
}

static void
test_status_json(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("status"), W("--json"))) == 0);
	slurp(bench.out, text, sizeof(text));
	cJSON *status AUTO_JSON = json_parse(text, strcspn(text, "\n"));
	CU_ASSERT_STRING_EQUAL(json_text(status, "node"), "web-1");
	bench_close(&bench);
}

/* Lines of which each is an object; -1: one is none. */
static int
count_json(const char *text)
{
	int count = 0;

	for (const char *line = text; *line != '\0'; count++) {
		size_t len = strcspn(line, "\n");
		cJSON *object AUTO_JSON = json_parse(line, len);
		if (!cJSON_IsObject(object))
			return -1;
		line += len + 1;
	}
	return count;
}

static void
test_switchover(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("switchover"), W("web"), W("web-9"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "lictorctl: no candidate is ready\n");
	CU_ASSERT(run(&bench, WORDS(W("switchover"), W("web"))) == 0);
	slurp(bench.out, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " ms  asked\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " ms  web-1 has given the role away\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " ms  web-2 has taken it\n"));
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(text, "\nweb-2 is master of web now, web-1 was; it took "));
	bench_close(&bench);
	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("--json"), W("switchover"), W("web"))) == 0);
	slurp(bench.out, text, sizeof(text));
	CU_ASSERT(count_json(text) >= 4);
	bench_close(&bench);
	bench_open(&bench); /* web-2 takes it */
	CU_ASSERT(run(&bench, WORDS(W("switchover"), W("web"), W("web-3"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "lictorctl: it is not web-3 that has taken it\n");
	bench_close(&bench);
	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("switchover"), W("web"), W("web-2"))) == 0);
	bench_close(&bench);
}

/* A master is at work on the very move that it is asked about: no more than each 5 ms. */
static void
test_pace(void)
{
	struct bench bench;
	int64_t began = clock_boot_ms();

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("switchover"), W("web"))) == 0);
	int64_t took = clock_boot_ms() - began;
	/* all but the one before it is asked to move, and the first after that */
	CU_ASSERT(*bench.looks > 2);
	CU_ASSERT(5 * (int64_t)(*bench.looks - 2) <= took);
	bench_close(&bench);
}

static void
test_reload(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("reload"))) == 0);
	slurp(bench.out, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "reloaded: 1 check added\n");
	CU_ASSERT(run(&bench, WORDS(W("reload"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "lictorctl: web.conf:7: what is this?\n");
	CU_ASSERT(run(&bench, WORDS(W("reload"), W("now"))) == 2);
	bench_close(&bench);
}

static void
test_handover(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("handover"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(
	    text, "lictorctl: web stays here: no other host is ready for it\n");
	CU_ASSERT(run(&bench, WORDS(W("handover"), W("--json"))) == 0);
	slurp(bench.out, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "{\"ok\":true}\n");
	CU_ASSERT(run(&bench, WORDS(W("handover"))) == 0);
	slurp(bench.out, text, sizeof(text));
	CU_ASSERT_NSTRING_EQUAL(text, "this host has no role; it took ", 31);
	CU_ASSERT(run(&bench, WORDS(W("handover"), W("off"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "lictorctl: lictor stops\n");
	CU_ASSERT(run(&bench, WORDS(W("handover"), W("on"))) == 2);
	bench_close(&bench);
}

/* {"role": {state, fence, leaving, …}} in all ways that count. */
static void
test_handover_view(void)
{
	static const struct {
		const char *fence, *peer;
		bool ready, leaving;
		int here, going;
	} rows[] = {
		{ "a", "b", true, false, 1, 1 },
		{ "a", "b", false, false, 1, 0 },
		{ "a", "b", false, true, 1, 1 },
		{ "a", "a", true, false, 1, 0 },
		{ "b", "b", true, true, 0, 0 },
		{ "", "b", true, false, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *text AUTO_FREE = xasprintf(
		    "{\"node\":\"a\",\"roles\":[{\"name\":\"web\",\"fence\":\"%s\","
		    "\"leaving\":%s,\"candidates\":[{\"node\":\"%s\",\"ready\":%s}]}]}",
		    rows[i].fence, rows[i].leaving ? "true" : "false", rows[i].peer,
		    rows[i].ready ? "true" : "false");
		cJSON *status AUTO_JSON = cJSON_Parse(text);
		struct handover_view view;

		handover_look(status, &view);
		CU_ASSERT_EQUAL(view.here, rows[i].here);
		CU_ASSERT_EQUAL(view.going, rows[i].going);
		CU_ASSERT_EQUAL(view.leaving, rows[i].here > 0 && rows[i].leaving);
		CU_ASSERT_EQUAL(view.why[0] != '\0', rows[i].here > 0);
	}
}

static void
test_policy(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	CU_ASSERT(
	    run(&bench, WORDS(W("pause"), W("web"), W("-r"), W("new switch"))) == 0);
	CU_ASSERT(run(&bench, WORDS(W("resume"), W("web"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "lictorctl: it is not paused\n");
	CU_ASSERT(run(&bench, WORDS(W("resume"), W("web"), W("-r"), W("x"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("explain"), W("web"))) == 0);
	slurp(bench.out, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "one\ntwo\n");
	CU_ASSERT(run(&bench, WORDS(W("--json"), W("explain"), W("web"))) == 0);
	slurp(bench.out, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(
	    text, "{\"role\":\"web\",\"lines\":[\"one\",\"two\"]}\n");
	CU_ASSERT(run(&bench, WORDS(W("explain"), W("db"))) == 1);
	CU_ASSERT(run(&bench, WORDS(W("key"), W("rotate"))) == 0);
	CU_ASSERT(run(&bench, WORDS(W("key"), W("lose"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("upgrade"))) == 1);
	bench_close(&bench);
}

static void
test_failover(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("failover"), W("web"), W("web-2"))) == 2);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "needs --i-have-fenced NODE"));
	CU_ASSERT(run(&bench,
		      WORDS(W("failover"), W("web"), W("web-2"), W("--i-have-fenced"),
			  W("web-1"))) == 0);
	slurp(bench.out, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "web-2 has it now\n");
	CU_ASSERT(run(&bench,
		      WORDS(W("failover"), W("web"), W("web-2"), W("--i-have-fenced"),
			  W("web-3"))) == 1);
	CU_ASSERT(
	    run(&bench, WORDS(W("status"), W("--i-have-fenced"), W("web-1"))) == 2);
	bench_close(&bench);
}

static void
test_init(void)
{
	struct bench bench;

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("init"), W("web"))) == 1);
	CU_ASSERT(run(&bench, WORDS(W("init"), W("db"))) == 0);
	CU_ASSERT(run(&bench, WORDS(W("pass"), W("passing"), W("said so"))) == 0);
	CU_ASSERT(run(&bench, WORDS(W("warn"), W("warning"), W("said so"))) == 0);
	CU_ASSERT(run(&bench, WORDS(W("fail"), W("critical"), W("said so"))) == 0);
	CU_ASSERT(run(&bench, WORDS(W("fail"), W("critical"))) == 1);
	bench_close(&bench);
}

static void
expect_out(struct bench *bench, const char *wanted)
{
	char text[4096];

	slurp(bench->out, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, wanted));
	if (strstr(text, wanted) == NULL)
		printf("# expected %s in %s\n", wanted, text);
}

static void
test_maintenance(void)
{
	struct bench bench;
	char text[4096];

	setenv("SUDO_USER", "alice", 1);
	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("maintenance"))) == 0);
	expect_out(&bench, "nothing is in maintenance\n");
	CU_ASSERT(run(&bench,
		      WORDS(W("maintenance"), W("on"), W("web"), W("--for"), W("30m"),
			  W("--reason"), W("new disk"))) == 0);
	expect_out(&bench,
	    "SERVICE       UNTIL  BY      REASON\n"
	    "web           -      alice   new disk for 1800000\n"
	    "(whole host)  -      Consul  -\n");
	CU_ASSERT(run(&bench, WORDS(W("status"))) == 0);
	expect_out(&bench, "web      passing, maintenance  page ");
	CU_ASSERT(run(&bench, WORDS(W("maintenance"), W("--json"))) == 0);
	expect_out(&bench, "{\"kept\":true,\"list\":[{\"service\":\"web\"");
	CU_ASSERT(run(&bench, WORDS(W("maintenance"), W("off"))) == 0);
	expect_out(&bench, "nothing is in maintenance\n");
	CU_ASSERT(run(&bench, WORDS(W("maintenance"), W("on"), W("none"))) == 1);
	CU_ASSERT(run(&bench, WORDS(W("maintenance"), W("on"), W("full"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text,
	    "lictorctl: it counts, but a restart forgets it: No space left on "
	    "device\n");
	bench_close(&bench);
}

static void
test_maintenance_usage(void)
{
	struct bench bench;

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("maintenance"), W("over"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("maintenance"), W("on"), W("-f"), W("5"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("maintenance"), W("on"), W("-f"), W("0s"))) == 2);
	CU_ASSERT(
	    run(&bench, WORDS(W("maintenance"), W("on"), W("-f"), W("9000h"))) == 2);
	CU_ASSERT(
	    run(&bench, WORDS(W("maintenance"), W("off"), W("-f"), W("5s"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("maintenance"), W("-r"), W("text"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("status"), W("-r"), W("text"))) == 2);
	bench_close(&bench);
}

static void
test_wrong_usage(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	CU_ASSERT(run(&bench, WORDS(W("fly"))) == 2);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT(strncmp(text, "lictorctl: \"fly\" is no command", 30) == 0);
	CU_ASSERT(run(&bench, WORDS(W("status"), W("more"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("switchover"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("init"), W("a"), W("b"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("--fast"), W("status"))) == 2);
	CU_ASSERT(run(&bench, WORDS(W("--help"))) == 0);
	bench_close(&bench);
}

static void
test_full_disk(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	CU_ASSERT(symlink("/dev/full", bench.out) == 0);
	CU_ASSERT(run(&bench, WORDS(W("status"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT(strstr(text, "standard output") != NULL);
	bench_close(&bench);
}

static void
test_nobody_there(void)
{
	struct bench bench;
	char text[4096];

	bench_open(&bench);
	unlink(bench.path);
	CU_ASSERT(run(&bench, WORDS(W("status"))) == 1);
	slurp(bench.err, text, sizeof(text));
	CU_ASSERT(strstr(text, "is lictord running?") != NULL);
	bench_close(&bench);
}

static const struct tap_case cases[] = {
	{ "status prints the tables", test_status_table },
	{ "status --json prints the object", test_status_json },
	{ "switchover says why not, or waits until it is seen", test_switchover },
	{ "a switchover is looked at each 5 ms", test_pace },
	{ "pause, resume, explain and keys", test_policy },
	{ "failover needs an oath", test_failover },
	{ "a reload is waited for", test_reload },
	{ "handover", test_handover },
	{ "how far a handover is", test_handover_view },
	{ "init says why not", test_init },
	{ "maintenance is begun, shown and ended", test_maintenance },
	{ "what maintenance does not take", test_maintenance_usage },
	{ "wrong usage ends with 2", test_wrong_usage },
	{ "an answer that cannot be written ends with 1", test_full_disk },
	{ "without a lictord it says so", test_nobody_there },
};
TAP_MAIN("lictorctl", cases)
