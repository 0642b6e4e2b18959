/* SPDX-License-Identifier: ISC */
/*
 * Single orders to Consul's agent, beside the registrations and states that ledger keeps
 * equal: what left the configuration is removed, and on-stop is carried out. An order is
 * freed when it was carried out. Those that wait are thrown away when Consul's picture is read again, which finds
 * what is still to be done.
 */
#include "agent/consul/orders.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"

/* Longer ids are not ours: two names and what joins them. */
#define ID_MAX (2 * CONF_NAME_MAX + 2)
#define ESCAPED_MAX (3 * ID_MAX + 1)

struct order {
	struct outbox_item item;
	struct orders *orders;
	char *path, *what, *service;
	struct complaint complaint;
	LIST_ENTRY(order) link;
};

struct orders {
	struct outbox *outbox;
	int kind;
	LIST_HEAD(, order) list;
};

static void
order_free(struct order *order)
{
	outbox_drop(&order->item);
	LIST_REMOVE(order, link);
	free(order->path);
	free(order->what);
	free(order->service);
	free(order);
}

/* Takes path and what over. */
static void
order_new(struct orders *orders, char *path, char *what, const char *service)
{
	struct order *order = xcalloc(1, sizeof(*order));

	outbox_init(orders->outbox, &order->item, orders->kind, &order->complaint);
	order->orders = orders;
	order->path = path;
	order->what = what;
	order->service = service ? xstrdup(service) : NULL;
	LIST_INSERT_HEAD(&orders->list, order, link);
	outbox_put(&order->item, OUTBOX_REST);
}

struct orders *
orders_new(struct outbox *outbox, int kind)
{
	struct orders *orders = xcalloc(1, sizeof(*orders));

	orders->outbox = outbox;
	orders->kind = kind;
	LIST_INIT(&orders->list);
	return orders;
}

void
orders_clear(struct orders *orders)
{
	struct order *order, *next;

	for (order = LIST_FIRST(&orders->list); order; order = next) {
		next = LIST_NEXT(order, link);
		order_free(order);
	}
}

void
orders_free(struct orders *orders)
{
	if (!orders)
		return;
	orders_clear(orders);
	free(orders);
}

void
orders_remove(
    struct orders *orders, const char *what, const char *id, const char *service)
{
	char escaped[ESCAPED_MAX], shown[4 * ID_MAX];

	if (strlen(id) > ID_MAX)
		return;
	consul_escape(escaped, sizeof(escaped), id);
	text_escape(shown, sizeof(shown), id, strlen(id));
	log_notice("consul", "%s %s is configured no more: removing it", what, shown);
	order_new(orders, xasprintf("/v1/agent/%s/deregister/%s", what, escaped),
	    xasprintf("removing %s %s", what, shown), service);
}

static void
maintain(struct orders *orders, const struct conf_service *service)
{
	order_new(orders, desired_maintenance_path(service, true, DESIRED_STOPPED),
	    xasprintf("beginning the maintenance of %s", service->name), service->name);
}

static void
deregister(struct orders *orders, const struct conf_service *service)
{
	char id[ESCAPED_MAX];

	consul_escape(id, sizeof(id), service->id);
	order_new(orders, xasprintf("/v1/agent/service/deregister/%s", id),
	    xasprintf("removing service %s", service->name), service->name);
}

void
orders_stop(struct orders *orders, const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf->services[i];

		switch (service->on_stop) {
		case CONF_LEAVE: break;
		case CONF_MAINTENANCE: maintain(orders, service); break;
		case CONF_DEREGISTER: deregister(orders, service); break;
		}
	}
}

static const struct order *
order_of(const struct outbox_item *item)
{
	return (const struct order *)item;
}

const char *
orders_path(const struct outbox_item *item)
{
	return order_of(item)->path;
}

const char *
orders_what(const struct outbox_item *item)
{
	return order_of(item)->what;
}

const char *
orders_service(const struct outbox_item *item)
{
	return order_of(item)->service;
}

void
orders_answered(struct outbox_item *item, enum consul_result result)
{
	if (result == CONSUL_OK || result == CONSUL_NOT_FOUND)
		order_free((struct order *)item);
}
