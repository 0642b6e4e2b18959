/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_BPFFS_H
#define LICTOR_BPFFS_H

#include <stddef.h>
#include <sys/types.h>

/*
 * The folder that keeps what the fence pins, for the warden alone: "lictor" on the bpf file
 * system that is mounted on "bpf" in the runtime folder, or else at /sys/fs/bpf, or else
 * mounted by us on the former, which only root can. Made where it is missing and given to
 * the user as far as we may. Its descriptor (O_PATH), which is the caller's, or -errno with
 * `why`: there is no such folder that is the user's and nobody else's.
 */
int bpffs_open(uid_t uid, gid_t gid, char *why, size_t size);

#endif
