/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ORDERS_H
#define LICTOR_ORDERS_H

#include <stdbool.h>

#include "agent/consul/outbox.h"

struct conf;
struct conf_service;
struct orders;

/* What is asked of Consul's agent once: to remove what is ours no more, and what a stop
 * asks for. Orders are items of the outbox, of the given kind, and end when Consul has
 * done it or knows no such thing. */
struct orders *orders_new(struct outbox *outbox, int kind);
void orders_free(struct orders *orders);
void orders_clear(struct orders *orders);

/* `what` is "service" or "check"; `service` whose permission it takes, NULL: the node's. */
void orders_remove(struct orders *orders, const char *what, const char *id,
    const char *service);
/* As each service's on-stop says. */
void orders_stop(struct orders *orders, const struct conf *conf);

/* For the outbox's owner. */
const char *orders_path(const struct outbox_item *item);
const char *orders_what(const struct outbox_item *item);
const char *orders_service(const struct outbox_item *item);
void orders_answered(struct outbox_item *item, enum consul_result result);

#endif
