/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_UPGRADE_H
#define LICTOR_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct upgrade;

/* What one version hands to the next across the exec; both descriptors, or -1 and -1. */
struct upgrade_kept {
	int lock_fd, control_fd;	/* of struct place */
};

struct upgrade_out {
	/* The new binary is good; called again by each upgrade_nudge until upgrade_begin. */
	void (*due)(void *arg);
	/* To an operator who asked. */
	void (*answer)(void *arg, uint64_t request, bool ok, const char *why);
	void *arg;
};

/*
 * A new version in the old one's place: the binary that is now where ours was started from is
 * opened and has to pass its own test of the configuration in `folder`; then the same process executes
 * it. `debug`: -d arguments, NULL at the end. All are borrowed.
 */
struct upgrade *upgrade_new(struct loop *loop, const char *folder,
    const char *const *debug, const struct upgrade_out *out);
void upgrade_free(struct upgrade *upgrade);

/* SIGUSR2 (`request` 0), or an operator, who gets an answer; one that goes on answers all. A
 * binary that is not good is said, and that was all. */
void upgrade_ask(struct upgrade *upgrade, uint64_t request);
/* Something has ended that `due` may have waited for. */
void upgrade_nudge(struct upgrade *upgrade);
/* It is done now: says so to those who asked. */
void upgrade_begin(struct upgrade *upgrade);

/* Executes it, after all else of this process has been ended. Signals that come from
 * upgrade_hold_signals on are the successor's. Returns -errno if that failed. */
int upgrade_exec(struct upgrade *upgrade, const struct upgrade_kept *kept);

/* At a start: was this process an earlier version before, and what did that keep? Closes all
 * other descriptors from 3 on, whether or not it was. */
bool upgrade_take(struct upgrade_kept *kept);
/* Signals are held back until there is somebody to hear them: SIGHUP and SIGUSR2, or also those
 * that stop. */
void upgrade_hold_signals(bool stops_too);
void upgrade_hear_signals(void);

#endif
