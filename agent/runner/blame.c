/* SPDX-License-Identifier: ISC */
/*
 * What the runner makes of an agent's end: the blackbox says in whose code it was, and what
 * happened too often decides what the next agent loads. The page is written by the agent,
 * which may be anybody's by then: what is read from it is only an index to be looked up,
 * and the orders for the next agent are kept here.
 */
#include "agent/runner/blame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/blackbox.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/runner/process.h"

#define CRASHES 3
#define CRASHES_MS 60000

struct blame {
	const struct conf *conf; /* whose indexes the agent notes */
	const struct conf *next; /* that it is turning to, or NULL */
	struct blackbox *box;
	struct blackbox_orders orders;
	struct record {
		unsigned int count;
		int64_t times[CRASHES]; /* of the last ones, each in its place */
	} * records; /* of each plugin, and at last of nobody */
};

struct blame *
blame_new(const struct conf *conf)
{
	struct blame *blame = xcalloc(1, sizeof(*blame));

	blame->conf = conf;
	blame->records = xcalloc(conf->n_plugins + 1, sizeof(*blame->records));
	blame->box = blackbox_new();
	if (blame->box == NULL)
		log_warning("runner",
		    "if a check crashes nobody will know which: no memory to share "
		    "with the agent (%s)",
		    strerror(errno));
	return blame;
}

void
blame_free(struct blame *blame)
{
	if (blame == NULL)
		return;
	blackbox_free(blame->box);
	free(blame->records);
	free(blame);
}

int
blame_fd(const struct blame *blame)
{
	return blackbox_fd(blame->box);
}

/* The index of the plugin of that name in the configuration so far; SIZE_MAX: none. */
static size_t
former_index(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_plugins; i++)
		if (strcmp(conf->plugins[i]->name, name) == 0)
			return i;
	return SIZE_MAX;
}

void
blame_turned(struct blame *blame)
{
	const struct conf *conf = blame->conf, *next = blame->next;
	uint64_t left_out = 0;

	if (next == NULL)
		return;
	struct record *records = xcalloc(next->n_plugins + 1, sizeof(*records));
	for (size_t i = 0; i < next->n_plugins; i++) {
		size_t former = former_index(conf, next->plugins[i]->name);
		if (former == SIZE_MAX)
			continue;
		records[i] = blame->records[former];
		left_out |= (blame->orders.left_out >> former & 1) << i;
	}
	records[next->n_plugins] = blame->records[conf->n_plugins];
	free(blame->records);
	blame->records = records;
	blame->orders.left_out = blame->orders.nobody_knows ? UINT64_MAX : left_out;
	blame->conf = next;
	blame->next = NULL;
}

/* For the next agent, while none runs. */
static void
blame_adopt(struct blame *blame)
{
	blame_turned(blame);
	blackbox_reset(blame->box, &blame->orders);
}

void
blame_turn(struct blame *blame, const struct conf *next, bool runs)
{
	blame->next = next;
	if (!runs)
		blame_adopt(blame);
}

/* True: that is too many. */
static bool
count(struct record *record, int64_t now)
{
	const int64_t *first = &record->times[(record->count + 1) % CRASHES];

	record->times[record->count % CRASHES] = now;
	record->count++;
	return record->count >= CRASHES && now - *first <= CRASHES_MS;
}

static void
count_plugin(struct blame *blame, const struct conf_plugin *plugin, int64_t now)
{
	if (count(&blame->records[plugin->index], now))
		blame->orders.left_out |= UINT64_C(1) << plugin->index;
}

/* In no check: a thread that a plugin made, or memory that it had spoilt before. It may have
 * been us, but an agent without plugins is worth more than none. */
static void
count_nobody(struct blame *blame, int64_t now)
{
	if (!count(&blame->records[blame->conf->n_plugins], now))
		return;
	blame->orders.left_out = UINT64_MAX;
	blame->orders.nobody_knows = true;
}

static const struct conf_plugin *
plugin_of(const struct conf *conf, const struct check_class *class)
{
	for (size_t i = 0; i < conf->n_plugins; i++)
		if (conf->plugins[i]->class == class)
			return conf->plugins[i];
	return NULL;
}

static const struct conf_plugin *
name_check(
    const struct conf *conf, const struct conf_check *check, char *where, size_t size)
{
	const struct conf_plugin *plugin = plugin_of(conf, check->class);
	char label[CONF_LABEL_MAX];

	conf_check_label(check, label);
	snprintf(where, size, " in the %s %s, in the check %s",
	    plugin != NULL ? "plugin" : "type of check", check->class->name, label);
	return plugin;
}

void
blame_end(struct blame *blame, const struct process_end *end, int64_t now, char *where,
    size_t size)
{
	const struct conf *conf = blame->conf;
	const struct conf_plugin *plugin = NULL;
	struct blackbox_note note = blackbox_read(blame->box);

	str_copy(where, size, "");
	blame->orders.how[0] = '\0';
	if (blame->next != NULL) {
		blame_adopt(blame);
		return;
	}
	if (end->of_itself && note.place == BLACKBOX_PLUGIN &&
	    note.index < conf->n_plugins) {
		plugin = conf->plugins[note.index];
		snprintf(where, size, " in the plugin %s, while it was loaded",
		    plugin->name);
	}
	if (end->of_itself && note.place == BLACKBOX_CHECK &&
	    note.index < conf->n_checks) {
		plugin = name_check(conf, conf->checks[note.index], where, size);
		blame->orders.check = note.index;
		str_copy(blame->orders.how, sizeof(blame->orders.how), end->how);
	}
	if (plugin != NULL)
		count_plugin(blame, plugin, now);
	else if (note.place == BLACKBOX_OURS && end->of_itself && end->signum != 0)
		count_nobody(blame, now);
	blackbox_reset(blame->box, &blame->orders);
}
