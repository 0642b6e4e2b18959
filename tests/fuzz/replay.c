/* SPDX-License-Identifier: ISC */
/*
 * Stands for libFuzzer where the compiler has none: fuzz_NAME gives its target every file
 * of tests/fuzz/corpus-NAME, one TAP line each. A target that finds a fault ends the
 * process, so the plan is missing and the harness counts a failure.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)1 << 20)

static int
is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool
replay(const char *folder, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);
	AUTO_FREE char *data = xcalloc(INPUT_MAX, 1);
	AUTO_FCLOSE FILE *fp = fopen(path, "re");

	if (fp == NULL)
		return false;
	size_t len = fread(data, 1, INPUT_MAX, fp);
	/* of its own size, so that the sanitizers see a byte too far */
	AUTO_FREE uint8_t *exact = xcalloc(len > 0 ? len : 1, 1);
	memcpy(exact, data, len);
	return LLVMFuzzerTestOneInput(exact, len) == 0;
}

int
main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir"), *name = strrchr(argv[0], '_');
	struct dirent **entries = NULL;
	int failed = 0;

	if (name == NULL)
		return 1;
	AUTO_FREE char *folder =
	    xasprintf("%s/tests/fuzz/corpus-%s", top != NULL ? top : ".", name + 1);
	int n = scandir(folder, &entries, is_input, alphasort);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < n; i++) {
		bool good = replay(folder, entries[i]->d_name);
		printf(
		    "%s %d - %s\n", good ? "ok" : "not ok", i + 1, entries[i]->d_name);
		failed += !good;
		free(entries[i]);
	}
	free(entries);
	printf("1..%d\n", n > 0 ? n : 1);
	return failed > 0 || n <= 0;
}
