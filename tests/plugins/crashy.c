/* SPDX-License-Identifier: ISC */
/*
 * A type of check that is well until a file says otherwise: its first word is what the next
 * run does. "crash" is a signal, "exit" ends the process, "hang" never returns, "critical"
 * is an outcome. With prepare = "crash", "hang" or "refuse" it does so when the options are
 * looked at.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checks/check.h"

struct conf {
	char *file, *prepare;
};

static const struct check_option options[] = {
	{ "file", CHECK_OPTION_TEXT, offsetof(struct conf, file), .required = true },
	{ "prepare", CHECK_OPTION_TEXT, offsetof(struct conf, prepare), .value = "" },
	{ NULL },
};

static void
act(const char *word)
{
	if (strcmp(word, "crash") == 0)
		raise(SIGSEGV);
	if (strcmp(word, "exit") == 0)
		_exit(3);
	while (strcmp(word, "hang") == 0)
		pause();
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	const struct conf *own = conf;

	act(own->prepare);
	if (strcmp(own->prepare, "refuse") != 0)
		return 0;
	*option = "prepare";
	snprintf(why, why_size, "it is refused, expected another word");
	return -1;
}

static void
start(struct check_run *run)
{
	const struct conf *conf = check_conf(run);
	char word[16] = "";
	FILE *fp = fopen(conf->file, "re");

	if (fp != NULL) {
		if (fscanf(fp, "%15s", word) != 1)
			word[0] = '\0';
		fclose(fp);
	}
	act(word);
	if (strcmp(word, "critical") == 0)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE, "the file says so");
	else
		check_done(run, CHECK_PASSING, CHECK_REASON_OK, "well");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "crashy",
	.help = "does what a file says, for tests of what a plugin may do to lictord",
	.conf_size = sizeof(struct conf),
	.options = options,
	.prepare = prepare,
	.start = start,
};
