/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_UTIL_H
#define LICTOR_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, no sign, no leading zero but "0" itself. 0, or -EINVAL (not a
 * number) or -ERANGE; *out is untouched on failure. */
int parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* Bytes: a number, which K, M or G (of 1024) may follow. */
int parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "500ms", "2s", "1m", "1h"; "0s" is zero, a bare number is an error. Milliseconds. */
int parse_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *out);

/* "2s", "1m", "1h", "2250ms": the shortest form that parse_duration reads back. */
void format_duration(int64_t ms, char *out, size_t size);

/* Milliseconds, read now. What touches a lease reads CLOCK_BOOTTIME (it counts a
 * suspend); CLOCK_MONOTONIC_RAW is never slewed; the wall clock is for people; timers count
 * CLOCK_MONOTONIC, as loop_now. */
int64_t clock_boot_ms(void);
int64_t clock_monotonic_ms(void);
int64_t clock_raw_ms(void);
int64_t clock_wall_ms(void);

/* These end the process with a line when memory is out: nothing can be done then, and
 * the runner starts a fresh one. out_of_memory() is for libraries that return NULL. */
_Noreturn void out_of_memory(void);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t count, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A copy that always ends; false: it was cut. */
bool str_copy(char *out, size_t size, const char *in);

/* Text from outside made fit for one line: printable ASCII and valid UTF-8 stay, but for what
 * would turn the text around it; the rest becomes \n, \t, \\ or \xNN; "..." stands for what
 * did not fit. */
void text_escape(char *out, size_t size, const char *in, size_t len);

uint64_t fnv1a64(const void *data, size_t len);

/* From the kernel's generator; never fails (the process ends). */
uint64_t random_u64(void);

/* Bytes that grow up to a limit; what is beyond it is dropped and `full` set. Start with
 * { .limit = n }. `data` is NUL-terminated once anything was added (the NUL is not in len). */
struct buf {
	char *data;
	size_t len, size, limit;
	bool full;
};
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_printf(struct buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_free(struct buf *buf);

void cleanup_free(void *p);
void cleanup_close(int *fd);
void cleanup_fclose(void *fp);
#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))
#define AUTO_FCLOSE __attribute__((cleanup(cleanup_fclose)))

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

#endif
