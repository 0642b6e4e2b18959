/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CLIENT_H
#define LICTOR_CLIENT_H

#include <stddef.h>

#include "agent/base/json.h"

/*
 * One request over the control socket of a running lictord (control.h): connects, sends
 * `request` as a line and waits at most ten seconds for the answer, which is the caller's.
 * NULL with `why` if there is none.
 */
cJSON *client_ask_for(int seconds, const char *socket_path, const cJSON *request,
    char *why, size_t size);	/* 0: for ever */
cJSON *client_ask(const char *socket_path, const cJSON *request, char *why, size_t size);

#endif
