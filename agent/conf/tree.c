/* SPDX-License-Identifier: ISC */
/*
 * One configuration file as a tree of options and sections. scan.c finds its structure
 * and lines, this file holds that against the schema, and libconfuse, which nobody else
 * includes, reads the values. Nothing of libconfuse outlives the call: what it read is
 * copied into the nodes. Invariant: a tree that is handed out has known sections with
 * names where they need one, known options, and no name twice beside another.
 */
#include "agent/conf/tree.h"

#include <confuse.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/fault.h"
#include "agent/conf/scan.h"
#include "agent/conf/schema.h"

static bool
takes_list(const struct check_option *option)
{
	switch (option->type) {
	case CHECK_OPTION_LIST:
	case CHECK_OPTION_COMMAND:
	case CHECK_OPTION_ENVIRONMENT: return true;
	case CHECK_OPTION_TEXT:
	case CHECK_OPTION_UINT:
	case CHECK_OPTION_BOOL:
	case CHECK_OPTION_DURATION:
	case CHECK_OPTION_FILE:
	case CHECK_OPTION_USER:
	case CHECK_OPTION_DIRECTORY:
	case CHECK_OPTION_MEMORY:
	case CHECK_OPTION_PROCESSES:
	case CHECK_OPTION_FILES: return false;
	}
	return false;
}

static const struct check_option *
find_option(const struct schema *schema, const char *name)
{
	const struct check_option *option;

	for (size_t i = 0; (option = schema_option(schema, i)) != NULL; i++)
		if (strcmp(option->name, name) == 0)
			return option;
	return NULL;
}

static bool
find_section(const struct schema *schema, const char *name, struct schema *out)
{
	for (size_t i = 0; schema_section(schema, i, out); i++)
		if (strcmp(out->name, name) == 0)
			return true;
	return false;
}

/* What a partial section holds beside its tables goes out of the tree and of the text. */
static void
leave_out(struct node *node, const struct schema *schema, char *text)
{
	struct schema section;
	size_t kept = 0;

	for (size_t i = 0; i < node->n_children; i++) {
		struct node *child = node->children[i];
		bool is_section = find_section(schema, child->name, &section);
		if (schema->partial && !is_section &&
		    find_option(schema, child->name) == NULL) {
			for (size_t at = child->begin; at < child->end; at++)
				text[at] = text[at] == '\n' ? '\n' : ' ';
			node_free(child);
			continue;
		}
		if (is_section)
			leave_out(child, &section, text);
		node->children[kept++] = child;
	}
	node->n_children = kept;
}

static int
refuse_unknown(const struct node *node, const struct schema *schema, char *error)
{
	struct buf known = { .limit = CONF_ERROR_MAX };
	const struct check_option *option;
	struct schema section;

	for (size_t i = 0; node->section && schema_section(schema, i, &section); i++)
		buf_printf(&known, "%s%s", i == 0 ? "" : ", ", section.name);
	for (size_t i = 0; !node->section && (option = schema_option(schema, i)); i++)
		buf_printf(&known, "%s%s", i == 0 ? "" : ", ", option->name);
	fault_at(error, node, "unknown %s \"%.80s\" in %s, expected %s",
	    node->section ? "section" : "option", node->name, schema->name,
	    known.len > 0 ? known.data : "none there");
	buf_free(&known);
	return -1;
}

static int
check_option_node(const struct node *node, const struct schema *schema, char *error)
{
	const struct check_option *option = find_option(schema, node->name);
	struct schema section;

	if (option == NULL && find_section(schema, node->name, &section))
		return fault_at(error, node, "%s is a section, expected %s%s {",
		    node->name, node->name, section.titled ? " \"NAME\"" : "");
	if (option == NULL)
		return refuse_unknown(node, schema, error);
	if (node->list && !takes_list(option))
		return fault_at(error, node,
		    "%s: a list is too much, expected one value", node->name);
	if (!node->list && takes_list(option))
		return fault_at(error, node,
		    "%s: one value is no list, expected it in braces: %s = {\"...\"}",
		    node->name, node->name);
	return 0;
}

static int check_children(
    const struct node *node, const struct schema *schema, char *error);

static int
check_section_node(const struct node *node, const struct schema *schema, char *error)
{
	struct schema section;

	if (!find_section(schema, node->name, &section)) {
		if (find_option(schema, node->name) != NULL)
			return fault_at(error, node,
			    "%s is an option, expected %s = ...", node->name,
			    node->name);
		return refuse_unknown(node, schema, error);
	}
	if (section.titled && node->title == NULL)
		return fault_at(error, node,
		    "section %s has no name, expected %s \"NAME\" {", node->name,
		    node->name);
	if (!section.titled && node->title != NULL)
		return fault_at(error, node, "section %s takes no name, expected %s {",
		    node->name, node->name);
	return check_children(node, &section, error);
}

static int
compare_titled(const void *a, const void *b)
{
	const struct node *x = *(const struct node *const *)a;
	const struct node *y = *(const struct node *const *)b;
	int order = strcmp(x->name, y->name);

	if (order == 0 && x->title != NULL && y->title != NULL)
		order = strcmp(x->title, y->title);
	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* libconfuse would make one section of two with the same title. */
static int
check_titles(const struct node *node, char *error)
{
	size_t n = node->n_children;
	AUTO_FREE struct node **sorted = xcalloc(n + 1, sizeof(void *));

	if (n > 0)
		memcpy(sorted, node->children, n * sizeof(void *));
	qsort(sorted, n, sizeof(void *), compare_titled);
	for (size_t i = 1; i < n; i++) {
		const struct node *a = sorted[i - 1], *b = sorted[i];
		if (a->title != NULL && b->title != NULL &&
		    strcmp(a->name, b->name) == 0 && strcmp(a->title, b->title) == 0)
			return fault_at(error, b,
			    "%s \"%.80s\" is given twice, expected it once (it is in "
			    "line %d)",
			    b->name, b->title, a->line);
	}
	return 0;
}

static int
check_children(const struct node *node, const struct schema *schema, char *error)
{
	for (size_t i = 0; i < node->n_children; i++) {
		const struct node *child = node->children[i];
		int result = child->section ? check_section_node(child, schema, error)
					    : check_option_node(child, schema, error);
		if (result != 0)
			return -1;
	}
	return check_titles(node, error);
}

static void
free_table(cfg_opt_t *table)
{
	for (cfg_opt_t *opt = table; opt->name != NULL; opt++)
		if (opt->type == CFGT_SEC)
			free_table(opt->subopts);
	free(table);
}

/* Nodes of one kind, from all places where it may stand. */
struct nodes {
	const struct node **list;
	size_t len;
};

/* The children of that name of all of these, for the caller to free. */
static struct nodes
children_named(const struct nodes *parents, const char *name)
{
	struct nodes found = { 0 };

	for (size_t i = 0; i < parents->len; i++) {
		const struct node *parent = parents->list[i];
		for (size_t k = 0; k < parent->n_children; k++) {
			if (strcmp(parent->children[k]->name, name) != 0)
				continue;
			if ((found.len & (found.len - 1)) == 0)
				found.list = xrealloc(found.list,
				    found.len == 0 ? 1 : 2 * found.len,
				    sizeof(struct node *));
			found.list[found.len++] = parent->children[k];
		}
	}
	return found;
}

static bool
is_named(const struct nodes *parents, const char *name)
{
	for (size_t i = 0; i < parents->len; i++)
		if (node_find(parents->list[i], name) != NULL)
			return true;
	return false;
}

static void
table_add(cfg_opt_t **table, size_t *n, cfg_opt_t opt)
{
	*table = xrealloc(*table, *n + 2, sizeof(**table));
	(*table)[(*n)++] = opt;
	(*table)[*n] = (cfg_opt_t)CFG_END();
}

/* What libconfuse has to know to read these nodes: it copies the table into each section
 * that it meets, so what nobody wrote stays out of it. All values are text to it: what they
 * mean is ours to judge. */
static cfg_opt_t *
make_table(const struct schema *schema, const struct nodes *nodes)
{
	cfg_opt_t *table = xcalloc(1, sizeof(*table));
	const struct check_option *option;
	struct schema section;
	size_t n = 0;

	table[0] = (cfg_opt_t)CFG_END();
	for (size_t i = 0; (option = schema_option(schema, i)) != NULL; i++)
		if (is_named(nodes, option->name))
			table_add(&table, &n,
			    takes_list(option)
				? (cfg_opt_t)CFG_STR_LIST(option->name, NULL, CFGF_NONE)
				: (cfg_opt_t)CFG_STR(option->name, NULL, CFGF_NONE));
	for (size_t i = 0; schema_section(schema, i, &section); i++) {
		struct nodes inner = children_named(nodes, section.name);
		cfg_flag_t flags =
		    section.titled ? CFGF_MULTI | CFGF_TITLE : CFGF_NODEFAULT;
		if (inner.len > 0)
			table_add(&table, &n,
			    (cfg_opt_t)CFG_SEC(
				section.name, make_table(&section, &inner), flags));
		free(inner.list);
	}
	return table;
}

static int
copy_values(struct node *node, cfg_opt_t *opt)
{
	if (opt == NULL || (!node->list && cfg_opt_size(opt) != 1))
		return -1;
	node->n_values = cfg_opt_size(opt);
	node->values = xcalloc(node->n_values + 1, sizeof(*node->values));
	for (size_t i = 0; i < node->n_values; i++)
		node->values[i] = xstrdup(cfg_opt_getnstr(opt, (unsigned int)i));
	return 0;
}

static int copy_sections(struct node *node, const struct schema *schema, cfg_t *cfg);

/* -1 if libconfuse read something else than the scan. */
static int
copy_section(struct node *node, const struct schema *schema, cfg_t *cfg)
{
	if (cfg == NULL)
		return -1;
	for (size_t i = 0; i < node->n_children; i++) {
		struct node *child = node->children[i];
		if (!child->section &&
		    copy_values(child, cfg_getopt(cfg, child->name)) != 0)
			return -1;
	}
	return copy_sections(node, schema, cfg);
}

static int
copy_sections(struct node *node, const struct schema *schema, cfg_t *cfg)
{
	struct schema section;

	for (size_t i = 0; schema_section(schema, i, &section); i++) {
		unsigned int nth = 0;
		for (size_t k = 0; k < node->n_children; k++) {
			struct node *child = node->children[k];
			if (!child->section || strcmp(child->name, section.name) != 0)
				continue;
			cfg_t *found = cfg_getnsec(cfg, section.name, nth++);
			if (copy_section(child, &section, found) != 0)
				return -1;
		}
		if (nth > 0 && cfg_size(cfg, section.name) != nth)
			return -1;
	}
	return 0;
}

/* What it has to say is said by us: its words depend on the locale. */
static void
say_nothing(cfg_t *cfg, const char *fmt, va_list ap)
{
}

static int
read_values(
    struct node *root, const char *text, const struct schema *schema, char *error)
{
	const struct nodes roots = { &(const struct node *){ root }, 1 };
	cfg_opt_t *table = make_table(schema, &roots);
	cfg_t *cfg = cfg_init(table, CFGF_NONE);
	int result = -1;

	free_table(table);
	if (cfg != NULL) {
		cfg_set_error_function(cfg, say_nothing);
		if (cfg_parse_buf(cfg, text) == CFG_SUCCESS)
			result = copy_section(root, schema, cfg);
		if (result != 0)
			fault_set(error, root->file, cfg->line,
			    "libconfuse cannot read this, expected options and "
			    "sections");
		cfg_free(cfg);
	}
	return result;
}

struct node *
tree_parse(const char *file, const char *text, size_t len, const struct schema *schema,
    char error[CONF_ERROR_MAX])
{
	AUTO_FREE char *copy = xcalloc(len + 1, 1);

	if (len > 0)
		memcpy(copy, text, len);
	struct node *root = scan_text(file, copy, len, error);
	if (root == NULL)
		return NULL;
	leave_out(root, schema, copy);
	if (check_children(root, schema, error) == 0 &&
	    read_values(root, copy, schema, error) == 0)
		return root;
	node_free(root);
	return NULL;
}
