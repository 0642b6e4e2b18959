/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_NOTIFY_H
#define LICTOR_NOTIFY_H

/* Says "READY=1", "STOPPING=1", "WATCHDOG=1" to whoever started us and asked for it by
 * NOTIFY_SOCKET (sd_notify(3)); does nothing otherwise. Never blocks. */
void notify_send(const char *state);

#endif
