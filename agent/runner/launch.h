/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LAUNCH_H
#define LICTOR_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct conf_command;

/* What starts of commands share: the users that were looked up, memory for lists. */
struct launcher;
struct launcher *launcher_new(void);
void launcher_free(struct launcher *launcher);

struct launch {
	const struct conf_command *command;
	/* Of the order, NULL at the end, or NULL: added to the command's own. */
	char *const *arguments, *const *environment;
	uint64_t mark;		/* for RLIMIT_RTTIME, or 0 */
	int cgroup_fd;		/* or -1 */
	bool counted;		/* that limits the processes */
};

/* The command's first process, the descriptor of its end and the reading end of its output,
 * which does not block. 0, or -errno with `step` ("cannot STEP: why"). */
struct launched {
	pid_t pid;
	int pidfd, output_fd;
};
int launcher_start(struct launcher *launcher, const struct launch *launch,
    struct launched *launched, const char **step);

#endif
