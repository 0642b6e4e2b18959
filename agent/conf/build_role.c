/* SPDX-License-Identifier: ISC */
/*
 * A role from its section: its services (known by then), its virtual addresses, what it
 * tracks and its hooks. It refuses what could never work or would take an address that is somebody
 * else's. See build.h for the contract.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/fault.h"
#include "agent/conf/host.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"

void
build_free_vip(struct conf_vip *vip)
{
	if (vip == NULL)
		return;
	free(vip->text);
	free(vip->interface);
	free(vip->routes);
	free(vip->rules);
	free(vip);
}

void
build_free_role(struct conf_role *role)
{
	if (role == NULL)
		return;
	free(role->name);
	free(role->services);
	free(role->master_tag);
	free(role->backup_tag);
	free(role->vips);
	free(role->tracks);
	free(role);
}

static struct conf_service *
find_service(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_services; i++)
		if (strcmp(conf->services[i]->name, name) == 0)
			return conf->services[i];
	return NULL;
}

/* Who asks DNS for the master must not be sent to all. */
static int
check_tags(struct build *build, const struct conf_role *role,
    const struct conf_service *service)
{
	for (char **tag = service->tags; *tag != NULL; tag++)
		if (strcmp(*tag, role->master_tag) == 0 ||
		    strcmp(*tag, role->backup_tag) == 0)
			return fault_set(build->error, service->file, service->line,
			    "service \"%s\" has the tag \"%s\", which its role \"%s\" "
			    "sets, expected another tag",
			    service->name, *tag, role->name);
	return 0;
}

/* What lictor writes there would hide what stands there. */
static int
check_meta(struct build *build, const struct conf_role *role,
    const struct conf_service *service)
{
	for (char **pair = service->meta; *pair != NULL; pair++)
		if (strncmp(*pair, "role=", 5) == 0 || strncmp(*pair, "term=", 5) == 0)
			return fault_set(build->error, service->file, service->line,
			    "service \"%s\" has the meta key \"%.4s\", which its "
			    "role \"%s\" sets, expected another key",
			    service->name, *pair, role->name);
	return 0;
}

static int
add_service(struct build *build, const struct node *section, struct conf_role *role,
    const char *name)
{
	struct conf_service *service = find_service(build->conf, name);

	if (service == NULL)
		return options_fault(section, "services", build->error,
		    "there is no service \"%.80s\", expected the name of a configured "
		    "one",
		    name);
	if (service->role != NULL)
		return options_fault(section, "services", build->error,
		    "service \"%s\" is in role \"%s\" already, expected a service in "
		    "one role",
		    name, service->role->name);
	service->role = role;
	role->services = build_grow(role->services, role->n_services);
	role->services[role->n_services++] = service;
	int result = check_tags(build, role, service);
	return result == 0 ? check_meta(build, role, service) : result;
}

static int
check_tag_names(
    struct build *build, const struct node *section, const struct raw_role *raw)
{
	static const char *const options[] = { "master-tag", "backup-tag" };
	const char *const tags[] = { raw->master_tag, raw->backup_tag };

	for (int i = 0; i < 2; i++)
		if (!build_name_ok(tags[i]))
			return options_fault(section, options[i], build->error,
			    "\"%.80s\" is no tag for DNS, expected 1 to %d of letters, "
			    "digits, dot, hyphen and underscore",
			    tags[i], CONF_NAME_MAX);
	if (strcmp(tags[0], tags[1]) == 0)
		return options_fault(section, "backup-tag", build->error,
		    "it is the master's tag, expected another");
	return 0;
}

static int
set_choices(struct build *build, const struct node *section, struct conf_role *role,
    const struct raw_role *raw)
{
	static const char *const critical[] = {
		[CONF_KEEP] = "keep", [CONF_RELEASE] = "release", NULL
	};
	static const char *const order[] = { [CONF_AFTER_PROMOTE] = "after-promote",
		[CONF_BEFORE_PROMOTE] = "before-promote",
		NULL };
	int keep = options_choose(section, "when-all-critical", raw->when_all_critical,
	    critical, build->error);

	if (keep < 0)
		return -1;
	int first =
	    options_choose(section, "address", raw->address_order, order, build->error);
	if (first < 0)
		return -1;
	role->when_all_critical = (enum conf_all_critical)keep;
	role->address_order = (enum conf_address_order)first;
	return 0;
}

static int
set_options(struct build *build, const struct node *section, struct conf_role *role,
    struct raw_role *raw)
{
	if (options_fill(raw, schema_role, section, build->host, build->error) != 0 ||
	    set_choices(build, section, role, raw) != 0 ||
	    check_tag_names(build, section, raw) != 0)
		return -1;
	role->priority = (unsigned int)raw->priority;
	role->preempt = raw->preempt;
	role->preempt_delay_ms = raw->preempt_delay_ms;
	role->auto_init = raw->auto_init;
	role->lease_ms = raw->lease_ms;
	role->silence_ms = raw->silence_ms;
	role->limit = (unsigned int)raw->limit;
	role->within_ms = raw->within_ms;
	if (build_check_timers(build, section, role) != 0)
		return -1;
	role->master_tag = xstrdup(raw->master_tag);
	role->backup_tag = xstrdup(raw->backup_tag);
	for (char **name = raw->services; name != NULL && *name != NULL; name++)
		if (add_service(build, section, role, *name) != 0)
			return -1;
	return 0;
}

/* "10.0.0.100", "10.0.0.100/24", "fd00::100". */
static int
read_address(struct build *build, const struct node *section, struct conf_vip *vip)
{
	const char *slash = strchr(section->title, '/');
	uint64_t prefix;

	vip->text = slash == NULL
	    ? xstrdup(section->title)
	    : xstrndup(section->title, (size_t)(slash - section->title));
	vip->family = strchr(vip->text, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(vip->family, vip->text, vip->address) != 1)
		return fault_at(build->error, section,
		    "vip \"%.80s\" is no address, expected IPv4 or IPv6, with a prefix "
		    "length or without",
		    section->title);
	vip->prefix = vip->family == AF_INET ? 32 : 128;
	if (slash == NULL)
		return 0;
	if (parse_uint(slash + 1, 1, vip->prefix, &prefix) != 0)
		return fault_at(build->error, section,
		    "vip \"%.80s\" has a wrong prefix length, expected 1 to %u",
		    section->title, vip->prefix);
	vip->prefix = (unsigned int)prefix;
	return 0;
}

static bool
is_unicast_v4(const unsigned char *a)
{
	return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

static bool
is_unicast_v6(const unsigned char *address)
{
	struct in6_addr a;

	memcpy(&a, address, sizeof(a));
	return !IN6_IS_ADDR_UNSPECIFIED(&a) && !IN6_IS_ADDR_LOOPBACK(&a) &&
	    !IN6_IS_ADDR_MULTICAST(&a) && !IN6_IS_ADDR_V4MAPPED(&a) &&
	    !IN6_IS_ADDR_V4COMPAT(&a);
}

static int
check_address(
    struct build *build, const struct node *section, const struct conf_vip *vip)
{
	char why[CONF_ERROR_MAX];
	bool good = vip->family == AF_INET ? is_unicast_v4(vip->address)
					   : is_unicast_v6(vip->address);

	if (!good)
		return fault_at(build->error, section,
		    "vip \"%s\" cannot be held by a host, expected an address that is "
		    "neither loopback nor multicast nor unspecified",
		    vip->text);
	for (size_t i = 0; i < build->conf->n_vips; i++) {
		const struct conf_vip *other = build->conf->vips[i];
		if (other != vip && other->family == vip->family &&
		    memcmp(other->address, vip->address, sizeof(vip->address)) == 0)
			return fault_at(build->error, section,
			    "vip \"%s\" is given twice, expected it once (it is in "
			    "%s:%d)",
			    vip->text, other->file, other->line);
	}
	if (build->host &&
	    host_check_address(vip->family, vip->address, why, sizeof(why)) != 0)
		return fault_at(build->error, section, "vip %s", why);
	return 0;
}

/* What the kernel takes as a name (dev_valid_name), and where others see the address. */
static int
check_interface(struct build *build, const struct node *section, const char *name)
{
	if (strcmp(name, "lo") == 0)
		return options_fault(section, "interface", build->error,
		    "nobody sees an address on lo, expected another interface");
	if (strlen(name) >= IF_NAMESIZE || strpbrk(name, "/: \t\r\n") != NULL ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return options_fault(section, "interface", build->error,
		    "\"%.80s\" is no name of an interface, expected at most %d "
		    "characters without / and : and blanks",
		    name, IF_NAMESIZE - 1);
	return 0;
}

static struct conf_vip *
add_vip(struct build *build, const struct node *section, struct conf_role *role)
{
	struct conf *conf = build->conf;
	struct conf_vip *vip = xcalloc(1, sizeof(*vip));

	conf->vips = build_grow(conf->vips, conf->n_vips);
	vip->index = (uint32_t)conf->n_vips;
	conf->vips[conf->n_vips++] = vip;
	role->vips = build_grow(role->vips, role->n_vips);
	role->vips[role->n_vips++] = vip;
	vip->role = role;
	vip->file = section->file;
	vip->line = section->line;
	return vip;
}

static int
set_vip(struct build *build, const struct node *section, struct conf_vip *vip,
    const struct raw_vip *raw)
{
	static const char *const conflict[] = {
		[CONF_DEFEND] = "defend", [CONF_YIELD] = "yield", NULL
	};
	int choice = options_choose(
	    section, "on-conflict", raw->on_conflict, conflict, build->error);

	if (choice < 0)
		return -1;
	vip->interface = xstrdup(raw->interface);
	vip->announce_refresh_ms = raw->announce_refresh_ms;
	vip->on_conflict = (enum conf_on_conflict)choice;
	vip->reset_connections = raw->reset_connections;
	if (check_interface(build, section, vip->interface) != 0 ||
	    check_address(build, section, vip) != 0)
		return -1;
	return build_routes(build, section, vip, raw->route, raw->rule);
}

static int
build_vip(struct build *build, const struct node *section, struct conf_role *role)
{
	struct conf_vip *vip = add_vip(build, section, role);
	struct raw_vip raw = { 0 };
	int result = read_address(build, section, vip);

	if (result == 0)
		result =
		    options_fill(&raw, schema_vip, section, build->host, build->error);
	if (result == 0)
		result = set_vip(build, section, vip, &raw);
	options_free(&raw, schema_vip);
	return result;
}

static const struct conf_command *
build_hook(struct build *build, const struct conf_role *role, char **argv,
    const char *hook, const struct raw_hooks *raw)
{
	if (argv == NULL)
		return NULL;
	struct conf_command *command = build_command(
	    build, CONF_COMMAND_HOOK, argv, raw->user, raw->environment, NULL);
	command->role = role;
	command->hook = hook;
	return command;
}

static int
build_hooks(struct build *build, const struct node *section, struct conf_role *role)
{
	struct raw_hooks raw = { 0 };
	int result =
	    options_fill(&raw, schema_hooks, section, build->host, build->error);

	if (result == 0) {
		role->promote = build_hook(build, role, raw.promote, "promote", &raw);
		role->demote = build_hook(build, role, raw.demote, "demote", &raw);
		role->notify = build_hook(build, role, raw.notify, "notify", &raw);
		role->hook_timeout_ms = raw.timeout_ms;
	}
	options_free(&raw, schema_hooks);
	return result;
}

/* Its vips, what it tracks and its hooks, each kind in the order of the file. */
static int
build_sections(struct build *build, const struct node *section, struct conf_role *role)
{
	const struct node *hooks = node_find(section, "hooks");
	const struct node *track = node_find(section, "track");
	const struct node none = { section->file, section->line, (char *)"hooks" };

	for (size_t i = 0; i < section->n_children; i++)
		if (strcmp(section->children[i]->name, "vip") == 0 &&
		    build_vip(build, section->children[i], role) != 0)
			return -1;
	if (track != NULL && build_track(build, track, role) != 0)
		return -1;
	return build_hooks(build, hooks != NULL ? hooks : &none, role);
}

static struct conf_role *
add_role(struct build *build, const struct node *section)
{
	struct conf *conf = build->conf;
	struct conf_role *role = xcalloc(1, sizeof(*role));

	conf->roles = build_grow(conf->roles, conf->n_roles);
	role->index = (uint32_t)conf->n_roles;
	conf->roles[conf->n_roles++] = role;
	role->name = xstrdup(section->title);
	role->file = section->file;
	role->line = section->line;
	return role;
}

int
build_role(struct build *build, const struct node *section)
{
	struct raw_role raw = { 0 };

	if (build_check_title(build, section) != 0)
		return -1;
	struct conf_role *role = add_role(build, section);
	int result = set_options(build, section, role, &raw);
	options_free(&raw, schema_role);
	return result == 0 ? build_sections(build, section, role) : result;
}
