/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_MACHINE_H
#define LICTOR_MACHINE_H

#define MACHINE_ID_SIZE 33

/* /etc/machine-id (machine-id(5)), 32 hex digits; "": this host has none. */
void machine_id(char out[MACHINE_ID_SIZE]);

#endif
