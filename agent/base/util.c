/* SPDX-License-Identifier: ISC */
/*
 * Ground that every module stands on: strict numbers and durations, the three clocks,
 * memory that is there or the process is not, text made fit for a line, and the clean-up
 * helpers of local variables. It knows nobody but log, which it needs for a last line.
 * Nothing here keeps state; what a function gives out is the caller's to free.
 */
#include "agent/base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/log.h"

static const struct {
	const char *name;
	int64_t ms;
} duration_units[] = {
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
};

/* The digits at the start of text as a number; *end is what follows them. */
static int
read_digits(const char *text, const char **end, uint64_t *out)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	if (p == text || (text[0] == '0' && p - text > 1))
		return -EINVAL;
	*end = p;
	*out = value;
	return 0;
}

/* A number too long for us is not of range unless it is a number: look at all of it. */
static bool
all_digits(const char *text, size_t len)
{
	return len > 0 && strspn(text, "0123456789") == len && text[0] != '0';
}

int
parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *end;
	uint64_t value;
	int error = read_digits(text, &end, &value);

	if (error == -ERANGE)
		return all_digits(text, strlen(text)) ? -ERANGE : -EINVAL;
	if (error != 0 || *end != '\0')
		return -EINVAL;
	if (value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int
parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	static const char units[] = "KMG";
	size_t digits = strspn(text, "0123456789");
	const char *end, *unit = NULL;
	uint64_t value = 0;
	int error = read_digits(text, &end, &value);

	if (text[digits] != '\0')
		unit = strchr(units, text[digits]);
	if (text[digits] != '\0' && (unit == NULL || text[digits + 1] != '\0'))
		return -EINVAL;
	if (error == -ERANGE)
		return all_digits(text, digits) ? -ERANGE : -EINVAL;
	if (error != 0)
		return error;
	for (long i = 0; unit != NULL && i <= unit - units; i++)
		if (__builtin_mul_overflow(value, 1024, &value))
			return -ERANGE;
	if (value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int
parse_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	int64_t unit = 0, ms;
	const char *end;
	uint64_t value;

	for (size_t i = 0; i < ARRAY_LENGTH(duration_units); i++)
		if (strcmp(text + digits, duration_units[i].name) == 0)
			unit = duration_units[i].ms;
	if (unit == 0)
		return -EINVAL;
	int error = read_digits(text, &end, &value);
	if (error == -ERANGE)
		return all_digits(text, digits) ? -ERANGE : -EINVAL;
	if (error != 0)
		return error;
	if (__builtin_mul_overflow(value, unit, &ms) || ms < min_ms || ms > max_ms)
		return -ERANGE;
	*out = ms;
	return 0;
}

void
format_duration(int64_t ms, char *out, size_t size)
{
	size_t i = 0;

	if (ms == 0)
		i = 2;
	while (ms % duration_units[i].ms != 0)
		i++;
	snprintf(out, size, "%" PRId64 "%s", ms / duration_units[i].ms,
	    duration_units[i].name);
}

static int64_t
clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_boot_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

int64_t
clock_raw_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC_RAW);
}

int64_t
clock_monotonic_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t
clock_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

void
out_of_memory(void)
{
	log_error("memory", "there is none left, this process ends");
	_exit(EXIT_FAILURE);
}

void *
xcalloc(size_t count, size_t size)
{
	void *p = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *
xrealloc(void *p, size_t count, size_t size)
{
	void *grown = reallocarray(p, count == 0 ? 1 : count, size == 0 ? 1 : size);

	if (grown == NULL)
		out_of_memory();
	return grown;
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t len)
{
	char *copy = strndup(s, len);

	if (copy == NULL)
		out_of_memory();
	return copy;
}

char *
xasprintf(const char *fmt, ...)
{
	char *out;
	va_list ap;

	va_start(ap, fmt);
	int len = vasprintf(&out, fmt, ap);
	va_end(ap);
	if (len < 0)
		out_of_memory();
	return out;
}

bool
str_copy(char *out, size_t size, const char *in)
{
	size_t len = strlen(in);

	if (size == 0)
		return false;
	bool fits = len < size;
	if (!fits)
		len = size - 1;
	memcpy(out, in, len);
	out[len] = '\0';
	return fits;
}

/* What turns the direction of the text around it, or ends a line where we do not: U+200E,
 * U+200F, U+2028 to U+202E, U+2066 to U+2069. */
static bool
is_disturbing(const unsigned char *in)
{
	return in[0] == 0xe2 &&
	    ((in[1] == 0x80 &&
		 (in[2] == 0x8e || in[2] == 0x8f ||
		     (in[2] >= 0xa8 && in[2] <= 0xae))) ||
		(in[1] == 0x81 && in[2] >= 0xa6 && in[2] <= 0xa9));
}

/*
 * Length of the UTF-8 sequence of two bytes or more at `in`, 0 if there is none that is
 * well formed (Unicode table 3-7) or if it is a C1 control or a disturbing one.
 */
static size_t
utf8_length(const unsigned char *in, size_t len)
{
	size_t n = in[0] < 0xc2 ? 0 : in[0] < 0xe0 ? 2 : in[0] < 0xf0 ? 3 : 4;

	if (n == 0 || in[0] > 0xf4 || len < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((in[i] & 0xc0) != 0x80)
			return 0;
	if ((in[0] == 0xc2 && in[1] < 0xa0) || (in[0] == 0xe0 && in[1] < 0xa0) ||
	    (in[0] == 0xed && in[1] > 0x9f) || (in[0] == 0xf0 && in[1] < 0x90) ||
	    (in[0] == 0xf4 && in[1] > 0x8f))
		return 0;
	return n == 3 && is_disturbing(in) ? 0 : n;
}

/* Writes what stands for the next character of `in`; returns the bytes it took. */
static size_t
escape_one(char piece[8], const unsigned char *in, size_t len)
{
	size_t n = utf8_length(in, len);

	if (n > 0) {
		memcpy(piece, in, n);
		piece[n] = '\0';
		return n;
	}
	if (in[0] == '\n')
		snprintf(piece, 8, "\\n");
	else if (in[0] == '\t')
		snprintf(piece, 8, "\\t");
	else if (in[0] == '\\')
		snprintf(piece, 8, "\\\\");
	else if (in[0] < 0x20 || in[0] > 0x7e)
		snprintf(piece, 8, "\\x%02x", in[0]);
	else
		snprintf(piece, 8, "%c", in[0]);
	return 1;
}

void
text_escape(char *out, size_t size, const char *in, size_t len)
{
	size_t used = 0, dots = 0; /* dots: where "..." would still fit */
	char piece[8];

	if (size == 0)
		return;
	for (size_t i = 0; i < len;) {
		i += escape_one(piece, (const unsigned char *)in + i, len - i);
		size_t n = strlen(piece);
		if (n >= size - used) {
			str_copy(out + dots, size - dots, "...");
			return;
		}
		memcpy(out + used, piece, n);
		used += n;
		if (size - used > 3)
			dots = used;
	}
	out[used] = '\0';
}

uint64_t
fnv1a64(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t
random_u64(void)
{
	uint64_t value;
	ssize_t n;

	do
		n = getrandom(&value, sizeof(value), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(value)) {
		log_error("random", "the kernel gives none, this process ends");
		_exit(EXIT_FAILURE);
	}
	return value;
}

void
cleanup_free(void *p)
{
	free(*(void **)p);
}

void
cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void
cleanup_fclose(void *fp)
{
	FILE *file = *(FILE **)fp;

	if (file != NULL)
		fclose(file);
}
