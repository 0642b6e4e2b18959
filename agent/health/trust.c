/* SPDX-License-Identifier: ISC */
/*
 * The types of check that this agent does not rely on, since one of them ended the agent
 * before. What crashed once may crash again, and an agent that dies each time before it has
 * renewed its lease loses the address: so the type waits until all else goes on. What crashed
 * too often, or cannot be loaded, is not run at all. Either way states stay as they are.
 */
#include "agent/health/trust.h"

#include "agent/base/blackbox.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/sched.h"

#define WAIT_MS 5000 /* longer than a start and a renewal take */

static void
leave_out(struct sched *sched, const struct conf_plugin *plugin)
{
	AUTO_FREE char *why =
	    xasprintf("the plugin %s is left out: %s", plugin->name, plugin->left_out);

	sched_leave_out(sched, plugin->class, why);
}

static void
put_off(struct sched *sched, const struct conf_check *check, const char *how)
{
	char label[CONF_LABEL_MAX];

	conf_check_label(check, label);
	AUTO_FREE char *why = xasprintf(
	    "unknown, until it runs again: lictor's agent died (%s) in the %s check %s",
	    how, check->class->name, label);
	sched_put_off(sched, check->class, WAIT_MS, why);
}

void
trust_reload(struct sched *sched, const struct conf *next)
{
	for (size_t i = 0; i < next->n_plugins; i++)
		if (next->plugins[i]->left_out != NULL)
			leave_out(sched, next->plugins[i]);
}

void
trust_withdraw(struct sched *sched, const struct conf *conf, const struct blackbox *box)
{
	struct blackbox_orders orders;

	blackbox_orders(box, &orders);
	trust_reload(sched, conf);
	if (orders.how[0] != '\0' && orders.check < conf->n_checks)
		put_off(sched, conf->checks[orders.check], orders.how);
}
