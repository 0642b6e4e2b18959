/* SPDX-License-Identifier: ISC */
/*
 * A small file that says what is to be known after a restart. It is written by a thread, since a
 * disk that is slow must not hold up a lease, and never by two: what changes meanwhile is
 * written by the next. The text is asked for when it is written, so that only the newest gets
 * there: to a file of its own, to the disk, and only then by its name to where the old one is.
 * It owns the path and what the thread works on; the text's owner is the user.
 */
#include "agent/base/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/worker.h"

#define RETRY_MS 10000

/* What a thread writes. */
struct job {
	struct keeper *keeper;
	struct buf text;
	char *path;
	int err;
};

struct keeper {
	struct keeper_out out;
	char *path;
	struct workers *workers;
	struct loop_timer *retry;
	struct job *job; /* being written; NULL: none */
	bool changed; /* since then */
	int err; /* of the last one written */
};

static int
write_fresh(const char *path, const char *text, size_t len)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;

	while (fd >= 0 && done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return fd >= 0 && fsync(fd) == 0 ? 0 : -errno;
}

/* So that the name is on the disk as well. */
static int
sync_folder(const char *path)
{
	AUTO_FREE char *folder = xstrdup(path);
	char *slash = strrchr(folder, '/');

	if (slash != NULL)
		*slash = '\0';
	AUTO_CLOSE int fd =
	    open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0 ? 0 : -errno;
}

static int
write_file(const char *path, const struct buf *text)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", path);
	int err = write_fresh(fresh, text->data, text->len);

	if (err != 0)
		return err;
	return rename(fresh, path) == 0 ? sync_folder(path) : -errno;
}

static struct job *
job_new(struct keeper *keeper)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->keeper = keeper;
	job->path = xstrdup(keeper->path);
	job->text.limit = SIZE_MAX;
	keeper->out.text(keeper->out.arg, &job->text);
	keeper->changed = false;
	return job;
}

static void
job_free(struct job *job)
{
	if (job == NULL)
		return;
	buf_free(&job->text);
	free(job->path);
	free(job);
}

/* In a thread. */
static void
job_work(void *arg)
{
	struct job *job = arg;

	job->err = write_file(job->path, &job->text);
}

static void
judge(struct keeper *keeper, int err)
{
	bool news = err != keeper->err;

	keeper->err = err;
	if (news)
		keeper->out.judged(keeper->out.arg, err);
}

static void
job_done(void *arg)
{
	struct job *job = arg;
	struct keeper *keeper = job->keeper;

	keeper->job = NULL;
	judge(keeper, job->err);
	job_free(job);
	if (keeper->err != 0)
		loop_timer_after(keeper->retry, RETRY_MS);
	if (keeper->changed)
		keeper_save(keeper);
}

void
keeper_save(struct keeper *keeper)
{
	keeper->changed = true;
	if (keeper->job != NULL)
		return;
	keeper->job = job_new(keeper);
	workers_start(keeper->workers, job_work, job_done, keeper->job);
}

bool
keeper_is_done(const struct keeper *keeper, int *err)
{
	bool busy = keeper->job != NULL || keeper->changed;

	*err = busy ? 0 : keeper->err;
	return !busy && keeper->err == 0;
}

static void
on_retry(void *arg)
{
	keeper_save(arg);
}

struct keeper *
keeper_new(struct loop *loop, const char *path, const struct keeper_out *out)
{
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));

	keeper->out = *out;
	keeper->path = xstrdup(path);
	keeper->workers = workers_new(loop);
	keeper->retry = loop_timer_new(loop, on_retry, keeper);
	return keeper;
}

/* A thread that still hangs keeps its job. */
static bool
end_writing(struct keeper *keeper)
{
	bool wanted = keeper->job != NULL || keeper->changed;

	if (!workers_free(keeper->workers))
		return false;
	job_free(keeper->job);
	if (!wanted)
		return true;
	struct job *last = job_new(keeper);
	job_work(last);
	judge(keeper, last->err);
	job_free(last);
	return true;
}

bool
keeper_free(struct keeper *keeper)
{
	if (keeper == NULL)
		return true;
	bool ended = end_writing(keeper);
	loop_timer_free(keeper->retry);
	free(keeper->path);
	free(keeper);
	return ended;
}

int
keeper_read(const char *path, struct buf *text)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char bytes[4096];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0 && !text->full)
		buf_add(text, bytes, (size_t)n);
	return n < 0 ? -errno : 0;
}
