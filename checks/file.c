/* SPDX-License-Identifier: ISC */
/*
 * The check type `file`: a file is there, was written lately, says so. For jobs that leave a
 * mark when they have done their work, and for daemons that keep their state in a file.
 * Looked at in another thread, since a file may be on a server that is dead.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "checks/builtin.h"
#include "checks/check.h"
#include "checks/expression.h"

#define CONTENTS_MAX 65536 /* bytes that `contains` sees, on a thread's stack */

struct file_check {
	char *path, *contains;
	int64_t fresh_ms;
	/* made by prepare */
	struct expression *expected;
};

struct file_run {
	int error;
	const char *step; /* what failed with it */
	int64_t age_ms, size;
	bool regular, contains;
};

static const struct check_option options[] = {
	{ "path", CHECK_OPTION_TEXT, offsetof(struct file_check, path),
	    .required = true },
	{ "fresh", CHECK_OPTION_DURATION, offsetof(struct file_check, fresh_ms),
	    .min = 1000, .max = INT64_C(366) * 24 * 3600 * 1000 },
	{ "contains", CHECK_OPTION_TEXT, offsetof(struct file_check, contains) },
	{ NULL },
};

static void
release(void *conf)
{
	struct file_check *check = conf;

	expression_free(check->expected);
	check->expected = NULL;
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct file_check *check = conf;

	*option = "path";
	if (check->path[0] != '/') {
		snprintf(why, why_size, "no absolute path, expected one from /");
		return -1;
	}
	*option = "contains";
	if (check->contains == NULL)
		return 0;
	check->expected = expression_new(check->contains, why, why_size);
	return check->expected != NULL ? 0 : -1;
}

/* As much as fits; -1: it cannot be read. */
static ssize_t
read_contents(int fd, char contents[CONTENTS_MAX])
{
	size_t len = 0;
	ssize_t got = 1;

	while (got > 0 && len < CONTENTS_MAX) {
		got = read(fd, contents + len, CONTENTS_MAX - len);
		len += got > 0 ? (size_t)got : 0;
	}
	return got < 0 ? -1 : (ssize_t)len;
}

static void
look_inside(const struct file_check *check, struct file_run *file)
{
	AUTO_CLOSE int fd =
	    open(check->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	char contents[CONTENTS_MAX];

	file->step = "read";
	ssize_t len = fd < 0 ? -1 : read_contents(fd, contents);
	if (len < 0)
		file->error = errno;
	else
		file->contains =
		    expression_matches(check->expected, contents, (size_t)len);
}

/* In another thread. The wall clock is what files are dated by. */
static void
look(const void *conf, void *state)
{
	const struct file_check *check = conf;
	struct file_run *file = state;
	struct stat st;

	file->step = "found";
	if (stat(check->path, &st) != 0) {
		file->error = errno;
		return;
	}
	file->regular = S_ISREG(st.st_mode);
	file->size = st.st_size;
	file->age_ms = clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000 -
	    st.st_mtim.tv_nsec / 1000000;
	if (check->expected != NULL && file->regular)
		look_inside(check, file);
}

static void
judge(
    struct check_run *run, const struct file_check *check, const struct file_run *file)
{
	char limit[32];

	if (check->expected != NULL && !file->regular) {
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE,
		    "%s is no regular file, so it contains nothing", check->path);
	} else if (check->fresh_ms > 0 && file->age_ms > check->fresh_ms) {
		format_duration(check->fresh_ms, limit, sizeof(limit));
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE,
		    "%s was not written within the last %s", check->path, limit);
	} else if (check->expected != NULL && !file->contains) {
		check_done(run, CHECK_CRITICAL, CHECK_REASON_BODY,
		    "%s does not contain what is expected", check->path);
	} else {
		check_done(run, CHECK_PASSING, CHECK_REASON_OK, "%s is %s", check->path,
		    check->fresh_ms > 0           ? "fresh"
			: check->expected != NULL ? "as expected"
						  : "there");
	}
}

/* Ours, not the file's: lictor may not look, or has nothing to look with. */
static bool
is_local(int error)
{
	return error == EACCES || error == EPERM || error == EMFILE ||
	    error == ENFILE || error == ENOMEM;
}

static void
looked(struct check_run *run)
{
	const struct file_check *check = check_conf(run);
	const struct file_run *file = check_state(run);

	if (is_local(file->error))
		check_done(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL,
		    "%s cannot be %s: %s", check->path, file->step,
		    strerror(file->error));
	else if (file->error != 0)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE,
		    "%s cannot be %s: %s", check->path, file->step,
		    strerror(file->error));
	else
		judge(run, check, file);
}

static void
start(struct check_run *run)
{
	check_work(run, look, looked);
}

const struct check_class check_file_class = {
	.abi = CHECK_ABI,
	.name = "file",
	.help = "looks whether a file is there, fresh and as expected",
	.conf_size = sizeof(struct file_check),
	.run_size = sizeof(struct file_run),
	.options = options,
	.prepare = prepare,
	.release = release,
	.start = start,
};
