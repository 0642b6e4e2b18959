/* SPDX-License-Identifier: ISC */
/*
 * The plugins that lictor.conf names, found before anything else is read, since they say
 * what sections there may be. Where they are not to be loaded, and where the agent cannot
 * load one any more, a class without code stands in for each. See build.h for the contract.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/blackbox.h"
#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/classes.h"
#include "agent/conf/fault.h"
#include "agent/conf/options.h"
#include "agent/conf/plugin.h"
#include "agent/conf/scan.h"

void
build_free_plugin(struct conf_plugin *plugin)
{
	if (plugin == NULL)
		return;
	free(plugin->name);
	free(plugin->left_out);
	free(plugin);
}

static int
check_name(struct build *build, const struct node *root, const char *name)
{
	const struct conf *conf = build->conf;

	if (!plugin_name_ok(name))
		return options_fault(root, "plugins", build->error,
		    "\"%.80s\" is no name of a plugin, expected 1 to %d of small "
		    "letters, digits and hyphen",
		    name, PLUGIN_NAME_MAX);
	if (classes_find(NULL, name) != NULL)
		return options_fault(root, "plugins", build->error,
		    "\"%s\" is built in, expected the name of a plugin", name);
	for (size_t i = 0; i < conf->n_plugins; i++)
		if (strcmp(conf->plugins[i]->name, name) == 0)
			return options_fault(root, "plugins", build->error,
			    "\"%s\" is given twice, expected it once", name);
	if (schema_reserves(name))
		return options_fault(root, "plugins", build->error,
		    "\"%s\" is an option or a section of lictor's own, expected the "
		    "name of a plugin",
		    name);
	if (conf->n_plugins == CONF_PLUGINS_MAX)
		return options_fault(root, "plugins", build->error,
		    "\"%s\" is one too many, expected at most %d", name,
		    CONF_PLUGINS_MAX);
	return 0;
}

static void
add_plugin(struct build *build, const struct node *root, const char *name)
{
	const struct node *option = node_find(root, "plugins");
	struct conf *conf = build->conf;
	struct conf_plugin *plugin = xcalloc(1, sizeof(*plugin));

	conf->plugins = build_grow(conf->plugins, conf->n_plugins);
	plugin->index = (uint32_t)conf->n_plugins;
	conf->plugins[conf->n_plugins++] = plugin;
	plugin->name = xstrdup(name);
	plugin->file = option->file;
	plugin->line = option->line;
}

/* Why the configuration that runs leaves it out; NULL: it does not. */
static const char *
left_out_now(const struct conf *running, const char *name)
{
	for (size_t i = 0; running != NULL && i < running->n_plugins; i++)
		if (strcmp(running->plugins[i]->name, name) == 0)
			return running->plugins[i]->left_out;
	return NULL;
}

static int
load(struct build *build, const struct node *root, const char *folder,
    struct conf_plugin *plugin)
{
	const struct conf_loading *loading = build->loading;
	struct blackbox_note note = { BLACKBOX_PLUGIN, plugin->index };
	char why[CONF_ERROR_MAX];
	const char *still = left_out_now(loading->running, plugin->name);

	if ((loading->left_out >> plugin->index & 1) != 0)
		still = loading->left_out_why;
	if (still != NULL) {
		plugin->left_out = xstrdup(still);
		return 0;
	}
	plugin->mark = plugin_mark(folder, plugin->name);
	struct blackbox_note before = blackbox_enter(loading->blackbox, note);
	int result = plugin_load(
	    build->host, folder, plugin->name, &plugin->class, why, sizeof(why));
	blackbox_leave(loading->blackbox, before);
	if (result == 0)
		classes_add(build->conf->classes, plugin->class);
	else if (loading->strict)
		return options_fault(root, "plugins", build->error, "%s", why);
	else
		plugin->left_out = xstrdup(why);
	return 0;
}

static int
name_all(struct build *build, const struct node *root, char *const *names)
{
	for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
		if (check_name(build, root, names[i]) != 0)
			return -1;
		add_plugin(build, root, names[i]);
	}
	return 0;
}

static int
find_classes(struct build *build, const struct node *root, const char *folder)
{
	struct conf *conf = build->conf;

	for (size_t i = 0; i < conf->n_plugins; i++) {
		struct conf_plugin *plugin = conf->plugins[i];
		if (build->loading != NULL && load(build, root, folder, plugin) != 0)
			return -1;
		if (plugin->class == NULL)
			plugin->class = classes_stand_in(conf->classes, plugin->name);
	}
	return 0;
}

int
build_plugins(struct build *build, const struct node *root)
{
	struct raw_node raw = { 0 };
	int result = options_fill(&raw, schema_node, root, build->host, build->error);

	if (result == 0)
		result = name_all(build, root, raw.plugins);
	if (result == 0)
		result = find_classes(build, root, raw.plugin_directory);
	options_free(&raw, schema_node);
	return result;
}
