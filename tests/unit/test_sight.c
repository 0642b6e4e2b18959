/* SPDX-License-Identifier: ISC */
/*
 * Said once when an own node that cannot be seen has lasted, and once that it is seen
 * again: every course of six answers, a second apart, each that shows something, nothing
 * or fails, against the rule stated a second time.
 */
#include "agent/consul/sight.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/consul/consul.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define ANSWERS 6
#define COURSES 729 /* 3^6 */
#define PATIENCE 3 /* seconds */

enum answer { SEEN, BLIND, FAILED };

static void
look(struct sight *sight, enum answer answer)
{
	cJSON *json = cJSON_Parse(answer == SEEN ? "[{}]" : "[]");
	struct consul_reply reply = {
		.result = answer == FAILED ? CONSUL_BUSY : CONSUL_OK,
		.why = "ok",
		.json = json,
	};

	sight_look(sight, &reply);
	cJSON_Delete(json);
}

/* Says the course's lines: W for the warning, N for the notice. */
static void
expect(int course, char *out)
{
	int blind_for = -1;
	bool said = false;

	for (int i = 0; i < ANSWERS; i++, course /= 3) {
		if (course % 3 == SEEN) {
			if (said)
				*out++ = 'N';
			said = false;
			blind_for = -1;
		} else if (course % 3 == BLIND && blind_for < 0) {
			blind_for = 0;
		}
		if (blind_for >= 0 && ++blind_for == PATIENCE) {
			*out++ = 'W';
			said = true;
		}
	}
	*out = '\0';
}

static void
read_lines(int fd, char *out)
{
	char text[4096], *line = text;
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		*out++ = strstr(line, "node_prefix \"\" read") ? 'W'
		    : strstr(line, "shows the node n1 again")  ? 'N'
							       : '?';
	}
	*out = '\0';
}

static void
run_course(int course, int log)
{
	struct loop *loop = loop_new();
	struct sight *sight = sight_new(loop, "n1");
	char want[2 * ANSWERS + 1], got[2 * ANSWERS + 1];

	CU_ASSERT_EQUAL_FATAL(ftruncate(log, 0), 0);
	lseek(log, 0, SEEK_SET);
	expect(course, want);
	for (int i = 0, rest = course; i < ANSWERS; i++, rest /= 3) {
		look(sight, (enum answer)(rest % 3));
		virtual_loop_run(loop, 1000);
	}
	read_lines(log, got);
	CU_ASSERT_STRING_EQUAL(got, want);
	sight_free(sight);
	loop_free(loop);
}

static void
test_courses(void)
{
	int log = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int keep = fcntl(2, F_DUPFD_CLOEXEC, 3);

	CU_ASSERT_TRUE_FATAL(log >= 0 && keep >= 0);
	dup2(log, 2);
	for (int course = 0; course < COURSES; course++)
		run_course(course, 2);
	dup2(keep, 2);
	close(keep);
	close(log);
	sight_free(NULL);
}

static const struct tap_case cases[] = {
	{ "every course of six answers", test_courses },
};
TAP_MAIN("sight", cases)
