/* SPDX-License-Identifier: ISC */
/*
 * The configuration from bytes to an immutable tree: the plugins are found, every file is
 * parsed (tree.c), then the node's options, the services with their checks and at last the
 * roles are made of the trees (build_*.c). The tree of structs owns all it points to and keeps the bytes
 * for the other processes. Invariant: the order of files and of sections in them decides
 * every index, so the same bytes give the same indexes everywhere.
 */
#include "agent/conf/conf.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/bundle.h"
#include "agent/conf/classes.h"
#include "agent/conf/host.h"
#include "agent/conf/scan.h"
#include "agent/conf/schema.h"
#include "agent/conf/tree.h"

/* The files of a bundle as trees. */
struct trees {
	struct node **roots;
	size_t count;
};

static void
free_trees(struct trees *trees)
{
	for (size_t i = 0; i < trees->count; i++)
		node_free(trees->roots[i]);
	free(trees->roots);
}

/* What may stand in the files depends on the plugins, which one of the files names. */
static int
find_plugins(struct build *build)
{
	const struct bundle_file *file = &build->bundle->files[BUNDLE_NODE];
	struct node *root = tree_parse(
	    file->name, file->text, file->len, &schema_node_alone, build->error);

	if (root == NULL)
		return -1;
	int result = build_plugins(build, root);
	node_free(root);
	return result;
}

static int
parse_files(struct build *build, struct trees *trees)
{
	const struct conf_bundle *bundle = build->bundle;

	trees->roots = xcalloc(bundle->n_files, sizeof(void *));
	for (size_t i = BUNDLE_NODE; i < bundle->n_files; i++) {
		const struct bundle_file *file = &bundle->files[i];
		struct schema schema =
		    i == BUNDLE_NODE ? schema_node_file : schema_service_file;
		schema.classes = build->conf->classes;
		struct node *root = tree_parse(
		    file->name, file->text, file->len, &schema, build->error);
		if (root == NULL)
			return -1;
		trees->roots[trees->count++] = root;
	}
	return 0;
}

static int
build_services(struct build *build, const struct node *root)
{
	for (size_t i = 0; i < root->n_children; i++) {
		const struct node *child = root->children[i];
		int result = 0;
		if (child->section && strcmp(child->name, "service") == 0)
			result = build_service(build, child);
		else if (child->section &&
		    classes_find(build->conf->classes, child->name) != NULL)
			result = build_check(build, child, NULL);
		if (result != 0)
			return -1;
	}
	return 0;
}

static int
build_roles(struct build *build, const struct node *root)
{
	for (size_t i = 0; i < root->n_children; i++)
		if (strcmp(root->children[i]->name, "role") == 0 &&
		    build_role(build, root->children[i]) != 0)
			return -1;
	return 0;
}

static int
build_all(struct build *build, const struct trees *trees)
{
	if (build_node(build, trees->roots[0]) != 0)
		return -1;
	for (size_t i = 0; i < trees->count; i++)
		if (build_services(build, trees->roots[i]) != 0)
			return -1;
	for (size_t i = 0; i < trees->count; i++)
		if (build_roles(build, trees->roots[i]) != 0)
			return -1;
	build_ttl(build);
	if (build_refuse_duplicates(build) != 0)
		return -1;
	return build_depends(build);
}

struct conf *
conf_load(struct conf_bundle *bundle, const struct conf_loading *loading,
    char error[CONF_ERROR_MAX])
{
	struct conf *conf = xcalloc(1, sizeof(*conf));
	struct host host = { 0 };
	struct build build = { .conf = conf,
		.bundle = bundle,
		.error = error,
		.loading = loading,
		.host = bundle->received ? NULL : &host };
	struct trees trees = { 0 };

	if (build.host != NULL)
		host_begin(&host);
	conf->bundle = bundle;
	conf->generation = bundle_digest(bundle);
	conf->classes = classes_new();
	int result = find_plugins(&build);
	if (result == 0)
		result = parse_files(&build, &trees);
	if (result == 0)
		result = build_all(&build, &trees);
	host_end(&host);
	free(build.depends);
	free_trees(&trees);
	/* the trees were ten times what is left, and the allocator would keep it for us */
	malloc_trim(0);
	if (result == 0)
		return conf;
	conf_free(conf);
	return NULL;
}

struct conf *
conf_parse(struct conf_bundle *bundle, char error[CONF_ERROR_MAX])
{
	return conf_load(bundle, NULL, error);
}

static void
free_consul(struct conf_consul *consul)
{
	free(consul->address);
	free(consul->unix_socket);
	if (consul->token != NULL)
		explicit_bzero(consul->token, strlen(consul->token));
	free(consul->token);
	free(consul->token_file);
	if (consul->auth != NULL)
		explicit_bzero(consul->auth, strlen(consul->auth));
	free(consul->auth);
	free(consul->datacenter);
	free(consul->namespace);
	free(consul->partition);
	free(consul->ca_file);
	free(consul->cert_file);
	free(consul->key_file);
	free(consul->server_name);
}

void
conf_free(struct conf *conf)
{
	if (conf == NULL)
		return;
	for (size_t i = 0; i < conf->n_roles; i++)
		build_free_role(conf->roles[i]);
	for (size_t i = 0; i < conf->n_vips; i++)
		build_free_vip(conf->vips[i]);
	for (size_t i = 0; i < conf->n_tracks; i++)
		build_free_track(conf->tracks[i]);
	for (size_t i = 0; i < conf->n_services; i++)
		build_free_service(conf->services[i]);
	for (size_t i = 0; i < conf->n_checks; i++)
		build_free_check(conf->checks[i]);
	for (size_t i = 0; i < conf->n_commands; i++)
		build_free_command(conf->commands[i]);
	for (size_t i = 0; i < conf->n_plugins; i++)
		build_free_plugin(conf->plugins[i]);
	classes_free(conf->classes);
	free(conf->plugins);
	free(conf->roles);
	free(conf->vips);
	free(conf->tracks);
	free(conf->services);
	free(conf->checks);
	free(conf->commands);
	free_consul(&conf->consul);
	free(conf->failover.address);
	free(conf->failover.key_file);
	free(conf->node);
	free(conf->plugin_directory);
	conf_bundle_free(conf->bundle);
	free(conf);
}

void
conf_check_label(const struct conf_check *check, char label[CONF_LABEL_MAX])
{
	const struct conf_service *service = check->service;

	snprintf(label, CONF_LABEL_MAX, "%s%s%s", service != NULL ? service->name : "",
	    service != NULL ? "/" : "", check->name);
}

const struct conf_check *
conf_find_check(const struct conf *conf, const char *label)
{
	const char *slash = strchr(label, '/'), *name = slash ? slash + 1 : label;
	size_t len = slash != NULL ? (size_t)(slash - label) : 0;

	for (size_t i = 0; i < conf->n_checks; i++) {
		const struct conf_check *check = conf->checks[i];
		const char *service = check->service ? check->service->name : "";
		if (strcmp(check->name, name) == 0 && strlen(service) == len &&
		    memcmp(service, label, len) == 0 &&
		    (check->service != NULL) == (slash != NULL))
			return check;
	}
	return NULL;
}

int64_t
conf_longest_hook(const struct conf *conf)
{
	int64_t longest = 0;

	for (size_t i = 0; i < conf->n_roles; i++)
		if (conf->roles[i]->hook_timeout_ms > longest)
			longest = conf->roles[i]->hook_timeout_ms;
	return longest;
}

bool
conf_has_bpf(void)
{
#ifdef HAVE_BPF
	return true;
#else
	return false;
#endif
}

const struct conf_role *
conf_find_role(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_roles; i++)
		if (strcmp(conf->roles[i]->name, name) == 0)
			return conf->roles[i];
	return NULL;
}

const struct conf_service *
conf_find_service(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_services; i++)
		if (strcmp(conf->services[i]->name, name) == 0)
			return conf->services[i];
	return NULL;
}
