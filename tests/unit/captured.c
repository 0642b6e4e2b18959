/* SPDX-License-Identifier: ISC */
/* The log of the test's own process, for what is to be said once and not again. */
#include "tests/unit/captured.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"

int
capture_log(void)
{
	int log = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int keep = fcntl(2, F_DUPFD_CLOEXEC, 3);

	CU_ASSERT_TRUE_FATAL(log >= 0 && keep >= 0);
	dup2(log, 2);
	close(log);
	return keep;
}

void
release_log(int keep, char *out, size_t size)
{
	ssize_t len = pread(2, out, size - 1, 0);

	out[len > 0 ? len : 0] = '\0';
	dup2(keep, 2);
	close(keep);
	fputs(out, stderr);
}

unsigned int
count_words(const char *text, const char *word)
{
	unsigned int n = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		n++;
	}
	return n;
}
