/* SPDX-License-Identifier: ISC */
/* lictorctl's main(); the tool itself is in ctl.c, so that tests link what ships. */
#include "agent/ctl/ctl.h"

int
main(int argc, char **argv)
{
	return ctl_main(argc, argv);
}
