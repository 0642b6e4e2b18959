/* SPDX-License-Identifier: ISC */
/*
 * A few threads of our own rather than libuv's: those are joined when the process exits, so
 * one that hangs on a dead file server would keep a stopped agent from ending. Orders and
 * answers are two lists under one lock; an eventfd tells the loop of answers. What is shared
 * with a thread that still hangs at the end is never freed.
 */
#include "agent/base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"

#define THREADS_MAX 16
#define STACK_SIZE ((size_t)256 * 1024)
#define SPARE_STACK_SIZE 16384
#define LEAVE_S 1

struct order {
	struct order *next;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

struct queue {
	struct order *first, **end;
};

/* What the threads see. */
struct shared {
	pthread_mutex_t lock;
	pthread_cond_t wanted, left;
	struct queue orders, answers;
	unsigned int threads, idle;
	unsigned int waiting; /* orders that no thread has taken */
	int answer_fd;
	bool closing;
};

struct workers {
	struct shared *shared;
	struct loop_io *answers;
	bool refused; /* the kernel gives no thread, which was said */
};

static void
queue_put(struct queue *queue, struct order *order)
{
	order->next = NULL;
	*queue->end = order;
	queue->end = &order->next;
}

static struct order *
queue_take(struct queue *queue)
{
	struct order *order = queue->first;

	if (order == NULL)
		return NULL;
	queue->first = order->next;
	if (queue->first == NULL)
		queue->end = &queue->first;
	return order;
}

static void
queue_clear(struct queue *queue)
{
	struct order *order;

	while ((order = queue_take(queue)) != NULL)
		free(order);
}

static void
shared_free(struct shared *shared)
{
	queue_clear(&shared->orders);
	queue_clear(&shared->answers);
	pthread_mutex_destroy(&shared->lock);
	pthread_cond_destroy(&shared->wanted);
	pthread_cond_destroy(&shared->left);
	close(shared->answer_fd);
	free(shared);
}

/* The next order, or NULL: time to leave. With the lock held. */
static struct order *
next_order(struct shared *shared)
{
	shared->idle++;
	while (!shared->closing && shared->waiting == 0)
		pthread_cond_wait(&shared->wanted, &shared->lock);
	shared->idle--;
	if (shared->closing)
		return NULL;
	shared->waiting--;
	return queue_take(&shared->orders);
}

static void
answer(struct shared *shared, struct order *order)
{
	static const uint64_t one = 1;

	queue_put(&shared->answers, order);
	if (write(shared->answer_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

/* A thread takes its signals over from its maker, who blocks all: those that it causes
 * itself, which somebody wants to know of, are let through. Somebody needs a stack for that
 * which is not used up. */
static void
take_own_signals(void *stack, size_t size)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS };
	stack_t spare = { .ss_sp = stack, .ss_size = size }, old;
	sigset_t set;

	if (sigaltstack(NULL, &old) == 0 && (old.ss_flags & SS_DISABLE) != 0)
		sigaltstack(&spare, NULL);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LENGTH(own); i++)
		sigaddset(&set, own[i]);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *
thread_main(void *arg)
{
	struct shared *shared = arg;
	struct order *order;
	char spare[SPARE_STACK_SIZE];

	take_own_signals(spare, sizeof(spare));
	pthread_mutex_lock(&shared->lock);
	while ((order = next_order(shared)) != NULL) {
		pthread_mutex_unlock(&shared->lock);
		order->work(order->arg);
		pthread_mutex_lock(&shared->lock);
		answer(shared, order);
	}
	shared->threads--;
	pthread_cond_signal(&shared->left);
	pthread_mutex_unlock(&shared->lock);
	return NULL;
}

/* With the lock held. */
static int
start_thread(struct shared *shared)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&thread, &attributes, thread_main, shared);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error == 0)
		shared->threads++;
	return error;
}

static void
on_answers(void *arg, unsigned int events)
{
	struct workers *workers = arg;
	struct shared *shared = workers->shared;
	struct queue answers = { .end = &answers.first };
	struct order *order;
	uint64_t count;

	if (read(shared->answer_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&shared->lock);
	while ((order = queue_take(&shared->answers)) != NULL)
		queue_put(&answers, order);
	pthread_mutex_unlock(&shared->lock);
	while ((order = queue_take(&answers)) != NULL) {
		order->done(order->arg);
		free(order);
	}
}

struct workers *
workers_new(struct loop *loop)
{
	struct workers *workers = xcalloc(1, sizeof(*workers));
	struct shared *shared = xcalloc(1, sizeof(*shared));

	workers->shared = shared;
	shared->orders.end = &shared->orders.first;
	shared->answers.end = &shared->answers.first;
	pthread_mutex_init(&shared->lock, NULL);
	pthread_cond_init(&shared->wanted, NULL);
	pthread_cond_init(&shared->left, NULL);
	shared->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shared->answer_fd < 0) {
		log_error("loop", "no descriptor for threads, this process ends");
		abort();
	}
	workers->answers = loop_io_new(loop, shared->answer_fd, on_answers, workers);
	loop_io_watch(workers->answers, LOOP_READ);
	return workers;
}

bool
workers_free(struct workers *workers)
{
	struct timespec limit;
	int error = 0;

	if (workers == NULL)
		return true;
	struct shared *shared = workers->shared;
	loop_io_free(workers->answers);
	free(workers);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += LEAVE_S;
	pthread_mutex_lock(&shared->lock);
	shared->closing = true;
	pthread_cond_broadcast(&shared->wanted);
	while (shared->threads > 0 && error == 0)
		error = pthread_cond_timedwait(&shared->left, &shared->lock, &limit);
	bool gone = shared->threads == 0;
	pthread_mutex_unlock(&shared->lock);
	if (gone)
		shared_free(shared);
	return gone;
}

void
workers_start(struct workers *workers, void (*work)(void *arg), void (*done)(void *arg),
    void *arg)
{
	struct shared *shared = workers->shared;
	struct order *order = xcalloc(1, sizeof(*order));
	int error = 0;

	*order = (struct order){ .work = work, .done = done, .arg = arg };
	pthread_mutex_lock(&shared->lock);
	queue_put(&shared->orders, order);
	shared->waiting++;
	pthread_cond_signal(&shared->wanted);
	if (shared->waiting > shared->idle && shared->threads < THREADS_MAX)
		error = start_thread(shared);
	pthread_mutex_unlock(&shared->lock);
	if (error != 0 && !workers->refused)
		log_warning("loop", "no further thread (%s): what may block waits",
		    strerror(error));
	workers->refused = error != 0;
}
