/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HOST_H
#define LICTOR_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/identity.h"

/* Who will read what the configuration names: the agent, which may be another user than the
 * one that looks. */
struct host {
	bool other;
	struct identity agent;
};
void host_begin(struct host *host);
void host_end(struct host *host);

/*
 * What the configuration asks of this host. Each returns 0, or -1 with "what is wrong, what
 * is expected" in `why`.
 */

/* A program: an absolute path, there, executable, and neither it nor a folder above it
 * (nor where a symbolic link on the way leads) may be written by another user than root
 * and ours. In a folder with the sticky bit only what is in it counts. */
int host_check_command(const char *path, char *why, size_t why_size);
/* A file that the agent can read, by an absolute path; `secret`: not by others than its
 * group, and written by nobody but its owner. */
int host_check_file(const struct host *host, const char *path, bool secret, char *why,
    size_t why_size);
/* A shared object: as safe as a command. `host` NULL: this is the agent. */
int host_check_plugin(
    const struct host *host, const char *path, char *why, size_t why_size);
/* A file or folder of the configuration, which names commands: as safe as these. */
int host_check_configuration(const char *path, char *why, size_t why_size);
int host_check_directory(const char *path, char *why, size_t why_size);
int host_check_user(const char *name, char *why, size_t why_size);
/* Not an address that this host has for good (without a lifetime, as the warden's have). */
int host_check_address(
    int family, const unsigned char *address, char *why, size_t why_size);
/* That the kernel lets the agent send echoes. */
int host_check_ping(const struct host *host, char *why, size_t why_size);

#endif
