/* SPDX-License-Identifier: ISC */
/*
 * lictord: nothing but the way into liblictor (start.c), so that tests link all that
 * ships.
 */
#include "agent/start.h"

int
main(int argc, char **argv)
{
	return start_main(argc, argv);
}
