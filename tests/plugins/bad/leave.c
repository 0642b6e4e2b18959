/* SPDX-License-Identifier: ISC */
/* => "leave" ended the process with exit status 0 while it was loaded, expected a plugin for this lictord */
#include <unistd.h>

__attribute__((constructor)) static void
leave(void)
{
	_exit(0);
}
