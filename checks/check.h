/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CHECK_H
#define LICTOR_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * The interface between lictord and a type of check. A check type measures: one run, one
 * outcome. It keeps no time, retries nothing, logs nothing and reads no clock; when to run,
 * for how long, and what an outcome means is not its business. At the deadline the
 * scheduler calls `cancel`.
 *
 * The type is one constant `struct check_class`. Memory is given: `conf_size` bytes for
 * the options of a check, filled in from the configuration through `options`, and
 * `run_size` zeroed bytes for each run.
 */

#define CHECK_ABI 1

enum check_status {
	CHECK_PASSING,
	CHECK_WARNING,
	CHECK_CRITICAL,
	CHECK_UNKNOWN,	/* could not be judged: not the service's fault */
};

/* Why an outcome is what it is: the word that operators see, explained in lictor.conf(5). */
enum check_reason {
	CHECK_REASON_OK,
	CHECK_REASON_TIMEOUT,	/* not done at the deadline */
	CHECK_REASON_RESOLVE,	/* the name has no address */
	CHECK_REASON_REFUSED,	/* connection refused or unreachable */
	CHECK_REASON_CLOSED,	/* the connection ended too early */
	CHECK_REASON_TLS,
	CHECK_REASON_PROTOCOL,	/* the answer is not what the protocol asks for */
	CHECK_REASON_STATUS,	/* HTTP status */
	CHECK_REASON_BODY,	/* the body, or what a tcp check read, is not as expected */
	CHECK_REASON_EXIT,	/* exit status of a command */
	CHECK_REASON_SIGNAL,	/* a command was killed by a signal */
	CHECK_REASON_LOCAL,	/* lictor could not run it: status unknown */
	CHECK_REASONS
};
const char *check_status_name(enum check_status status);
const char *check_reason_name(enum check_reason reason);

/* What an option is, and the type of the member of the options struct that it fills. */
enum check_option_type {
	CHECK_OPTION_TEXT,	/* char *, NULL if not given */
	CHECK_OPTION_LIST,	/* char **, NULL at the end; NULL if not given */
	CHECK_OPTION_UINT,	/* uint64_t */
	CHECK_OPTION_BOOL,	/* bool */
	CHECK_OPTION_DURATION,	/* int64_t, milliseconds */
	CHECK_OPTION_FILE,	/* char *: an absolute path that can be read */
	CHECK_OPTION_COMMAND,	/* char **: program and arguments; the runner runs it */
	CHECK_OPTION_USER,	/* char *: who the command runs as */
	CHECK_OPTION_ENVIRONMENT, /* char **: "NAME=value" for the command */
	CHECK_OPTION_DIRECTORY,	/* char *: where the command runs */
};

struct check_option {
	const char *name;
	enum check_option_type type;
	size_t offset;		/* into the options struct */
	bool required;
	const char *value;	/* default as written in a file ("10s", "true"); NULL: none */
	uint64_t min, max;	/* of a UINT or DURATION; both 0: any */
};

struct check_run;

struct check_class {
	unsigned int abi;	/* CHECK_ABI; first, for ever */
	const char *name, *help;
	size_t conf_size, run_size;
	const struct check_option *options;	/* a NULL name at the end */
	/*
	 * Looks at the options once, when the configuration is read, and may precompute.
	 * 0, or -1 with `option` naming the option at fault and `why` saying what is
	 * wrong and what is expected ("port 70000 is out of range, expected 1 to 65535").
	 * Does no I/O.
	 */
	int (*prepare)(void *conf, const char **option, char *why, size_t why_size);
	void (*release)(void *conf);	/* undoes prepare, also a failed one; may be NULL */
	/* Begins a run. Must not call check_done from within itself unless it failed
	 * locally; calls it once at the end. */
	void (*start)(struct check_run *run);
	/* Ends a run early (deadline, stop): frees what it holds, does not call check_done.
	 * May be NULL. */
	void (*cancel)(struct check_run *run);
};

/* What a run has. */
const void *check_conf(const struct check_run *run);
void *check_state(struct check_run *run);	/* run_size bytes, zeroed at the start */

/* The outcome. `fmt` is for people: canonical, no times or counters that change from run
 * to run. It may quote what the service said: it is cut and made printable later. */
void check_done(struct check_run *run, enum check_status status,
    enum check_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Watches one descriptor at a time; it stays the check's to close, after check_unwatch. */
#define CHECK_READ 1u
#define CHECK_WRITE 2u
void check_watch(struct check_run *run, int fd, unsigned int events,
    void (*ready)(struct check_run *run, unsigned int events));
void check_unwatch(struct check_run *run);

/* Finds where "host:port" is; a literal is answered from within the call. `address` NULL:
 * `why` says why not. Cancelled with the run. */
void check_resolve(struct check_run *run, const char *host, uint16_t port,
    void (*found)(struct check_run *run, const struct sockaddr *address, socklen_t len,
	const char *why));

/* Runs the check's own command (its CHECK_OPTION_COMMAND) in the runner. Cancelled with
 * the run: the whole process group is ended. */
struct check_exit {
	enum { CHECK_EXITED, CHECK_SIGNALLED, CHECK_TIMED_OUT, CHECK_NOT_RUN } how;
	int value;		/* exit status or signal number */
	const char *output;	/* the tail of standard output and standard error */
	size_t output_len;
};
void check_command(struct check_run *run,
    void (*ended)(struct check_run *run, const struct check_exit *exit));

/* One HTTP exchange on a connection of its own. Cancelled with the run. The files and
 * the server's name must stay until then, the rest is copied. */
struct check_http_request {
	const char *method, *url;
	const char *const *headers;
	const char *body;
	bool follow, no_verify;
	const char *ca_file, *cert_file, *key_file, *server_name;
	size_t body_limit;
};
struct check_http_reply {
	enum check_reason reason;	/* CHECK_REASON_OK: there is an answer */
	const char *why;
	int status;
	const char *body;
	size_t body_len;
};
void check_http(struct check_run *run, const struct check_http_request *request,
    void (*answered)(struct check_run *run, const struct check_http_reply *reply));

#endif
