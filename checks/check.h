/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CHECK_H
#define LICTOR_CHECK_H

#include <netinet/in.h>
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

/*
 * A plugin is one shared object with one symbol, which lictord looks for:
 *	CHECK_EXPORT const struct check_class check_plugin = { .abi = CHECK_ABI, … };
 * The same file can be built in. lictor-check(3) teaches the rest.
 */
#define CHECK_EXPORT __attribute__((visibility("default")))
#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

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
	CHECK_REASON_BODY,	/* the body, or what was read, is not as expected */
	CHECK_REASON_CERTIFICATE, /* it is valid, but not for long */
	CHECK_REASON_STATE,	/* what was looked at is not as it should be: a unit that is not
				   active, too few processes, an old file, NOT_SERVING */
	CHECK_REASON_EXIT,	/* exit status of a command */
	CHECK_REASON_SIGNAL,	/* a command was killed by a signal */
	CHECK_REASON_LATENCY,	/* answered, but too slowly; given by lictord alone */
	CHECK_REASON_ERROR_RATE, /* too many of the last runs failed; by lictord alone */
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
	/* limits of the command, 0: none */
	CHECK_OPTION_MEMORY,	/* uint64_t, bytes: "64M" */
	CHECK_OPTION_PROCESSES,	/* uint64_t */
	CHECK_OPTION_FILES,	/* uint64_t */
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
	/*
	 * Nothing is measured: somebody reports the outcome (`lictorctl pass`) within the
	 * time of the option "ttl", which a passive type must have. `start` is NULL.
	 */
	bool passive;
	/* It asks somebody else about the service: that nobody answers until the deadline
	 * says nothing of it, and the result is unknown. */
	bool indirect;
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
 * to run. It may quote what the service said: it is cut and made printable later. A status
 * or a reason that is none of the above makes it unknown. */
void check_done(struct check_run *run, enum check_status status,
    enum check_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Watches one descriptor at a time; it stays the check's to close, after check_unwatch. */
#define CHECK_READ 1u
#define CHECK_WRITE 2u
void check_watch(struct check_run *run, int fd, unsigned int events,
    void (*ready)(struct check_run *run, unsigned int events));
void check_unwatch(struct check_run *run);

/* A figure that was measured, shown in `lictorctl status --json` and as a metric. Any
 * number of times before check_done; what is beyond 64 per run, or is no finite number, is
 * dropped. `unit` is "" or one like "s", "%", "B"; both texts are copied, and cut at 63
 * and 15 bytes. */
void check_metric(struct check_run *run, const char *name, double value, const char *unit);

/*
 * Finds where "host:port" is: all addresses, in the order in which they should be tried
 * (RFC 8305), at least one; or NULL and `why` there is none. A literal is answered from
 * within the call. Cancelled with the run.
 */
struct check_address {
	socklen_t len;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};
void check_resolve(struct check_run *run, const char *host, uint16_t port,
    void (*found)(struct check_run *run, const struct check_address *addresses,
	size_t count, const char *why));

/* Files are paths of PEM files; NULL: the system's, or none. They and the server's name
 * (NULL: the host) must stay until the run ends. */
struct check_tls {
	const char *ca_file, *cert_file, *key_file, *server_name;
	bool no_verify;
};

/*
 * One connection: every address of the name is tried as RFC 8305 asks, then TLS, if wanted,
 * is begun. Then one thing at a time is asked of it. `reason` CHECK_REASON_OK, or what went
 * wrong and `why` in words; nothing can be asked of it after that. Closed when the run
 * ends. Only `written` may be called from within the call that asks for it.
 */
void check_connect(struct check_run *run, const char *host, uint16_t port,
    const struct check_tls *tls,
    void (*connected)(struct check_run *run, enum check_reason reason, const char *why));
/* `data` must stay until `written` is called. */
void check_write(struct check_run *run, const void *data, size_t len,
    void (*written)(struct check_run *run, enum check_reason reason, const char *why));
/* What has come, at most `size` bytes, into the caller's `data`; 0 with CHECK_REASON_OK: the
 * other end has closed in order. */
void check_read(struct check_run *run, void *data, size_t size,
    void (*arrived)(struct check_run *run, size_t len, enum check_reason reason,
	const char *why));
/* Whole days until the certificate that was shown ends (0: today); -1: it has ended, or there
 * was none. */
int check_certificate_days(const struct check_run *run);

/*
 * Something that may block (a file on a dead server, a library without an asynchronous
 * interface), done by `work` in another thread, which may touch nothing but check_conf and
 * check_state and ends some time; then `worked` is called here. A run that is cancelled
 * meanwhile is over, but its state stays until `work` returns, and the work of the check's
 * next run does not begin before that.
 */
void check_work(struct check_run *run, void (*work)(const void *conf, void *state),
    void (*worked)(struct check_run *run));

/* Runs the check's own command (its CHECK_OPTION_COMMAND) in the runner. Cancelled with
 * the run: everything that it started is ended. Not for plugins: only lictord's own types
 * have commands. */
struct check_exit {
	enum { CHECK_EXITED, CHECK_SIGNALLED, CHECK_TIMED_OUT, CHECK_NOT_RUN } how;
	int value;		/* exit status or signal number */
	const char *output;	/* the tail of standard output and standard error */
	size_t output_len;
};
void check_command(struct check_run *run,
    void (*ended)(struct check_run *run, const struct check_exit *exit));

/* One HTTP exchange. Cancelled with the run. The request with all that it points to must
 * stay until then (it is the check's configuration, or part of the run's state). */
enum check_http_version {
	CHECK_HTTP_1_1,
	CHECK_HTTP_2,		/* over TLS by ALPN, otherwise an error */
	CHECK_HTTP_2_PLAIN,	/* without TLS, both know that it is HTTP/2 */
};
struct check_http_request {
	const char *method, *url;
	const char *const *headers;
	const void *body;
	size_t body_len;
	enum check_http_version version;
	bool follow, keep_alive;	/* keep_alive: the connection of the run before, if
					   it still stands */
	const char *proxy;		/* "http://proxy.example:3128", or NULL */
	struct check_tls tls;
	size_t body_limit;		/* bytes of the body that are kept; 0: it is not
					   waited for */
	bool error_body;		/* nor is that of a status below 400; what has come
					   with the head is there. A kept connection waits
					   for all of it */
};
struct check_http_reply {
	enum check_reason reason;	/* CHECK_REASON_OK: there is an answer */
	const char *why;
	int status;
	const char *body;		/* NUL-terminated, may hold NULs */
	size_t body_len;
	int certificate_days;		/* as check_certificate_days */
	const void *headers;		/* for check_http_header */
};
void check_http(struct check_run *run, const struct check_http_request *request,
    void (*answered)(struct check_run *run, const struct check_http_reply *reply));
/* A header of the answer, or else a trailer, its name compared without case; NULL: none. */
const char *check_http_header(const struct check_http_reply *reply, const char *name);

/* A plugin's; lictord itself has none. */
extern const struct check_class check_plugin;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
#endif
