/* SPDX-License-Identifier: ISC */
/* The adapter itself: a failed assertion, and a case without one, must not pass. */
#include "tests/unit/tap.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"

static void
passes(void)
{
	CU_ASSERT(1 == 1);
}

static void
fails(void)
{
	CU_ASSERT_STRING_EQUAL("master", "backup");
}

static void
asserts_nothing(void)
{
}

/* The exit status of a run of one case in a process of its own, quiet. */
static int
status_of(const char *name, void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		char *argv[] = { (char *)"test", NULL };
		struct tap_case only = { name, run };
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(99);
		_exit(tap_main(1, argv, "inner", &only, 1));
	}
	int status = -1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct tap_case mixed[] = {
	{ "passes", passes },
	{ "fails", fails },
	{ "asserts nothing", asserts_nothing },
	{ "dies", abort },
	{ "passes too", passes },
	{ "passes as well", passes },
};

/* What the cases of `mixed` come to when each runs apart, and how the last one reads. */
static bool
apart_works(void)
{
	static const char *const wanted[] = { "ok 1 - passes\n", "not ok 2 - fails\n",
		"not ok 3 - asserts nothing\n", "not ok 4 - dies\n",
		"ok 5 - passes too\n", "ok 6 - passes as well\n", "1..6\n" };
	char *argv[] = { (char *)"test_tap", NULL };
	FILE *said = tmpfile();
	char line[1024];
	size_t at = 0;
	int status = -1;

	if (said == NULL)
		return false;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fileno(said), STDOUT_FILENO);
		exit(tap_apart(1, argv, mixed, ARRAY_LENGTH(mixed)));
	}
	waitpid(pid, &status, 0);
	rewind(said);
	while (fgets(line, sizeof(line), said) != NULL)
		if (line[0] != '#' &&
		    (at == ARRAY_LENGTH(wanted) || strcmp(line, wanted[at++]) != 0))
			at = SIZE_MAX / 2;
	fclose(said);
	return at == ARRAY_LENGTH(wanted) && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 1;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
		int status;
	} rows[] = {
		{ "a case that passes", passes, 0 },
		{ "a failed assertion fails the program", fails, 1 },
		{ "a case without an assertion fails", asserts_nothing, 1 },
	};
	int bad = 0;

	if (argc > 1) /* one of tap_apart's */
		return tap_main(argc, argv, "mixed", mixed, ARRAY_LENGTH(mixed));
	printf("1..4\n");
	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		int ok = status_of(rows[i].name, rows[i].run) == rows[i].status;
		bad += !ok;
		printf("%s %d - %s\n", ok ? "ok" : "not ok", i + 1, rows[i].name);
		fflush(stdout);
	}
	bool apart = apart_works();
	printf("%s 4 - cases run apart come to the same\n", apart ? "ok" : "not ok");
	return bad > 0 || !apart;
}
