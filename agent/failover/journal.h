/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_JOURNAL_H
#define LICTOR_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

struct journal;

enum journal_hook { JOURNAL_PROMOTE, JOURNAL_DEMOTE, JOURNAL_HOOKS };
enum journal_step {
	JOURNAL_BEGUN,
	JOURNAL_AGAIN,	/* begun once more, after an earlier one that ended well */
	JOURNAL_DONE,
	JOURNAL_FAILED,
	JOURNAL_STEPS
};

/* What the file at `path` says of this boot of the machine; one that is missing, unreadable or
 * of another boot says nothing. NULL: nothing is kept beyond this process. */
struct journal *journal_new(const char *path);
void journal_free(struct journal *journal);

/* The role's newest hook and how far it came, written when this returns. It must outlive the
 * process, not the machine. BEGUN becomes AGAIN by itself. What could not be written is said once,
 * and the file is removed: it would tell less than nothing. */
void journal_note(struct journal *journal, const char *role, enum journal_hook hook,
    enum journal_step step, uint64_t term);
/* The role is here no longer, and no hook says so. */
void journal_forget(struct journal *journal, const char *role);

/* Its promote hook has ended well, and what was begun since was nothing but that hook again. */
bool journal_promoted(const struct journal *journal, const char *role);
/* Its demote hook has ended well, and nothing was begun since. */
bool journal_demoted(const struct journal *journal, const char *role);

#endif
