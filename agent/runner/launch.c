/* SPDX-License-Identifier: ISC */
/*
 * From a configured command to a running program: its user, its argument list and environment
 * in the form that exec takes, a pipe for its output. How the process is made is spawn.c's;
 * what becomes of it is job.c's.
 */
#include "agent/runner/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/net.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/runner/account.h"
#include "agent/runner/spawn.h"
#include "agent/runner/words.h"

#define PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct launcher {
	struct spawner *spawner;
	struct accounts *accounts;
	int descriptor_end; /* net_descriptor_end */
	struct words argv, environment; /* of the one that is being started */
};

static void
make_words(struct launcher *launcher, const struct launch *launch,
    const struct account *account)
{
	const struct conf_command *command = launch->command;
	const char *const base[] = { "PATH=" PATH, "LANG=C.UTF-8", NULL };
	struct words *argv = &launcher->argv, *environment = &launcher->environment;

	argv->len = environment->len = 0;
	words_add(argv, (const char *const *)command->argv);
	words_add(argv, (const char *const *)launch->arguments);
	words_set(environment, base);
	words_set(environment, (const char *const *)account->environment);
	words_set(environment, (const char *const *)command->environment);
	words_set(environment, (const char *const *)launch->environment);
}

static int
spawn(struct launcher *launcher, const struct launch *launch,
    const struct account *account, int output, struct launched *launched,
    const char **step)
{
	const struct conf_command *command = launch->command;
	struct spawn spawn = {
		.argv = (char *const *)launcher->argv.text,
		.environment = (char *const *)launcher->environment.text,
		.directory = command->directory != NULL ? command->directory : "/",
		.output_fd = output,
		.cgroup_fd = launch->cgroup_fd,
		.account = account->change ? account : NULL,
		.memory = command->memory,
		.processes = launch->counted ? 0 : command->processes,
		.files = command->files,
		.mark = launch->mark,
		.expendable = command->kind == CONF_COMMAND_CHECK,
	};

	return spawner_start(
	    launcher->spawner, &spawn, &launched->pid, &launched->pidfd, step);
}

int
launcher_start(struct launcher *launcher, const struct launch *launch,
    struct launched *launched, const char **step)
{
	int fds[2], error = 0;
	const struct account *account =
	    accounts_find(launcher->accounts, launch->command->user, &error);

	*step = error == -EPERM ? "become its user, for lictord does not run as root"
				: "find its user";
	if (account == NULL)
		return error;
	*step = "open a pipe";
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	if (fds[0] >= launcher->descriptor_end || fds[1] >= launcher->descriptor_end) {
		close(fds[0]);
		close(fds[1]);
		return -EMFILE;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	make_words(launcher, launch, account);
	error = spawn(launcher, launch, account, fds[1], launched, step);
	close(fds[1]);
	if (error != 0)
		close(fds[0]);
	else
		launched->output_fd = fds[0];
	return error;
}

struct launcher *
launcher_new(void)
{
	struct launcher *launcher = xcalloc(1, sizeof(*launcher));

	launcher->spawner = spawner_new();
	launcher->accounts = accounts_new();
	launcher->descriptor_end = net_descriptor_end();
	return launcher;
}

void
launcher_free(struct launcher *launcher)
{
	if (launcher == NULL)
		return;
	spawner_free(launcher->spawner);
	accounts_free(launcher->accounts);
	words_cleanup(&launcher->argv);
	words_cleanup(&launcher->environment);
	free(launcher);
}
