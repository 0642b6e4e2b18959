/* SPDX-License-Identifier: ISC */
/*
 * CUnit's assertions and registry behind automake's TAP driver. A case passes when
 * CUnit counted at least one assertion in it and no failure; anything else, a failure to set
 * up included, is "not ok" and exit status 1.
 */
#include "tests/unit/tap.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define APART_MAX 4 /* cases at a time */

static void
print_failures(void)
{
	for (const CU_FailureRecord *f = CU_get_failure_list(); f != NULL; f = f->pNext)
		printf(
		    "# %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
}

static bool
run_case(CU_pSuite suite, const struct tap_case *tc)
{
	CU_pTest test = CU_add_test(suite, tc->name, tc->run);

	if (test == NULL || CU_run_test(suite, test) != CUE_SUCCESS) {
		printf("# CUnit: %s\n", CU_get_error_msg());
		return false;
	}
	print_failures();
	if (CU_get_number_of_asserts() == 0)
		printf("# no assertion was made\n");
	return CU_get_number_of_asserts() > 0 && CU_get_number_of_failures() == 0;
}

int
tap_main(
    int argc, char **argv, const char *name, const struct tap_case *cases, size_t count)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	size_t ran = 0, failed = 0;

	umask(022); /* a configuration that a group can write is refused */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	CU_pSuite suite = CU_add_suite(name, NULL, NULL);
	for (size_t i = 0; suite != NULL && i < count; i++) {
		if (only != NULL && strcmp(only, cases[i].name) != 0)
			continue;
		bool ok = run_case(suite, &cases[i]);
		ran++;
		failed += !ok;
		printf("%s %zu - %s\n", ok ? "ok" : "not ok", ran, cases[i].name);
	}
	printf("1..%zu\n", ran);
	CU_cleanup_registry();
	return ran == 0 || failed > 0;
}

/* ---- cases apart ---- */

struct apart {
	pid_t pid;
	FILE *said;
	int status; /* of the process that ended */
};

static bool
apart_start(struct apart *apart, char *program, const char *name)
{
	char *argv[] = { program, (char *)name, NULL };

	apart->said = tmpfile();
	if (apart->said == NULL)
		return false;
	apart->pid = fork();
	if (apart->pid == 0) {
		dup2(fileno(apart->said), STDOUT_FILENO);
		dup2(fileno(apart->said), STDERR_FILENO);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	return apart->pid > 0;
}

/* All that the case said but its own TAP, as comments; `skip`: why it was not run, or "". */
static void
apart_repeat(FILE *said, char *skip, size_t size)
{
	char line[1024];

	rewind(said);
	while (fgets(line, sizeof(line), said) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "1..0 ", 5) == 0)
			snprintf(skip, size, " %s", line + 5);
		else if (strncmp(line, "ok ", 3) != 0 &&
		    strncmp(line, "not ok ", 7) != 0 && strncmp(line, "1..", 3) != 0)
			printf("%s%s\n", line[0] == '#' ? "" : "# ", line);
	}
}

static bool
apart_tell(struct apart *apart, size_t number, const char *name)
{
	bool ok = apart->pid > 0 && WIFEXITED(apart->status) &&
	    WEXITSTATUS(apart->status) == 0;
	char skip[1024] = "";

	if (apart->said != NULL) {
		apart_repeat(apart->said, skip, sizeof(skip));
		fclose(apart->said);
	}
	printf("%s %zu - %s%s\n", ok ? "ok" : "not ok", number, name, skip);
	return ok;
}

/* Some other child may be reaped in its place only if the program had one before. */
static void
apart_wait(struct apart *all, size_t count)
{
	int status;
	pid_t pid = wait(&status);

	for (size_t i = 0; i < count; i++)
		if (pid > 0 && all[i].pid == pid)
			all[i].status = status;
}

int
tap_apart(int argc, char **argv, const struct tap_case *cases, size_t count)
{
	size_t failed = 0;

	if (argc > 1)
		return -1;
	struct apart *all = calloc(count, sizeof(*all));
	if (all == NULL)
		return 1;
	umask(022); /* a configuration that a group can write is refused */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < count; i++) {
		if (i >= APART_MAX)
			apart_wait(all, i);
		all[i].status = -1;
		apart_start(&all[i], argv[0], cases[i].name);
	}
	for (size_t i = 0; i < APART_MAX && i < count; i++)
		apart_wait(all, count);
	for (size_t i = 0; i < count; i++)
		failed += !apart_tell(&all[i], i + 1, cases[i].name);
	printf("1..%zu\n", count);
	free(all);
	return failed > 0;
}
