/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SCRIPTED_H
#define LICTOR_SCRIPTED_H

#include <stdbool.h>
#include <stddef.h>

struct loop;
struct scripted;
struct scripted_call;

/* An HTTP server on the test's own loop that says what a script says, now, later or never:
 * for how answers are judged, not for what Consul does. Each request has a connection of
 * its own. `asked` gets the whole request as it came. */
struct scripted *scripted_new(struct loop *loop,
    void (*asked)(void *arg, const char *request, struct scripted_call *call), void *arg);
void scripted_free(struct scripted *server);	/* and all calls that wait */

const char *scripted_address(const struct scripted *server);

/* `headers`: "Name: value\r\n"… or "". Each ends the call. */
void scripted_answer(struct scripted_call *call, int status, const char *headers,
    const char *body);
void scripted_raw(struct scripted_call *call, const char *bytes);
/* Whether a call still waits: it was not answered, and who asked has not gone. */
bool scripted_waits(const struct scripted *server, const struct scripted_call *call);

#endif
