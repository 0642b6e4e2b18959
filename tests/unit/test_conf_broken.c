/* SPDX-License-Identifier: ISC */
/*
 * A folder's worth of trouble: each fault of tests/conf/broken.table is said in one line with
 * its place.
 */
#include "agent/conf/conf.h"

#include <ftw.h>
#include <regex.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "tests/unit/tap.h"

static const char *const variables[] = { "CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN",
	"CONSUL_HTTP_TOKEN_FILE", "CONSUL_HTTP_SSL", "CONSUL_HTTP_SSL_VERIFY",
	"CONSUL_CACERT", "CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY",
	"CONSUL_TLS_SERVER_NAME", "CONSUL_HTTP_AUTH", "CONSUL_NAMESPACE",
	"CONSUL_PARTITION", "CONSUL_CAPATH" };

static int
run(const char *program, char *const *argv)
{
	pid_t pid;
	int status = -1;

	if (posix_spawnp(&pid, program, NULL, NULL, argv, environ) == 0)
		waitpid(pid, &status, 0);
	return status;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static char *
line_of(const char *dir, const char *suffix)
{
	AUTO_FREE char *path = xasprintf("%s%s", dir, suffix);
	AUTO_FCLOSE FILE *fp = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (fp == NULL || getline(&line, &size, fp) <= 0) {
		free(line);
		return NULL;
	}
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* The line that the folder is refused with, without the folder; NULL: it is not. */
static char *
refuse(const char *dir)
{
	AUTO_FREE char *variable = line_of(dir, ".environment");
	char error[CONF_ERROR_MAX] = "";
	size_t len = strlen(dir);

	if (variable != NULL) {
		size_t name = strcspn(variable, "=");
		variable[name] = '\0';
		setenv(variable, variable + name + 1, 1);
	}
	const struct conf_loading loading = { .strict = true };
	struct conf_bundle *bundle = conf_read(dir, error);
	struct conf *conf = bundle != NULL ? conf_load(bundle, &loading, error) : NULL;
	if (variable != NULL)
		unsetenv(variable);
	if (conf != NULL) {
		conf_free(conf);
		return NULL;
	}
	return xstrdup(strncmp(error, dir, len) == 0 ? error + len + 1 : error);
}

static bool
matches(const char *expression, const char *line)
{
	AUTO_FREE char *whole_line = xasprintf("^(%s)$", expression);
	regex_t regex;

	if (line == NULL || regcomp(&regex, whole_line, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	int result = regexec(&regex, line, 0, NULL, 0);
	regfree(&regex);
	return result == 0;
}

static bool
run_broken(const char *work, int number)
{
	AUTO_FREE char *dir = xasprintf("%s/%d", work, number);
	AUTO_FREE char *setup = xasprintf("cd '%s' && sh -e ../%d.setup", dir, number);
	AUTO_FREE char *name = line_of(dir, ".name");
	AUTO_FREE char *expected = line_of(dir, ".expect");
	AUTO_FREE char *commands = line_of(dir, ".setup");
	char *argv[] = { (char *)"sh", (char *)"-c", setup, NULL };

	if (name == NULL)
		return false;
	if (commands != NULL && run("sh", argv) != 0)
		CU_FAIL("the case cannot be set up");
	AUTO_FREE char *line = refuse(dir);
	if (expected == NULL || !matches(expected, line)) {
		printf("# %s: %s\n#   expected %s\n", name,
		    line != NULL ? line : "accepted",
		    expected != NULL ? expected : "?");
		CU_FAIL("not the line expected");
	}
	return true;
}

static void
every_broken_configuration_is_refused(void)
{
	char work[] = "/tmp/lictor-conf.XXXXXX";
	const char *top = getenv("top_srcdir");
	int count = 0;

	if (top == NULL)
		top = ".";
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(work));
	CU_ASSERT_EQUAL(chmod(work, 0755), 0); /* for the agent's user */
	for (size_t i = 0; i < ARRAY_LENGTH(variables); i++)
		unsetenv(variables[i]);
	AUTO_FREE char *out = xasprintf("out=%s", work);
	AUTO_FREE char *program = xasprintf("%s/tests/conf/unpack.awk", top);
	AUTO_FREE char *table = xasprintf("%s/tests/conf/broken.table", top);
	char *argv[] = { (char *)"awk", (char *)"-v", out, (char *)"-f", program, table,
		NULL };
	CU_ASSERT_EQUAL(run("awk", argv), 0);
	while (run_broken(work, count + 1))
		count++;
	CU_ASSERT(count >= 100);
	nftw(work, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const struct tap_case cases[] = {
	{ "every broken configuration is refused",
	    every_broken_configuration_is_refused },
};

TAP_MAIN("conf_broken", cases)
