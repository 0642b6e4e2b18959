/* SPDX-License-Identifier: ISC */
/*
 * Every line that lictor says goes through log_line and is one write(2) to standard
 * error, so that the lines of the three processes never mix. It decides the shape (for
 * people or for systemd's journal) once, at log_init; before that it speaks to people.
 * This is the one module with a static state, since whoever has something to say must
 * not need a handle for it.
 */
#include "agent/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define LINE_SIZE 2048

static const struct {
	const char *name;
	int syslog; /* RFC 5424 severity, the N of "<N>" */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_NOTICE] = { "notice", 5 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};
_Static_assert(ARRAY_LENGTH(levels) == LOG_LEVEL_DEBUG + 1, "a level has no name");

static const char *const subjects[] = { "conf", "check", "consul", "role", "peer",
	"vip", "hook", "loop" };

static struct {
	const char *process; /* NULL: the agent, which needs no name */
	bool journal;
	unsigned int debug; /* a bit for each subject */
} log_state;

static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char mine[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	snprintf(
	    mine, sizeof(mine), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, mine) == 0;
}

void
log_init(const char *process)
{
	tzset();
	log_state.process = strcmp(process, "agent") == 0 ? NULL : process;
	log_state.journal = stderr_is_journal();
}

/* The subject's bit, all bits for "all", or 0. */
static unsigned int
subject_bits(const char *subject)
{
	if (strcmp(subject, "all") == 0)
		return ~0u;
	for (size_t i = 0; i < ARRAY_LENGTH(subjects); i++)
		if (strcmp(subject, subjects[i]) == 0)
			return 1u << i;
	return 0;
}

bool
log_debug_subject(const char *subject)
{
	unsigned int bits = subject_bits(subject);

	log_state.debug |= bits;
	return bits != 0;
}

bool
log_debug_on(const char *subject)
{
	return log_state.debug == ~0u || (log_state.debug & subject_bits(subject)) != 0;
}

static size_t
print_head(char *line, size_t size, enum log_level level, const char *subject)
{
	bool named =
	    log_state.process != NULL && strcmp(log_state.process, subject) != 0;
	const char *process = named ? log_state.process : "";
	const char *space = named ? " " : "";
	int64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	char date[32] = "";
	struct tm tm;

	if (log_state.journal)
		return (size_t)snprintf(line, size,
		    "<%d>%s%s%s: ", levels[level].syslog, process, space, subject);
	if (localtime_r(&seconds, &tm) != NULL)
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	return (size_t)snprintf(line, size, "%s.%03d %s %s%s%s: ", date,
	    (int)(now % 1000), levels[level].name, process, space, subject);
}

static void
write_line(const char *line, size_t len)
{
	ssize_t n;

	do
		n = write(STDERR_FILENO, line, len);
	while (n < 0 && errno == EINTR);
}

void
log_line(enum log_level level, const char *subject, const char *fmt, ...)
{
	int saved = errno;
	char line[LINE_SIZE];
	va_list ap;

	size_t len = print_head(line, 256, level, subject);
	if (len > 255)
		len = 255;
	size_t room = sizeof(line) - len;
	va_start(ap, fmt);
	int text = vsnprintf(line + len, room, fmt, ap);
	va_end(ap);
	if (text < 0)
		return;
	if ((size_t)text >= room)
		memcpy(line + sizeof(line) - 4, "...", 4);
	len += (size_t)text >= room ? room - 1 : (size_t)text;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len] = '\n';
	write_line(line, len + 1);
	errno = saved;
}
