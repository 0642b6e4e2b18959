/* SPDX-License-Identifier: ISC */
/*
 * How far the hooks of each role have come, for whoever is started after this process died:
 * an agent that adopts a role whose promote hook had ended well need not keep the address
 * back until it has ended again, and one that finds a demote hook cut short runs it again.
 * The file is in the runtime folder, which lives as long as what the hooks have done: until
 * the machine is started again. So it is written beside and renamed, but not synchronised,
 * and it names the boot that it is of.
 *
 * hooks asks and notes. The invariant: what is on its way is in the file before it begins.
 */
#include "agent/failover/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/util.h"

#define HEAD "lictor hooks 1 "
#define ENTRIES_MAX 4096 /* of a file */

static const char *const hooks[] = {
	[JOURNAL_PROMOTE] = "promote",
	[JOURNAL_DEMOTE] = "demote",
};
_Static_assert(ARRAY_LENGTH(hooks) == JOURNAL_HOOKS, "a word for each hook");

static const char *const steps[] = {
	[JOURNAL_BEGUN] = "begun",
	[JOURNAL_AGAIN] = "again",
	[JOURNAL_DONE] = "done",
	[JOURNAL_FAILED] = "failed",
};
_Static_assert(ARRAY_LENGTH(steps) == JOURNAL_STEPS, "a word for each step");

struct entry {
	char *role;
	enum journal_hook hook;
	enum journal_step step;
	uint64_t term;
};

struct journal {
	char *path; /* NULL: none */
	char boot[64];
	struct entry *entries;
	size_t count;
	bool failed; /* which was said */
};

static void
read_boot(char boot[64])
{
	AUTO_FCLOSE FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (file == NULL || fgets(boot, 64, file) == NULL)
		str_copy(boot, 64, "unknown");
	boot[strcspn(boot, "\n")] = '\0';
}

/* ---- the entries ---- */

static struct entry *
find(const struct journal *journal, const char *role)
{
	for (size_t i = 0; i < journal->count; i++)
		if (strcmp(journal->entries[i].role, role) == 0)
			return &journal->entries[i];
	return NULL;
}

static struct entry *
add(struct journal *journal, const char *role)
{
	journal->entries =
	    xrealloc(journal->entries, journal->count + 1, sizeof(*journal->entries));
	struct entry *entry = &journal->entries[journal->count++];
	*entry = (struct entry){ .role = xstrdup(role) };
	return entry;
}

bool
journal_promoted(const struct journal *journal, const char *role)
{
	const struct entry *entry = find(journal, role);

	return entry != NULL && entry->hook == JOURNAL_PROMOTE &&
	    (entry->step == JOURNAL_DONE || entry->step == JOURNAL_AGAIN);
}

bool
journal_demoted(const struct journal *journal, const char *role)
{
	const struct entry *entry = find(journal, role);

	return entry != NULL && entry->hook == JOURNAL_DEMOTE &&
	    entry->step == JOURNAL_DONE;
}

/* ---- the file ---- */

static int
word_index(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

/* "HOOK STEP TERM ROLE". False: it is none of ours. */
static bool
take_line(struct journal *journal, char *line)
{
	char hook[16], step[16], number[24];
	uint64_t term;
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%15s %15s %23s %n", hook, step, number, &at) != 3 ||
	    parse_uint(number, 0, UINT64_MAX, &term) != 0 || at == 0 ||
	    line[at] == '\0' || find(journal, line + at) != NULL)
		return false;
	int which = word_index(hook, hooks, JOURNAL_HOOKS);
	int how = word_index(step, steps, JOURNAL_STEPS);
	if (which < 0 || how < 0)
		return false;
	struct entry *entry = add(journal, line + at);
	entry->hook = (enum journal_hook)which;
	entry->step = (enum journal_step)how;
	entry->term = term;
	return true;
}

static void
drop_all(struct journal *journal)
{
	for (size_t i = 0; i < journal->count; i++)
		free(journal->entries[i].role);
	free(journal->entries);
	journal->entries = NULL;
	journal->count = 0;
}

/* A file with one bad line is not trusted at all. */
static void
load(struct journal *journal)
{
	AUTO_FCLOSE FILE *file = fopen(journal->path, "re");
	AUTO_FREE char *head = xasprintf(HEAD "%s\n", journal->boot);
	AUTO_FREE char *line = NULL;
	size_t size = 0;
	bool good = true;

	if (file == NULL || getline(&line, &size, file) <= 0 || strcmp(line, head) != 0)
		return;
	while (good && journal->count < ENTRIES_MAX && getline(&line, &size, file) > 0)
		good = take_line(journal, line);
	if (good)
		return;
	drop_all(journal);
	log_warning("hook", "%s is not understood: hooks run as at a first start",
	    journal->path);
}

/* 0 or -errno. */
static int
print(const struct journal *journal, const char *path)
{
	AUTO_FCLOSE FILE *file = fopen(path, "we");

	if (file == NULL)
		return -errno;
	fprintf(file, HEAD "%s\n", journal->boot);
	for (size_t i = 0; i < journal->count; i++) {
		const struct entry *entry = &journal->entries[i];
		fprintf(file, "%s %s %" PRIu64 " %s\n", hooks[entry->hook],
		    steps[entry->step], entry->term, entry->role);
	}
	return fflush(file) == 0 && ferror(file) == 0 ? 0 : -EIO;
}

static void
save(struct journal *journal)
{
	if (journal->path == NULL)
		return;
	AUTO_FREE char *fresh = xasprintf("%s.new", journal->path);
	int error = print(journal, fresh);
	if (error == 0 && rename(fresh, journal->path) != 0)
		error = -errno;
	if (error != 0)
		unlink(journal->path);
	if (error != 0 && !journal->failed)
		log_warning("hook",
		    "%s cannot be written: %s; after a restart hooks run as at a "
		    "first start",
		    journal->path, strerror(-error));
	journal->failed = error != 0;
}

/* ---- what is noted ---- */

void
journal_note(struct journal *journal, const char *role, enum journal_hook hook,
    enum journal_step step, uint64_t term)
{
	bool again = hook == JOURNAL_PROMOTE && step == JOURNAL_BEGUN &&
	    journal_promoted(journal, role);
	struct entry *entry = find(journal, role);

	if (entry == NULL)
		entry = add(journal, role);
	entry->hook = hook;
	entry->step = again ? JOURNAL_AGAIN : step;
	entry->term = term;
	save(journal);
}

void
journal_forget(struct journal *journal, const char *role)
{
	struct entry *entry = find(journal, role);

	if (entry == NULL)
		return;
	free(entry->role);
	*entry = journal->entries[--journal->count];
	save(journal);
}

struct journal *
journal_new(const char *path)
{
	struct journal *journal = xcalloc(1, sizeof(*journal));

	read_boot(journal->boot);
	journal->path = path != NULL ? xstrdup(path) : NULL;
	if (path != NULL)
		load(journal);
	return journal;
}

void
journal_free(struct journal *journal)
{
	if (journal == NULL)
		return;
	drop_all(journal);
	free(journal->path);
	free(journal);
}
