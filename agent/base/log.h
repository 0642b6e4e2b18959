/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LOG_H
#define LICTOR_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO,
		 LOG_LEVEL_DEBUG };

/*
 * Lines go to standard error: with a time and the level's name, or, where standard
 * error is systemd's journal (JOURNAL_STREAM names it, sd-daemon(3)), with "<N>" in
 * front. `process` ("runner", "warden", "agent") is kept by reference and shown for
 * other processes than the agent, unless it is the subject.
 */
void log_init(const char *process);

/* Turns debug lines of one subject on: "conf", "check", "consul", "role", "peer", "vip",
 * "hook", "loop", or "all". False: there is no such subject. */
bool log_debug_subject(const char *subject);
bool log_debug_on(const char *subject);

/* One line "subject: text". What comes from outside must have been escaped
 * (text_escape, util.h); control characters that got through are shown as '?'. */
void log_line(enum log_level level, const char *subject, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(subject, ...) log_line(LOG_LEVEL_ERROR, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_line(LOG_LEVEL_WARNING, subject, __VA_ARGS__)
#define log_notice(subject, ...) log_line(LOG_LEVEL_NOTICE, subject, __VA_ARGS__)
#define log_info(subject, ...) log_line(LOG_LEVEL_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...)                                                        \
	do {                                                                           \
		if (log_debug_on(subject))                                             \
			log_line(LOG_LEVEL_DEBUG, subject, __VA_ARGS__);               \
	} while (0)

#endif
