/* SPDX-License-Identifier: ISC */
/*
 * CUnit's assertions and registry behind automake's TAP driver. A case passes when
 * CUnit counted at least one assertion in it and no failure; anything else, a failure to set
 * up included, is "not ok" and exit status 1.
 */
#include "tests/unit/tap.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
