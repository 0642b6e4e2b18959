/* SPDX-License-Identifier: ISC */
/* => "crash" crashed with signal 11 \(Segmentation fault\) while it was loaded, expected a plugin for this lictord */
#include <signal.h>

__attribute__((constructor)) static void
crash(void)
{
	raise(SIGSEGV);
}
