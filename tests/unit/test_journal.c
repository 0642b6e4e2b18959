/* SPDX-License-Identifier: ISC */
/*
 * How far hooks have come, over deaths of the agent. Every sequence of three notes is tried
 * with a death after each; what a restart believes is stated anew here. Of a file that is not
 * as it was written nothing is believed that was not noted.
 */
#include "agent/failover/journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define STEPS 3
#define SIZE 512

enum op {
	PROMOTE,
	PROMOTED,
	PROMOTE_FAILED,
	DEMOTE,
	DEMOTED,
	DEMOTE_FAILED,
	FORGET,
	OPS
};

static char folder[32], path[64];

static void
act(struct journal *journal, enum op op, const char *role)
{
	static const enum journal_step steps[] = { JOURNAL_BEGUN, JOURNAL_DONE,
		JOURNAL_FAILED };

	if (op == FORGET)
		journal_forget(journal, role);
	else
		journal_note(journal, role,
		    op < DEMOTE ? JOURNAL_PROMOTE : JOURNAL_DEMOTE, steps[op % 3], 7);
}

/* The rule: promoted from a good end of promote on, until anything but promote is noted. */
struct model {
	bool promoted, demoted;
};

static void
model_act(struct model *model, enum op op)
{
	model->promoted = op == PROMOTED || (op == PROMOTE && model->promoted);
	model->demoted = op == DEMOTED;
}

static void
test_every_sequence(void)
{
	unsigned int count = 1, wrong = 0;

	for (int i = 0; i < STEPS; i++)
		count *= OPS;
	for (unsigned int sequence = 0; sequence < 2 * count; sequence++) {
		bool dies = sequence >= count;
		struct journal *journal = journal_new(path);
		struct model model = { false, false };
		unsigned int rest = sequence % count;

		journal_note(journal, "other", JOURNAL_PROMOTE, JOURNAL_DONE, 1);
		for (int i = 0; i < STEPS; i++, rest /= OPS) {
			act(journal, (enum op)(rest % OPS), "db");
			model_act(&model, (enum op)(rest % OPS));
			if (dies) {
				journal_free(journal);
				journal = journal_new(path);
			}
			wrong += journal_promoted(journal, "db") != model.promoted;
			wrong += journal_demoted(journal, "db") != model.demoted;
			wrong += !journal_promoted(journal, "other");
		}
		journal_free(journal);
		unlink(path);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static size_t
read_file(char out[SIZE])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, out, SIZE);

	return len < 0 ? 0 : (size_t)len;
}

static void
write_bytes(const char *bytes, size_t len)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_EQUAL(write(fd, bytes, len), (ssize_t)len);
}

static size_t
write_example(char out[SIZE])
{
	struct journal *journal = journal_new(path);

	act(journal, PROMOTED, "db");
	act(journal, DEMOTED, "web");
	act(journal, PROMOTE, "mail");
	journal_free(journal);
	return read_file(out);
}

/* True: nothing of it was not noted. */
static bool
believes_no_more(void)
{
	struct journal *journal = journal_new(path);
	bool good = !journal_promoted(journal, "web") &&
	    !journal_promoted(journal, "mail") && !journal_demoted(journal, "db") &&
	    !journal_demoted(journal, "mail");

	journal_free(journal);
	return good;
}

static int
silence(void)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	close(null);
	return saved;
}

static void
test_broken(void)
{
	char whole[SIZE], bytes[SIZE];
	size_t len = write_example(whole);
	unsigned int wrong = 0;
	int saved = silence();

	CU_ASSERT_FATAL(len > 0 && len < SIZE);
	for (size_t i = 0; i < len; i++) {
		write_bytes(whole, i);
		wrong += !believes_no_more();
		for (int bit = 0; bit < 8; bit += 3) {
			memcpy(bytes, whole, len);
			bytes[i] = (char)(bytes[i] ^ (1 << bit));
			write_bytes(bytes, len);
			wrong += !believes_no_more();
		}
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	CU_ASSERT_EQUAL(wrong, 0);
	unlink(path);
}

static void
test_another_boot(void)
{
	char whole[SIZE];
	size_t len = write_example(whole);
	char *id = strstr(whole, "hooks 1 ");

	CU_ASSERT_PTR_NOT_NULL_FATAL(id);
	struct journal *journal = journal_new(path);
	CU_ASSERT(journal_promoted(journal, "db") && journal_demoted(journal, "web"));
	journal_free(journal);
	id[8] = id[8] == '0' ? '1' : '0';
	write_bytes(whole, len);
	journal = journal_new(path);
	CU_ASSERT(!journal_promoted(journal, "db") && !journal_demoted(journal, "web"));
	journal_free(journal);
	unlink(path);
}

/* What was noted before does not stay there to be believed. */
static void
test_not_writable(void)
{
	char fresh[80];
	struct journal *journal = journal_new(path);
	int saved = silence();

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	act(journal, PROMOTED, "db");
	CU_ASSERT_EQUAL(mkdir(fresh, 0700), 0);
	act(journal, DEMOTE, "db");
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT_FALSE(journal_promoted(journal, "db"));
	rmdir(fresh);
	act(journal, DEMOTED, "db");
	dup2(saved, STDERR_FILENO);
	close(saved);
	journal_free(journal);
	journal = journal_new(path);
	CU_ASSERT(journal_demoted(journal, "db"));
	journal_free(journal);
	unlink(path);
}

static void
test_without_a_file(void)
{
	struct journal *journal = journal_new(NULL);

	act(journal, PROMOTED, "db");
	CU_ASSERT(journal_promoted(journal, "db"));
	journal_free(journal);
	journal_free(NULL);
}

static const struct tap_case cases[] = {
	{ "every sequence is known after a death", test_every_sequence },
	{ "a broken file makes nothing up", test_broken },
	{ "another boot's hooks do not count", test_another_boot },
	{ "what cannot be written is not there", test_not_writable },
	{ "without a file", test_without_a_file },
};

int
main(int argc, char **argv)
{
	memcpy(folder, "/tmp/lictor-journal-XXXXXX", 27);
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/hooks", folder);
	int status = tap_main(argc, argv, "journal", cases, ARRAY_LENGTH(cases));
	rmdir(folder);
	return status;
}
