/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_START_H
#define LICTOR_START_H

/*
 * What lictord does from its first line to its last: reads the options and becomes one of
 * the three processes, or tests the configuration. Returns the exit status: 0, 1 (what is
 * wrong was said on standard error), 2 (wrong options).
 */
int start_main(int argc, char **argv);

#endif
