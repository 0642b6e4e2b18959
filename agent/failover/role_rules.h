/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLE_RULES_H
#define LICTOR_ROLE_RULES_H

#include "agent/failover/role_state.h"

/*
 * The machine as tables, in the order in which their rows are tried: what a step does is
 * the rows, and `lictord --draw-roles` draws the rows themselves. Each table is at the end
 * of the file whose functions it names.
 */

#define IN_STANDBY (1U << ROLE_STANDBY)
#define IN_WAITING (1U << ROLE_WAITING)
#define IN_MASTER (1U << ROLE_MASTER)
#define ANYWHERE (IN_STANDBY | IN_WAITING | IN_MASTER)
#define STAYS 0U

/*
 * What to do next (section 6 of the protocol's page): of all rows for the state whose
 * `applies` is true, in turn, until one that is `last`. `to`: the states it may lead to, or
 * STAYS. `applies` may ask for a wake-up, and changes nothing else.
 */
struct role_rule {
	unsigned int states;
	const char *when, *what;	/* "": nothing */
	bool (*applies)(struct role *role);
	void (*act)(struct role *role);	/* NULL: nothing */
	unsigned int to;
	bool last;
};
extern const struct role_rule role_decisions[];
extern const size_t role_decisions_count;

/* stay.c: what the MASTER's rows name. */
void stay_recreate(struct role *role);
bool stay_must_stop(struct role *role);
void stay_give_stopping(struct role *role);
bool stay_must_yield(struct role *role);
void stay_give_yielding(struct role *role);
bool stay_is_unwell_and_claimed(struct role *role);
void stay_give_claimant(struct role *role);
void stay_watch_preferred(struct role *role);
bool stay_is_held_back(struct role *role);
void stay_say_limit(struct role *role);
bool stay_is_unwell_and_replaceable(struct role *role);
void stay_give_unwell(struct role *role);
bool stay_is_preempted(struct role *role);
void stay_give_preferred(struct role *role);
bool stay_is_to_leave(struct role *role);
void stay_leave(struct role *role);
bool stay_has_left(struct role *role);
void stay_step_aside(struct role *role);
bool stay_is_claimed(struct role *role);
bool stay_is_claimed_leaving(struct role *role);
void stay_own_again(struct role *role);
bool stay_has_changed(struct role *role);
void stay_own_changed(struct role *role);

/* A newer content of the register. */
struct role_news {
	bool own;			/* by the write that was out, */
	enum role_write kind;		/* of that kind, */
	struct role_now sent;		/* sent then */
	int64_t shown_at;		/* when the consistent read that shows it was sent */
};

/* What newer content means (section 5, LEARN): the first row that applies. */
struct role_lesson {
	unsigned int states;
	const char *when, *what;
	bool (*applies)(const struct role *role, const struct role_news *news);
	void (*act)(struct role *role, const struct role_news *news);
	unsigned int to;
};
extern const struct role_lesson role_lessons[];
extern const size_t role_lessons_count;

/* What ends a state without new content and without a decision. */
struct role_fall_row {
	unsigned int states;
	const char *when;
	enum role_reason reason;
	unsigned int to;
};
extern const struct role_fall_row role_falls[ROLE_FALLS];

/* Who may write what (section 2), on the content known. */
struct role_write_row {
	enum role_write kind;
	const char *when, *content;
	bool (*allowed)(const struct role *role);
};
extern const struct role_write_row role_writes[ROLE_ABANDON + 1];

#endif
