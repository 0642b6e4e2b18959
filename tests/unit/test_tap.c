/* SPDX-License-Identifier: ISC */
/* The adapter itself: a failed assertion, and a case without one, must not pass. */
#include "tests/unit/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

int
main(void)
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

	printf("1..3\n");
	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		int ok = status_of(rows[i].name, rows[i].run) == rows[i].status;
		bad += !ok;
		printf("%s %d - %s\n", ok ? "ok" : "not ok", i + 1, rows[i].name);
		fflush(stdout);
	}
	return bad > 0;
}
