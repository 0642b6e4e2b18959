/* SPDX-License-Identifier: ISC */
/*
 * Numbers, durations, text, buffers and log lines. Where there is a rule, it is tried on
 * all short texts or all bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"

/* Every text of up to five of these characters against a plain statement of the rule. */
static void
test_numbers(void)
{
	static const char alphabet[] = "0179 -+x";
	int wrong = 0;

	for (int len = 0; len <= 5; len++)
		for (int code = 0; code < 1 << (3 * len); code++) {
			char text[6] = "", back[24];
			uint64_t out = 77, value;
			for (int i = 0; i < len; i++)
				text[i] = alphabet[(code >> (3 * i)) & 7];
			int error = parse_uint(text, 7, 9999, &out);
			value = strtoull(text, NULL, 10);
			snprintf(back, sizeof(back), "%" PRIu64, value);
			int expected = strcmp(back, text) != 0 ? -EINVAL
			    : value < 7 || value > 9999        ? -ERANGE
							       : 0;
			wrong += error != expected || out != (error == 0 ? value : 77);
		}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
test_number_limits(void)
{
	uint64_t out = 77;

	CU_ASSERT_EQUAL(parse_uint("18446744073709551615", 0, UINT64_MAX, &out), 0);
	CU_ASSERT_EQUAL(out, UINT64_MAX);
	CU_ASSERT_EQUAL(
	    parse_uint("18446744073709551616", 0, UINT64_MAX, &out), -ERANGE);
	CU_ASSERT_EQUAL(parse_uint("99999999999999999999999", 0, 9, &out), -ERANGE);
	CU_ASSERT_EQUAL(parse_uint("9999999999999999999999x", 0, 9, &out), -EINVAL);
	CU_ASSERT_EQUAL(parse_uint("0999999999999999999999999", 0, 9, &out), -EINVAL);
	CU_ASSERT_EQUAL(out, UINT64_MAX);
}

/* What is printed is read back, and no unit would be shorter. */
static void
test_durations_come_back(void)
{
	static const int64_t units[] = { 1, 1000, 60000, 3600000 };
	int wrong = 0;

	for (int64_t ms = 0; ms < 400000000; ms += ms < 5000 ? 1 : 7500) {
		char text[32], other[32];
		int64_t back = -1;
		format_duration(ms, text, sizeof(text));
		wrong += parse_duration(text, 0, INT64_MAX, &back) != 0 || back != ms;
		for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
			snprintf(other, sizeof(other), "%" PRId64 "%s", ms / units[i],
			    i == 0 ? "ms" : "s");
			wrong += ms % units[i] == 0 && strlen(other) < strlen(text);
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
test_durations(void)
{
	static const struct {
		const char *text;
		int error;
		int64_t ms;
	} rows[] = {
		{ "0s", 0, 0 },
		{ "500ms", 0, 500 },
		{ "2s", 0, 2000 },
		{ "1m", 0, 60000 },
		{ "1h", 0, 3600000 },
		{ "0", -EINVAL, 0 },
		{ "10", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "ms", -EINVAL, 0 },
		{ "1 s", -EINVAL, 0 },
		{ " 1s", -EINVAL, 0 },
		{ "1s ", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "+1s", -EINVAL, 0 },
		{ "1.5s", -EINVAL, 0 },
		{ "01s", -EINVAL, 0 },
		{ "00s", -EINVAL, 0 },
		{ "1S", -EINVAL, 0 },
		{ "1d", -EINVAL, 0 },
		{ "1sec", -EINVAL, 0 },
		{ "25h", -ERANGE, 0 },
		{ "9223372036854775807ms", -ERANGE, 0 },
		{ "9223372036854775807h", -ERANGE, 0 },
		{ "99999999999999999999999s", -ERANGE, 0 },
		{ "099999999999999999999999s", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		int64_t out = 77;
		CU_ASSERT_EQUAL(
		    parse_duration(rows[i].text, 0, 86400000, &out), rows[i].error);
		CU_ASSERT_EQUAL(out, rows[i].error == 0 ? rows[i].ms : 77);
	}
	int64_t out = 77;
	CU_ASSERT_EQUAL(parse_duration("99ms", 100, 200, &out), -ERANGE);
	CU_ASSERT_EQUAL(parse_duration("100ms", 100, 200, &out), 0);
}

static void
test_sizes(void)
{
	static const struct {
		const char *text;
		int error;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "1K", 0, 1024 },
		{ "64M", 0, 67108864 },
		{ "2G", 0, 2147483648 },
		{ "", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "64m", -EINVAL, 0 },
		{ "64MB", -EINVAL, 0 },
		{ "64 M", -EINVAL, 0 },
		{ " 64M", -EINVAL, 0 },
		{ "-1M", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "064M", -EINVAL, 0 },
		{ "1T", -EINVAL, 0 },
		{ "5G", -ERANGE, 0 },
		{ "18014398509481984K", -ERANGE, 0 },
		{ "99999999999999999999999M", -ERANGE, 0 },
		{ "099999999999999999999999M", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		uint64_t out = 77;
		CU_ASSERT_EQUAL(
		    parse_size(rows[i].text, 0, 4294967296, &out), rows[i].error);
		CU_ASSERT_EQUAL(out, rows[i].error == 0 ? rows[i].bytes : 77);
	}
	uint64_t out = 77;
	CU_ASSERT_EQUAL(parse_size("1023", 1024, 2048, &out), -ERANGE);
	CU_ASSERT_EQUAL(parse_size("1K", 1024, 2048, &out), 0);
}

static void
test_copies_end(void)
{
	for (size_t size = 0; size <= 6; size++) {
		char out[8];
		memset(out, '#', sizeof(out));
		CU_ASSERT_EQUAL(str_copy(out, size, "four"), size > 4);
		if (size > 0)
			CU_ASSERT_EQUAL(strlen(out), size > 4 ? 4 : size - 1);
		CU_ASSERT_EQUAL(out[size], '#');
	}
}

static void
test_every_byte_is_escaped(void)
{
	for (int c = 0; c < 256; c++) {
		char in = (char)c, out[16], expected[16];
		text_escape(out, sizeof(out), &in, 1);
		if (c == '\n' || c == '\t')
			str_copy(expected, sizeof(expected), c == '\n' ? "\\n" : "\\t");
		else if (c == '\\')
			str_copy(expected, sizeof(expected), "\\\\");
		else if (c < 0x20 || c > 0x7e)
			snprintf(
			    expected, sizeof(expected), "\\x%02x", (unsigned int)c);
		else
			snprintf(expected, sizeof(expected), "%c", c);
		CU_ASSERT_STRING_EQUAL(out, expected);
	}
}

/* The encoding of every code point stays, but for controls, among them those of direction and
 * the two ends of a line or paragraph; surrogates and what is beyond Unicode do not. */
static void
test_utf8_stays(void)
{
	int wrong = 0;

	for (unsigned int code = 0x80; code < 0x200000; code++) {
		char in[5] = "", out[24];
		size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
		for (size_t i = len - 1; i > 0; i--)
			in[i] = (char)(0x80 | ((code >> (6 * (len - 1 - i))) & 0x3f));
		in[0] = (char)((0xf00u >> len) | (code >> (6 * (len - 1))));
		bool good = code >= 0xa0 && (code < 0xd800 || code > 0xdfff) &&
		    code <= 0x10ffff && code != 0x200e && code != 0x200f &&
		    (code < 0x2028 || code > 0x202e) &&
		    (code < 0x2066 || code > 0x2069);
		text_escape(out, sizeof(out), in, len);
		wrong += (strcmp(in, out) == 0) != good;
		text_escape(out, sizeof(out), in, len - 1);
		wrong += out[0] != '\\';
	}
	CU_ASSERT_EQUAL(wrong, 0);
	char out[24];
	text_escape(out, sizeof(out), "\xc0\x80\xe0\x80\x80", 5);
	CU_ASSERT_STRING_EQUAL(out, "\\xc0\\x80\\xe0\\x80\\x80");
}

/* In every size: it ends, whole pieces only, and "..." stands for what is missing. */
static void
test_escaped_text_fits(void)
{
	static const char in[] = "ab\n\xc3\xa4\x01z", whole[] = "ab\\n\xc3\xa4\\x01z";
	static const size_t ends[] = { 0, 1, 2, 4, 6, 10, 11 };

	for (size_t size = 1; size <= sizeof(whole) + 1; size++) {
		char out[32], expected[32];
		memset(out, '#', sizeof(out));
		text_escape(out, size, in, strlen(in));
		size_t kept = 0;
		for (size_t i = 0; i < ARRAY_LENGTH(ends); i++)
			if (ends[i] + 3 < size)
				kept = ends[i];
		AUTO_FREE char *cut = xasprintf("%.*s...", (int)kept, whole);
		str_copy(expected, size, size > strlen(whole) ? whole : cut);
		CU_ASSERT_STRING_EQUAL(out, expected);
		CU_ASSERT_EQUAL(out[size], '#');
	}
}

static void
test_hash_and_random(void)
{
	/* The vectors of the reference, draft-eastlake-fnv. */
	CU_ASSERT_EQUAL(fnv1a64("", 0), UINT64_C(0xcbf29ce484222325));
	CU_ASSERT_EQUAL(fnv1a64("a", 1), UINT64_C(0xaf63dc4c8601ec8c));
	CU_ASSERT_EQUAL(fnv1a64("foobar", 6), UINT64_C(0x85944171f73967e8));
	CU_ASSERT_NOT_EQUAL(random_u64(), random_u64());
}

static void
test_clocks(void)
{
	int64_t boot = clock_boot_ms(), raw = clock_raw_ms();

	CU_ASSERT_TRUE(clock_boot_ms() >= boot && clock_boot_ms() < boot + 5000);
	CU_ASSERT_TRUE(clock_raw_ms() >= raw && clock_raw_ms() < raw + 5000);
	CU_ASSERT_TRUE(clock_wall_ms() > INT64_C(1600000000000));
}

/* For every limit and every way to cut twenty bytes in three. */
static void
test_buffers_keep_their_limit(void)
{
	static const char bytes[] = "abcdefghijklmnopqrst";
	int wrong = 0;

	for (size_t limit = 0; limit <= 21; limit++)
		for (size_t a = 0; a <= 20; a++)
			for (size_t b = a; b <= 20; b++) {
				struct buf buf = { .limit = limit };
				buf_add(&buf, bytes, a);
				buf_add(&buf, bytes + a, b - a);
				buf_printf(&buf, "%s", bytes + b);
				size_t len = limit < 20 ? limit : 20;
				wrong += buf.len != len || buf.full != (limit < 20) ||
				    memcmp(buf.data, bytes, len) != 0 ||
				    buf.data[len] != '\0';
				buf_free(&buf);
				wrong += buf.data != NULL || buf.len != 0 || buf.full;
			}
	CU_ASSERT_EQUAL(wrong, 0);
	struct buf big = { .limit = 100000 };
	for (int i = 0; i < 3000; i++)
		buf_printf(&big, "%08d,", i);
	CU_ASSERT_EQUAL(big.len, 27000);
	CU_ASSERT_FALSE(big.full);
	CU_ASSERT_STRING_EQUAL(big.data + 26991, "00002999,");
	buf_free(&big);
}

/* Standard error of what `say` logs, read back. */
static void
capture(char *out, size_t size, const char *process, bool journal, void (*say)(void))
{
	int saved = dup(STDERR_FILENO), fds[2];
	struct stat st;
	char stream[64];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino + !journal);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(process);
	say();
	dup2(saved, STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	log_init("agent");
	close(saved);
	close(fds[1]);
	ssize_t n = read(fds[0], out, size - 1);
	out[n < 0 ? 0 : n] = '\0';
	close(fds[0]);
}

static void
say_levels(void)
{
	log_error("vip", "it %s", "failed");
	log_warning("vip", "w");
	log_notice("vip", "n");
	log_info("vip", "i\nforged: \x1b[31m \x7f \xc3\xa4");
	log_debug("vip", "never");
}

static void
test_log_lines(void)
{
	char out[1024];
	regex_t line;

	capture(out, sizeof(out), "agent", true, say_levels);
	CU_ASSERT_STRING_EQUAL(out,
	    "<3>vip: it failed\n<4>vip: w\n<5>vip: n\n"
	    "<6>vip: i?forged: ?[31m ? \xc3\xa4\n");
	capture(out, sizeof(out), "warden", true, say_levels);
	CU_ASSERT_NSTRING_EQUAL(out, "<3>warden vip: it failed\n", 25);
	CU_ASSERT_EQUAL(regcomp(&line,
			    "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"
			    "\\.[0-9]{3} error runner vip: it failed$",
			    REG_EXTENDED | REG_NEWLINE | REG_NOSUB),
	    0);
	capture(out, sizeof(out), "runner", false, say_levels);
	CU_ASSERT_EQUAL(regexec(&line, out, 0, NULL, 0), 0);
	regfree(&line);
}

static void
say_much(void)
{
	AUTO_FREE char *text = xcalloc(5001, 1);

	memset(text, 'x', 5000);
	errno = EXDEV;
	log_error("role", "%s", text);
	log_error("role", "next");
	CU_ASSERT_EQUAL(errno, EXDEV);
}

static void
test_long_lines_are_cut(void)
{
	static char out[8192];

	capture(out, sizeof(out), "agent", true, say_much);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "xxx...\n<3>role: next\n"));
	CU_ASSERT_TRUE(strlen(out) < 2100);
}

static void
say_debug(void)
{
	log_debug("hook", "heard");
	log_debug("peer", "not heard");
}

static void
test_debug_by_subject(void)
{
	static const char *const subjects[] = { "conf", "check", "consul", "role",
		"peer", "vip", "hook", "loop" };
	char out[256];

	CU_ASSERT_FALSE(log_debug_subject("nothing"));
	CU_ASSERT_FALSE(log_debug_subject(""));
	for (size_t i = 0; i < ARRAY_LENGTH(subjects); i++)
		CU_ASSERT_FALSE(log_debug_on(subjects[i]));
	CU_ASSERT_TRUE(log_debug_subject("hook"));
	capture(out, sizeof(out), "agent", true, say_debug);
	CU_ASSERT_STRING_EQUAL(out, "<7>hook: heard\n");
	for (size_t i = 0; i < ARRAY_LENGTH(subjects); i++)
		CU_ASSERT_EQUAL(
		    log_debug_on(subjects[i]), strcmp(subjects[i], "hook") == 0);
	CU_ASSERT_TRUE(log_debug_subject("all"));
	for (size_t i = 0; i < ARRAY_LENGTH(subjects); i++)
		CU_ASSERT_TRUE(log_debug_on(subjects[i]));
}

static void
test_cleanup(void)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	{
		AUTO_CLOSE int fd = fds[0];
		AUTO_CLOSE int none = -1;
		AUTO_FCLOSE FILE *file = fdopen(fds[1], "w");
		AUTO_FCLOSE FILE *nothing = NULL;
		AUTO_FREE char *text = xstrndup("abc", 2);
		CU_ASSERT_STRING_EQUAL(text, "ab");
		CU_ASSERT_TRUE(fd >= 0 && none < 0 && file != NULL && nothing == NULL);
	}
	CU_ASSERT_TRUE(close(fds[0]) != 0 && errno == EBADF);
	CU_ASSERT_TRUE(close(fds[1]) != 0 && errno == EBADF);
}

static const struct tap_case cases[] = {
	{ "numbers", test_numbers },
	{ "limits of numbers", test_number_limits },
	{ "durations come back", test_durations_come_back },
	{ "durations", test_durations },
	{ "only sizes are sizes", test_sizes },
	{ "copies end", test_copies_end },
	{ "every byte is escaped", test_every_byte_is_escaped },
	{ "UTF-8 stays", test_utf8_stays },
	{ "escaped text fits", test_escaped_text_fits },
	{ "hash and random", test_hash_and_random },
	{ "clocks", test_clocks },
	{ "buffers keep their limit", test_buffers_keep_their_limit },
	{ "log lines", test_log_lines },
	{ "long lines are cut", test_long_lines_are_cut },
	{ "debug by subject", test_debug_by_subject },
	{ "clean-up helpers", test_cleanup },
};

TAP_MAIN("base", cases)
