/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TAP_H
#define LICTOR_TAP_H

#include <CUnit/CUnit.h>
#include <stddef.h>

struct tap_case {
	const char *name;
	void (*run)(void);
};

/*
 * Runs each case as a CUnit test and prints TAP for automake's harness. The exit status is
 * 0 only if every case ran at least one assertion and none failed: it counts by itself,
 * since CUnit 2.1-3's run functions return success when assertions failed. The first
 * argument of the program, if there is one, names the only case to run.
 */
int tap_main(int argc, char **argv, const char *suite, const struct tap_case *cases,
    size_t count);

/*
 * The same for cases that wait more than they work: each in a process of its own, which is
 * this program again with the name of the case, some at a time. What a case needs is to be
 * made behind this call, and not to be shared by programs that run at once. Returns -1 if a
 * case is named, which the caller runs with tap_main then.
 */
int tap_apart(
    int argc, char **argv, const struct tap_case *cases, size_t count);

#define TAP_MAIN(suite, cases)                                                         \
	int main(int argc, char **argv)                                                \
	{                                                                              \
		return tap_main(argc, argv, suite, cases,                              \
		    sizeof(cases) / sizeof((cases)[0]));                               \
	}

#define TAP_MAIN_APART(suite, cases)                                                   \
	int main(int argc, char **argv)                                                \
	{                                                                              \
		size_t count = sizeof(cases) / sizeof((cases)[0]);                     \
		int status = tap_apart(argc, argv, cases, count);                      \
		return status >= 0 ? status                                            \
				   : tap_main(argc, argv, suite, cases, count);        \
	}

#endif
