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
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/blackbox.h"
#include "agent/base/util.h"
#include "agent/conf/fault.h"

/* Shared by the two: what the copy found. */
struct result {
	volatile bool done; /* else it ended before it could say */
	int value;
	char error[CONF_ERROR_MAX];
};

struct trial {
	const struct conf *conf;
	struct blackbox *box;
	struct result *result;
	pid_t pid; /* 0: it was reaped */
	int pidfd;
};

/* In the copy, which has memory of its own: what it takes over and leaves is no matter. What
 * was open and what signals do is not for a plugin to meet with. SIGHUP and SIGUSR2 may be
 * sent to all that is named lictord. */
static _Noreturn void
try(const struct trial *trial)
{
	struct conf_loading loading = { .strict = true, .blackbox = trial->box };
	struct result *result = trial->result;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	syscall(SYS_close_range, 3, ~0U, 0);
	if (conf_load(trial->conf->bundle, &loading, result->error) == NULL)
		result->value = -1;
	result->done = true;
	_exit(0);
}

/* It ends, by itself or not; how, in words. */
static void
reap(struct trial *trial, bool ended, char *how, size_t size)
{
	int status = 0;

	if (!ended)
		kill(trial->pid, SIGKILL);
	while (waitpid(trial->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	trial->pid = 0;
	if (!ended)
		snprintf(
		    how, size, "did not return within %d s", TRIAL_LIMIT_MS / 1000);
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

static bool
has_ended(const struct trial *trial, int limit_ms)
{
	struct pollfd end = { .fd = trial->pidfd, .events = POLLIN };
	int ready;

	while ((ready = poll(&end, 1, limit_ms)) < 0 && errno == EINTR)
		continue;
	return ready > 0;
}

/* 0 or -errno. */
static int
begin(struct trial *trial)
{
	trial->pid = fork();
	if (trial->pid == 0)
		try(trial);
	if (trial->pid > 0)
		trial->pidfd = (int)syscall(SYS_pidfd_open, trial->pid, 0);
	return trial->pidfd < 0 ? -errno : 0;
}

struct trial *
trial_start(const struct conf *conf, char error[CONF_ERROR_MAX])
{
	struct trial *trial = xcalloc(1, sizeof(*trial));

	trial->conf = conf;
	trial->pidfd = -1;
	trial->box = blackbox_new();
	trial->result = mmap(NULL, sizeof(*trial->result), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (trial->result == MAP_FAILED)
		out_of_memory();
	int result = begin(trial);
	if (result == 0)
		return trial;
	fault_set(error, conf->plugins[0]->file, conf->plugins[0]->line,
	    "plugins: they cannot be tried (%s), expected a process for it",
	    strerror(-result));
	trial_free(trial);
	return NULL;
}

int
trial_fd(const struct trial *trial)
{
	return trial->pidfd;
}

int
trial_end(struct trial *trial, char error[CONF_ERROR_MAX])
{
	char how[96];

	reap(trial, has_ended(trial, 0), how, sizeof(how));
	if (!trial->result->done)
		return explain(trial->conf, blackbox_read(trial->box), how, error);
	str_copy(error, CONF_ERROR_MAX, trial->result->error);
	return trial->result->value;
}

void
trial_free(struct trial *trial)
{
	char how[96];

	if (trial == NULL)
		return;
	if (trial->pid > 0)
		reap(trial, false, how, sizeof(how));
	cleanup_close(&trial->pidfd);
	munmap(trial->result, sizeof(*trial->result));
	blackbox_free(trial->box);
	free(trial);
}

int
trial_run(const struct conf *conf, char error[CONF_ERROR_MAX])
{
	if (conf->n_plugins == 0)
		return 0;
	struct trial *trial = trial_start(conf, error);
	if (trial == NULL)
		return -1;
	has_ended(trial, TRIAL_LIMIT_MS);
	int value = trial_end(trial, error);
	trial_free(trial);
	return value;
}
