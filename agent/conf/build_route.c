/* SPDX-License-Identifier: ISC */
/*
 * The routes and rules of a vip, each from one text in words that ip-route(8) and
 * ip-rule(8) know: "default via 192.0.2.1 table 100", "from 192.0.2.100 table 100". They
 * are of the address's family and, once set, are found and removed by what they say, so
 * none may stand twice, in whatever vip. See build.h for the contract.
 */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"

#define LIST_MAX 64 /* routes of a vip, and rules */
#define ROUTE_METRIC_V6 1024 /* the kernel's, IP6_RT_PRIO_USER */
#define RULE_PRIORITY 1000
#define RULE_PRIORITY_MAX 32765 /* the table main is asked at the next */

/* One text on its way. */
struct reader {
	struct build *build;
	const struct node *section;
	const char *option, *text;
	int family;
	char *rest;
};

/* A word that a value follows. */
struct word {
	const char *name;
	enum { WORD_ADDRESS, WORD_NETWORK, WORD_NUMBER } kind;
	unsigned char *address;
	unsigned int *prefix; /* of a network */
	uint32_t *number;
	uint64_t min, max;
	bool given;
};

static char *
next_word(struct reader *reader)
{
	return strtok_r(NULL, " \t", &reader->rest);
}

static int
refuse(const struct reader *reader, const char *what, const char *expected)
{
	return options_fault(reader->section, reader->option, reader->build->error,
	    "\"%.80s\" in \"%.120s\" is wrong, expected %s", what, reader->text,
	    expected);
}

static int
miss(const struct reader *reader, const char *expected)
{
	return options_fault(reader->section, reader->option, reader->build->error,
	    "\"%.120s\" is not whole, expected %s", reader->text, expected);
}

static unsigned int
width(int family)
{
	return family == AF_INET ? 32 : 128;
}

static int
read_address(const struct reader *reader, const char *word, unsigned char *out)
{
	if (inet_pton(reader->family, word, out) == 1)
		return 0;
	return refuse(reader, word,
	    reader->family == AF_INET ? "an IPv4 address, as the vip's"
				      : "an IPv6 address, as the vip's");
}

static bool
has_host_bits(const unsigned char *address, unsigned int prefix, unsigned int bits)
{
	for (unsigned int i = prefix; i < bits; i++)
		if ((address[i / 8] & (0x80 >> i % 8)) != 0)
			return true;
	return false;
}

static int
read_network(
    const struct reader *reader, char *word, unsigned char *out, unsigned int *prefix)
{
	char *slash = strchr(word, '/');
	uint64_t length = width(reader->family);

	if (slash != NULL)
		*slash = '\0';
	if (read_address(reader, word, out) != 0)
		return -1;
	if (slash != NULL &&
	    parse_uint(slash + 1, 1, width(reader->family), &length) != 0)
		return refuse(reader, slash + 1,
		    reader->family == AF_INET ? "a prefix length of 1 to 32"
					      : "a prefix length of 1 to 128");
	if (has_host_bits(out, (unsigned int)length, width(reader->family)))
		return refuse(
		    reader, word, "a network, without bits beyond its prefix");
	*prefix = (unsigned int)length;
	return 0;
}

static int
read_number(const struct reader *reader, const char *text, const struct word *word)
{
	uint64_t number;

	if (parse_uint(text, word->min, word->max, &number) != 0)
		return options_fault(reader->section, reader->option,
		    reader->build->error,
		    "\"%.80s\" in \"%.120s\" is wrong, expected a %s from %llu to %llu",
		    text, reader->text, word->name, (unsigned long long)word->min,
		    (unsigned long long)word->max);
	*word->number = (uint32_t)number;
	return 0;
}

static int
read_value(const struct reader *reader, char *text, const struct word *word)
{
	switch (word->kind) {
	case WORD_ADDRESS: return read_address(reader, text, word->address);
	case WORD_NETWORK:
		return read_network(reader, text, word->address, word->prefix);
	case WORD_NUMBER: return read_number(reader, text, word);
	}
	return -1;
}

/* Words with their values, in any order, until the text ends. */
static int
read_words(
    struct reader *reader, struct word *words, size_t count, const char *expected)
{
	for (char *name; (name = next_word(reader)) != NULL;) {
		size_t i = 0;
		while (i < count && strcmp(words[i].name, name) != 0)
			i++;
		if (i == count)
			return refuse(reader, name, expected);
		if (words[i].given)
			return refuse(reader, name, "it once");
		words[i].given = true;
		char *value = next_word(reader);
		if (value == NULL)
			return miss(reader, "a value after its last word");
		if (read_value(reader, value, &words[i]) != 0)
			return -1;
	}
	return 0;
}

static int
read_route(struct reader *reader, const struct conf_vip *vip, struct conf_route *route)
{
	struct word words[] = {
		{ "via", WORD_ADDRESS, .address = route->via },
		{ "table", WORD_NUMBER, .number = &route->table, .min = 1,
		    .max = UINT32_MAX },
		{ "metric", WORD_NUMBER, .number = &route->metric, .min = 1,
		    .max = UINT32_MAX },
	};
	char *to = next_word(reader);

	route->family = vip->family;
	route->table = RT_TABLE_MAIN;
	if (to == NULL)
		return miss(reader, "a network, or default");
	if (strcmp(to, "default") != 0 &&
	    read_network(reader, to, route->to, &route->to_prefix) != 0)
		return -1;
	if (read_words(reader, words, ARRAY_LENGTH(words), "via, table or metric") != 0)
		return -1;
	route->has_via = words[0].given;
	if (route->has_via && memcmp(route->via, vip->address, sizeof(route->via)) == 0)
		return refuse(
		    reader, vip->text, "another host, not the address itself");
	return 0;
}

static int
read_rule(struct reader *reader, const struct conf_vip *vip, struct conf_rule *rule)
{
	struct word words[] = {
		{ "from", WORD_NETWORK, .address = rule->from,
		    .prefix = &rule->from_prefix },
		{ "to", WORD_NETWORK, .address = rule->to, .prefix = &rule->to_prefix },
		{ "table", WORD_NUMBER, .number = &rule->table, .min = 1,
		    .max = UINT32_MAX },
		{ "priority", WORD_NUMBER, .number = &rule->priority, .min = 1,
		    .max = RULE_PRIORITY_MAX },
	};

	rule->family = vip->family;
	rule->priority = RULE_PRIORITY;
	if (read_words(
		reader, words, ARRAY_LENGTH(words), "from, to, table or priority") != 0)
		return -1;
	if (!words[0].given && !words[1].given)
		return miss(reader, "from or to, with an address");
	if (!words[2].given)
		return miss(reader, "table and its number");
	return 0;
}

/* To the kernel they are one; only the newest way would count. */
static bool
is_same_route(const struct conf_route *a, const struct conf_route *b)
{
	return a->family == b->family && a->table == b->table &&
	    a->metric == b->metric && a->to_prefix == b->to_prefix &&
	    memcmp(a->to, b->to, sizeof(a->to)) == 0;
}

static bool
is_same_rule(const struct conf_rule *a, const struct conf_rule *b)
{
	return a->family == b->family && a->table == b->table &&
	    a->priority == b->priority && a->from_prefix == b->from_prefix &&
	    a->to_prefix == b->to_prefix &&
	    memcmp(a->from, b->from, sizeof(a->from)) == 0 &&
	    memcmp(a->to, b->to, sizeof(a->to)) == 0;
}

/* The vip that has it already, or NULL. */
static const struct conf_vip *
find_route(const struct conf *conf, const struct conf_route *route)
{
	for (size_t i = 0; i < conf->n_vips; i++)
		for (size_t j = 0; j < conf->vips[i]->n_routes; j++)
			if (is_same_route(&conf->vips[i]->routes[j], route))
				return conf->vips[i];
	return NULL;
}

static const struct conf_vip *
find_rule(const struct conf *conf, const struct conf_rule *rule)
{
	for (size_t i = 0; i < conf->n_vips; i++)
		for (size_t j = 0; j < conf->vips[i]->n_rules; j++)
			if (is_same_rule(&conf->vips[i]->rules[j], rule))
				return conf->vips[i];
	return NULL;
}

static int
refuse_twice(const struct reader *reader, const struct conf_vip *other)
{
	return options_fault(reader->section, reader->option, reader->build->error,
	    "\"%.120s\" is given twice, expected it once (it is in vip \"%s\", %s:%d)",
	    reader->text, other->text, other->file, other->line);
}

static int
add_route(struct reader *reader, struct conf_vip *vip)
{
	struct conf_route route = { 0 };

	if (read_route(reader, vip, &route) != 0)
		return -1;
	const struct conf_vip *other = find_route(reader->build->conf, &route);
	if (other != NULL)
		return refuse_twice(reader, other);
	vip->routes[vip->n_routes++] = route;
	return 0;
}

static int
add_rule(struct reader *reader, struct conf_vip *vip)
{
	struct conf_rule rule = { 0 };

	if (read_rule(reader, vip, &rule) != 0)
		return -1;
	const struct conf_vip *other = find_rule(reader->build->conf, &rule);
	if (other != NULL)
		return refuse_twice(reader, other);
	vip->rules[vip->n_rules++] = rule;
	return 0;
}

static int
read_list(struct build *build, const struct node *section, const char *option,
    char *const *texts, struct conf_vip *vip,
    int (*add)(struct reader *reader, struct conf_vip *vip))
{
	for (size_t i = 0; texts[i] != NULL; i++) {
		AUTO_FREE char *words = xstrdup(texts[i]);
		struct reader reader = { build, section, option, texts[i], vip->family,
			words };
		if (i == LIST_MAX)
			return options_fault(section, option, build->error,
			    "there are too many, expected at most %d", LIST_MAX);
		if (add(&reader, vip) != 0)
			return -1;
	}
	return 0;
}

int
build_routes(struct build *build, const struct node *section, struct conf_vip *vip,
    char *const *routes, char *const *rules)
{
	if (routes != NULL) {
		vip->routes = xcalloc(LIST_MAX, sizeof(*vip->routes));
		if (read_list(build, section, "route", routes, vip, add_route) != 0)
			return -1;
		vip->routes =
		    xrealloc(vip->routes, vip->n_routes, sizeof(*vip->routes));
	}
	if (rules != NULL) {
		vip->rules = xcalloc(LIST_MAX, sizeof(*vip->rules));
		if (read_list(build, section, "rule", rules, vip, add_rule) != 0)
			return -1;
		vip->rules = xrealloc(vip->rules, vip->n_rules, sizeof(*vip->rules));
	}
	return 0;
}
