/* SPDX-License-Identifier: ISC */
/*
 * What all runs share: who launches them, where what they start is found, the memory of those
 * that are over, and the end of all at once. The life of one is job.c's. A job is listed here
 * from its start until it is freed.
 */
#include "agent/runner/job_state.h"

#include <poll.h>
#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/runner/cgroup.h"
#include "agent/runner/launch.h"

#define FREE_MS 5000 /* one stuck in the kernel is waited for, but not for ever */
#define SPARE_MAX 64

static bool
all_gone(const struct jobs *jobs)
{
	for (const struct job *job = jobs->started; job != NULL; job = job->next)
		if (!job_is_gone(job))
			return false;
	return true;
}

void
jobs_kill(struct jobs *jobs)
{
	int64_t end = clock_raw_ms() + FREE_MS;

	for (struct job *job = jobs->started; job != NULL; job = job->next)
		if (!job->settled)
			job_kill(job);
	sweep_wait(jobs->sweep, FREE_MS);
	while (!all_gone(jobs) && clock_raw_ms() < end)
		poll(NULL, 0, 1);
}

struct job *
jobs_take(struct jobs *jobs)
{
	struct job *job = jobs->spare;

	if (job == NULL)
		return job_make(jobs);
	jobs->spare = job->next;
	jobs->n_spare--;
	return job;
}

void
jobs_give(struct job *job)
{
	struct jobs *jobs = job->jobs;

	if (jobs->n_spare >= SPARE_MAX) {
		job_destroy(job);
		return;
	}
	job->next = jobs->spare;
	jobs->spare = job;
	jobs->n_spare++;
}

struct jobs *
jobs_new(struct loop *loop, uint64_t place, const struct jobs_out *out)
{
	struct jobs *jobs = xcalloc(1, sizeof(*jobs));
	struct sweep_out sweep_out = { .gone = job_swept, .arg = jobs };

	jobs->loop = loop;
	jobs->out = *out;
	jobs->launcher = launcher_new();
	jobs->cgroups = cgroups_new();
	jobs->sweep = sweep_new(loop, place, jobs->cgroups == NULL, &sweep_out);
	return jobs;
}

void
jobs_free(struct jobs *jobs)
{
	if (jobs == NULL)
		return;
	while (jobs->spare != NULL) {
		struct job *job = jobs->spare;
		jobs->spare = job->next;
		job_destroy(job);
	}
	sweep_free(jobs->sweep);
	cgroups_free(jobs->cgroups);
	launcher_free(jobs->launcher);
	free(jobs);
}
