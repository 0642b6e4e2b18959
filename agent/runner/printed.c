/* SPDX-License-Identifier: ISC */
/*
 * What a run prints. The pipe is read by edges, a piece in a turn, so that no command that
 * prints without end holds up the loop; what a piece leaves is read in the next turn, for
 * which there is no edge. The pipe is owned here until it ends or is closed; when the run is
 * over, whatever still holds the other end, is job.c's to say.
 */
#include "agent/runner/printed.h"

#include <errno.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"

void
printed_close(struct printed *printed)
{
	loop_timer_stop(printed->more);
	loop_edge_free(printed->edge);
	printed->edge = NULL;
	cleanup_close(&printed->fd);
	printed->fd = -1;
}

bool
printed_read(struct printed *printed)
{
	ssize_t got = read(printed->fd, printed->room, PRINTED_ROOM);

	if (got > 0)
		tail_add(&printed->tail, printed->room, (size_t)got);
	if (got == (ssize_t)PRINTED_ROOM || (got < 0 && errno == EINTR))
		loop_timer_at(printed->more, 0);
	return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

static void
on_more(void *arg)
{
	struct printed *printed = arg;

	if (!printed_read(printed))
		return;
	printed_close(printed);
	printed->ended(printed->arg);
}

static void
on_edge(void *arg, unsigned int events)
{
	on_more(arg);
}

bool
printed_goes_on(const struct printed *printed)
{
	return printed->edge != NULL;
}

int
printed_watch(struct printed *printed)
{
	printed->edge = loop_edge_new(printed->loop, printed->fd, on_edge, printed);
	return printed->edge != NULL ? 0 : -errno;
}

void
printed_take(struct printed *printed, int fd)
{
	printed->fd = fd;
}

void
printed_reset(struct printed *printed)
{
	printed->tail.total = 0; /* of the bytes none counts */
}

void
printed_init(struct printed *printed, struct loop *loop, char *room,
    void (*ended)(void *arg), void *arg)
{
	printed->loop = loop;
	printed->room = room;
	printed->ended = ended;
	printed->arg = arg;
	printed->fd = -1;
	printed->more = loop_timer_new(loop, on_more, printed);
}

void
printed_clear(struct printed *printed)
{
	printed_close(printed);
	loop_timer_free(printed->more);
}
