/* SPDX-License-Identifier: ISC */
/*
 * Whose code a process was in when it ended. Plugins run in the agent, and one that
 * crashes takes it along; nobody but the dead could say which it was. So the agent notes it
 * in a page that outlives it, a store for each call into a check, and the runner reads it.
 * A thread has a row of its own; the handler of fatal signals, which runs in the thread that
 * failed, says which row it was, and then lets the signal do what it would have done.
 * Invariant: the size of the page is sealed, so that the other side cannot make us crash.
 */
#include "agent/base/blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/util.h"

#define ROWS 64 /* the main thread's is the first */
#define NO_ROW ROWS
#define PLACE_SHIFT 30
#define INDEX_MASK ((UINT32_C(1) << PLACE_SHIFT) - 1)
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

struct page {
	struct row {
		_Atomic pid_t thread; /* 0: free */
		_Atomic uint32_t note;
	} rows[ROWS];
	_Atomic uint32_t fatal; /* the row of the thread that failed, counted from 1 */
	struct blackbox_orders orders;
};

struct blackbox {
	struct page *page;
	int fd;
};

static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS };

/* A handler has no argument: what it needs stands here, set once by blackbox_open. */
static struct page *watched;
static struct sigaction before[ARRAY_LENGTH(fatal)];

static uint32_t
pack(struct blackbox_note note)
{
	return (uint32_t)note.place << PLACE_SHIFT | (note.index & INDEX_MASK);
}

static struct blackbox_note
unpack(uint32_t packed)
{
	uint32_t place = packed >> PLACE_SHIFT;

	if (place > BLACKBOX_CHECK)
		return (struct blackbox_note){ BLACKBOX_OURS, 0 };
	return (
	    struct blackbox_note){ (enum blackbox_place)place, packed & INDEX_MASK };
}

/* The thread goes back to what it did and fails again, now in the way it would have
 * without us; a signal that was sent has to be sent again. */
static void
on_fatal(int signum, siginfo_t *info, void *context)
{
	pid_t self = gettid();
	uint32_t row = 0;

	while (row < ROWS && watched->rows[row].thread != self)
		row++;
	watched->fatal = row + 1;
	for (size_t i = 0; i < ARRAY_LENGTH(fatal); i++)
		if (fatal[i] == signum)
			sigaction(signum, &before[i], NULL);
	if (info->si_code <= 0)
		raise(signum);
}

static void
watch(struct page *page)
{
	struct sigaction action = { .sa_sigaction = on_fatal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK };

	watched = page;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LENGTH(fatal); i++)
		sigaction(fatal[i], &action, &before[i]);
}

/* Takes the descriptor over. */
static struct blackbox *
map(int fd)
{
	struct page *page =
	    mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED) {
		cleanup_close(&fd);
		return NULL;
	}
	struct blackbox *box = xcalloc(1, sizeof(*box));
	box->page = page;
	box->fd = fd;
	return box;
}

struct blackbox *
blackbox_new(void)
{
	int fd = memfd_create("lictor-blackbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 &&
	    (ftruncate(fd, sizeof(struct page)) != 0 ||
		fcntl(fd, F_ADD_SEALS, SEALS) != 0))
		cleanup_close(&fd);
	return fd < 0 ? NULL : map(fd);
}

struct blackbox *
blackbox_open(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size != sizeof(struct page)) {
		cleanup_close(&fd);
		return NULL;
	}
	struct blackbox *box = map(fd);
	if (box == NULL)
		return NULL;
	box->page->rows[0].thread = gettid();
	watch(box->page);
	return box;
}

int
blackbox_fd(const struct blackbox *box)
{
	return box != NULL ? box->fd : -1;
}

void
blackbox_free(struct blackbox *box)
{
	if (box == NULL)
		return;
	if (watched == box->page) {
		for (size_t i = 0; i < ARRAY_LENGTH(fatal); i++)
			sigaction(fatal[i], &before[i], NULL);
		watched = NULL;
	}
	munmap(box->page, sizeof(*box->page));
	cleanup_close(&box->fd);
	free(box);
}

void
blackbox_reset(struct blackbox *box, const struct blackbox_orders *orders)
{
	if (box == NULL)
		return;
	memset(box->page, 0, sizeof(*box->page));
	box->page->orders = *orders;
}

void
blackbox_orders(const struct blackbox *box, struct blackbox_orders *out)
{
	if (box == NULL)
		memset(out, 0, sizeof(*out));
	else
		*out = box->page->orders;
}

struct blackbox_note
blackbox_read(const struct blackbox *box)
{
	if (box == NULL)
		return (struct blackbox_note){ BLACKBOX_OURS, 0 };
	uint32_t row = box->page->fatal;
	if (row > ROWS) /* a thread that was in no check */
		return (struct blackbox_note){ BLACKBOX_OURS, 0 };
	return unpack(box->page->rows[row == 0 ? 0 : row - 1].note);
}

struct blackbox_note
blackbox_enter(struct blackbox *box, struct blackbox_note note)
{
	if (box == NULL)
		return note;
	_Atomic uint32_t *own = &box->page->rows[0].note;
	uint32_t old = atomic_load_explicit(own, memory_order_relaxed);
	atomic_store_explicit(own, pack(note), memory_order_relaxed);
	return unpack(old);
}

void
blackbox_leave(struct blackbox *box, struct blackbox_note old)
{
	if (box != NULL)
		atomic_store_explicit(
		    &box->page->rows[0].note, pack(old), memory_order_relaxed);
}

unsigned int
blackbox_enter_thread(struct blackbox *box, struct blackbox_note note)
{
	for (unsigned int i = 1; box != NULL && i < ROWS; i++) {
		struct row *row = &box->page->rows[i];
		pid_t nobody = 0;
		if (!atomic_compare_exchange_strong(&row->thread, &nobody, gettid()))
			continue;
		row->note = pack(note);
		return i;
	}
	return NO_ROW;
}

void
blackbox_leave_thread(struct blackbox *box, unsigned int number)
{
	if (box == NULL || number == NO_ROW)
		return;
	box->page->rows[number].note = 0;
	box->page->rows[number].thread = 0;
}

static uint32_t
turned(uint32_t packed, const uint32_t *from, size_t count)
{
	struct blackbox_note note = unpack(packed);

	if (note.place != BLACKBOX_CHECK)
		return packed;
	for (size_t i = 0; i < count; i++)
		if (from[i] == note.index) {
			note.index = (uint32_t)i;
			return pack(note);
		}
	return pack((struct blackbox_note){ BLACKBOX_OURS, 0 });
}

/* A thread that leaves meanwhile has the last word. */
void
blackbox_turn(struct blackbox *box, const uint32_t *from, size_t count)
{
	for (size_t i = 0; box != NULL && i < ROWS; i++) {
		uint32_t note = box->page->rows[i].note;
		atomic_compare_exchange_strong(
		    &box->page->rows[i].note, &note, turned(note, from, count));
	}
}
