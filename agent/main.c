/* SPDX-License-Identifier: ISC */
/* lictord's main(); all it does is in start.c, so that tests link what ships. */
#include "agent/start.h"

int
main(int argc, char **argv)
{
	return start_main(argc, argv);
}
