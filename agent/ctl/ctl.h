/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CTL_H
#define LICTOR_CTL_H

/* The operator's tool: `lictorctl [--socket PATH] [--json] COMMAND …`. Returns the exit
 * status: 0 done, 1 refused or failed, 2 wrong usage. */
int ctl_main(int argc, char **argv);

#endif
