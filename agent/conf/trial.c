/* SPDX-License-Identifier: ISC */
/*
 * Plugins tried before anything depends on them. What is wrong with one, or with the options
 * that only it can judge, is to be said to the person who starts lictord, with file and line,
 * before anything runs; but the process that says it must never have had a plugin in it. So a
 * copy of it loads them and dies, and if that was the plugin's doing the blackbox tells whose.
 */
#include "agent/conf/trial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/blackbox.h"
#include "agent/base/util.h"
#include "agent/conf/fault.h"

#define LIMIT_MS 10000

/* Shared by the two: what the copy found. */
struct result {
	volatile bool done; /* else it ended before it could say */
	int value;
	char error[CONF_ERROR_MAX];
};

/* In the copy, which has memory of its own: what it takes over and leaves is no matter. */
static _Noreturn void
try(const struct conf *conf, struct blackbox *box, struct result *result)
{
	struct conf_loading loading = { .strict = true, .blackbox = box };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (conf_load(conf->bundle, &loading, result->error) == NULL)
		result->value = -1;
	result->done = true;
	_exit(0);
}

/* How it ended, in words; it is killed at the limit. */
static void
wait_for(pid_t pid, char *how, size_t size)
{
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = pidfd, .events = POLLIN };
	int status = 0, ready = 0;

	while (pidfd >= 0 && (ready = poll(&end, 1, LIMIT_MS)) < 0 && errno == EINTR)
		continue;
	if (ready <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (ready <= 0)
		snprintf(how, size, "did not return within %d s", LIMIT_MS / 1000);
	else if (WIFSIGNALED(status))
		snprintf(how, size, "crashed with signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(how, size, "ended the process with exit status %d",
		    WEXITSTATUS(status));
}

static int
explain(const struct conf *conf, struct blackbox_note note, const char *how,
    char error[CONF_ERROR_MAX])
{
	if (note.place == BLACKBOX_PLUGIN && note.index < conf->n_plugins) {
		const struct conf_plugin *plugin = conf->plugins[note.index];
		return fault_set(error, plugin->file, plugin->line,
		    "plugins: \"%s\" %s while it was loaded, expected a plugin for "
		    "this lictord",
		    plugin->name, how);
	}
	if (note.place == BLACKBOX_CHECK && note.index < conf->n_checks) {
		const struct conf_check *check = conf->checks[note.index];
		return fault_set(error, check->file, check->line,
		    "%s \"%s\": the plugin %s while it looked at the options, expected "
		    "it to judge them",
		    check->class->name, check->name, how);
	}
	return fault_set(error, conf->plugins[0]->file, conf->plugins[0]->line,
	    "plugins: the process that tried them %s, expected it to find nothing "
	    "wrong",
	    how);
}

static int
run(const struct conf *conf, struct blackbox *box, struct result *result,
    char error[CONF_ERROR_MAX])
{
	char how[96];
	pid_t pid = fork();

	if (pid == 0)
		try(conf, box, result);
	if (pid < 0)
		return fault_set(error, conf->plugins[0]->file, conf->plugins[0]->line,
		    "plugins: they cannot be tried (%s), expected a process for it",
		    strerror(errno));
	wait_for(pid, how, sizeof(how));
	if (!result->done)
		return explain(conf, blackbox_read(box), how, error);
	str_copy(error, CONF_ERROR_MAX, result->error);
	return result->value;
}

int
trial_run(const struct conf *conf, char error[CONF_ERROR_MAX])
{
	if (conf->n_plugins == 0)
		return 0;
	struct blackbox *box = blackbox_new();
	struct result *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (result == MAP_FAILED)
		out_of_memory();
	int value = run(conf, box, result, error);
	munmap(result, sizeof(*result));
	blackbox_free(box);
	return value;
}
