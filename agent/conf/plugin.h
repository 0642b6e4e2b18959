/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PLUGIN_H
#define LICTOR_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check_class;
struct host;

#define PLUGIN_NAME_MAX 31

/* [a-z0-9-], 1 to 31 of them. */
bool plugin_name_ok(const char *name);

/*
 * Loads FOLDER/NAME.so, which stays for the life of the process: a thread may be in it. The
 * file must be as safe from others as a command is (host.h). 0, or -1 with "what is wrong,
 * what is expected" in `why`. `host`: also the agent must be able to read it; NULL: this is
 * the agent.
 */
int plugin_load(const struct host *host, const char *folder, const char *name,
    const struct check_class **out, char *why, size_t why_size);

/* A number for the file that is loaded now: another file has another one; 0: there is none. */
uint64_t plugin_mark(const char *folder, const char *name);

/* Whether a class is one that lictord can work with; as above. */
int plugin_judge(
    const struct check_class *class, const char *name, char *why, size_t why_size);

#endif
