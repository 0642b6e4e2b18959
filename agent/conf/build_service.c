/* SPDX-License-Identifier: ISC */
/*
 * A service from its section: what Consul will be told of it, within what Consul takes,
 * and its checks. See build.h for the contract.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/classes.h"
#include "agent/conf/fault.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"

/* Consul's limits (agent/structs, ValidateServiceMetadata) are 64 pairs, 128 and 512
 * bytes; a few pairs are lictor's own. */
#define META_PAIRS 56
#define META_KEY_MAX 128
#define META_VALUE_MAX 512

void
build_free_service(struct conf_service *service)
{
	if (service == NULL)
		return;
	free(service->name);
	free(service->id);
	free(service->address);
	build_free_list(service->tags);
	build_free_list(service->meta);
	free(service->checks);
	free(service);
}

static int
check_pair(struct build *build, const struct node *section, const char *pair)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t key = strcspn(pair, "=");

	if (pair[key] != '=' || key == 0 || key > META_KEY_MAX ||
	    strspn(pair, allowed) != key)
		return options_fault(section, "meta", build->error,
		    "\"%.80s\" is no pair, expected \"KEY=VALUE\" with letters, "
		    "digits, hyphen and underscore in KEY",
		    pair);
	if (strlen(pair + key + 1) > META_VALUE_MAX)
		return options_fault(section, "meta", build->error,
		    "the value of \"%.*s\" is too long, expected at most %d bytes",
		    (int)key, pair, META_VALUE_MAX);
	return 0;
}

static int
check_meta(struct build *build, const struct node *section, char *const *meta)
{
	size_t n = 0;

	for (; meta != NULL && meta[n] != NULL; n++) {
		size_t key = strcspn(meta[n], "=");
		if (check_pair(build, section, meta[n]) != 0)
			return -1;
		if (strncmp(meta[n], "lictor=", 7) == 0)
			return options_fault(section, "meta", build->error,
			    "the key \"lictor\" is lictor's own, expected another");
		if (n == META_PAIRS)
			return options_fault(section, "meta", build->error,
			    "there are too many pairs, expected at most %d",
			    META_PAIRS);
		for (size_t i = 0; i < n; i++)
			if (strncmp(meta[i], meta[n], key + 1) == 0)
				return options_fault(section, "meta", build->error,
				    "\"%.*s\" is given twice, expected it once",
				    (int)key, meta[n]);
	}
	return 0;
}

/* An address literal, or a name of letters, digits, dots and hyphens. */
static int
check_address(struct build *build, const struct node *section, const char *address)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
	unsigned char bytes[16];

	if (address == NULL || inet_pton(AF_INET, address, bytes) == 1 ||
	    inet_pton(AF_INET6, address, bytes) == 1)
		return 0;
	size_t len = strlen(address);
	bool digits = strspn(address, "0123456789.") == len;
	if (!digits && len <= 253 && strspn(address, allowed) == len)
		return 0;
	return options_fault(section, "address", build->error,
	    "\"%.100s\" is neither an address nor a host name, expected one (the port "
	    "is an option of its own)",
	    address);
}

static int
check_id(struct build *build, const struct node *section, const char *id)
{
	if (!build_name_ok(id))
		return options_fault(section, "id", build->error,
		    "\"%.100s\" is no id, expected 1 to %d of letters, digits, dot, "
		    "hyphen and underscore",
		    id, CONF_NAME_MAX);
	if (strcmp(id, "lictor") == 0)
		return fault_at(build->error, section,
		    "the service id \"lictor\" is lictor's own, expected another");
	return 0;
}

static char **
take_list(char ***list)
{
	char **taken = *list != NULL ? *list : xcalloc(1, sizeof(*taken));

	*list = NULL;
	return taken;
}

static char *
take_text(char **text)
{
	char *taken = *text;

	*text = NULL;
	return taken;
}

/* What who registers a service says of it is not ours to say. */
static int
check_foreign(
    struct build *build, const struct node *section, const struct conf_service *service)
{
	static const char *const theirs[] = { "address", "port", "tags", "meta",
		"weight", "warning-weight", "deregister-critical-after", NULL };

	if (!service->foreign)
		return 0;
	for (const char *const *name = theirs; *name != NULL; name++)
		if (node_find(section, *name) != NULL)
			return options_fault(section, *name, build->error,
			    "somebody else registers this service (register = false), "
			    "expected it there");
	if (service->on_stop == CONF_DEREGISTER)
		return options_fault(section, "on-stop", build->error,
		    "somebody else registers this service (register = false), "
		    "expected leave or maintenance");
	return 0;
}

static int
set_options(struct build *build, const struct node *section,
    struct conf_service *service, struct raw_service *raw)
{
	static const char *const on_stop[] = { [CONF_LEAVE] = "leave",
		[CONF_MAINTENANCE] = "maintenance",
		[CONF_DEREGISTER] = "deregister",
		NULL };

	if (options_fill(raw, schema_service, section, build->host, build->error) !=
		0 ||
	    check_id(build, section, raw->id != NULL ? raw->id : section->title) != 0 ||
	    check_address(build, section, raw->address) != 0 ||
	    check_meta(build, section, raw->meta) != 0)
		return -1;
	int stop =
	    options_choose(section, "on-stop", raw->on_stop, on_stop, build->error);
	if (stop < 0)
		return -1;
	service->on_stop = (enum conf_on_stop)stop;
	service->id = raw->id != NULL ? take_text(&raw->id) : xstrdup(section->title);
	service->address = take_text(&raw->address);
	service->port = (unsigned int)raw->port;
	service->tags = take_list(&raw->tags);
	service->meta = take_list(&raw->meta);
	service->weight = (unsigned int)raw->weight;
	service->warning_weight = (unsigned int)raw->warning_weight;
	service->foreign = !raw->registered;
	service->deregister_after_ms = raw->deregister_after_ms;
	return check_foreign(build, section, service);
}

static struct conf_service *
add_service(struct build *build, const struct node *section)
{
	struct conf *conf = build->conf;
	struct conf_service *service = xcalloc(1, sizeof(*service));

	conf->services = build_grow(conf->services, conf->n_services);
	service->index = (uint32_t)conf->n_services;
	conf->services[conf->n_services++] = service;
	service->name = xstrdup(section->title);
	service->file = section->file;
	service->line = section->line;
	return service;
}

int
build_service(struct build *build, const struct node *section)
{
	struct raw_service raw = { 0 };

	if (build_check_title(build, section) != 0)
		return -1;
	struct conf_service *service = add_service(build, section);
	int result = set_options(build, section, service, &raw);
	options_free(&raw, schema_service);
	for (size_t i = 0; i < section->n_children && result == 0; i++)
		if (section->children[i]->section)
			result = build_check(build, section->children[i], service);
	return result;
}
