/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_CHECKS_BED_H
#define LICTOR_TESTS_CHECKS_BED_H

#include <stddef.h>
#include <stdint.h>

#include "agent/conf/conf.h"
#include "checks/builtin.h"
#include "checks/check.h"

struct fetch;
struct http;
struct loop;
struct loop_io;
struct loop_timer;
struct peer;
struct resolve;
struct sched;
struct streams;
struct tlss;

#define CHECKS_MAX 800
#define PEERS_MAX 1024

struct server {
	struct loop *loop;
	int fd;
	uint16_t port;
	struct loop_io *io;
	struct loop_timer *later;
	struct peer *peers[PEERS_MAX], *slow;
	size_t n_peers;
};

struct result {
	enum check_status status;
	enum check_reason reason;
	char *output;
};

struct bench {
	struct loop *loop;
	struct http *http;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	struct fetch *fetch;
	struct server *server;
	struct sched *sched;
	struct conf conf;
	struct conf_check checks[CHECKS_MAX], *all[CHECKS_MAX];
	struct conf_command command;
	struct check_exit exits[CHECKS_MAX]; /* what the runner will answer */
	struct result results[CHECKS_MAX];
	struct loop_timer *look;
	int64_t limit;
};

/* NULL: there is none of that name. */
const struct check_option *find_option(
    const struct check_class *class, const char *name);
/* What make_options has made. */
void free_options(const struct check_class *class, void *conf);
/* "name=value" after another, NULL at the end. */
void *make_options(const struct check_class *class, const char *const *given);
struct bench *bench_new(void);
/* A check of that type with these options, run once by bench_run. */
struct conf_check *bench_add(
    struct bench *b, const struct check_class *class, const char *const *given);
/* One run of every check; what came of each is in `results`. */
void bench_run(struct bench *b);
void bench_free(struct bench *b);

#endif
