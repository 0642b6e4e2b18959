/* SPDX-License-Identifier: ISC */
/*
 * An agent's side of the roles in Consul against a real one, and what it was told. Every
 * case has roles of its own, so that one server does for all. What a case sets up or looks
 * at goes past lictor, by consul_server_ask.
 */
#include "tests/unit/lease_bed.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/consul/consul.h"
#include "agent/failover/kv.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

struct consul_server *server;

static void
on_reg(void *arg, uint32_t role, int64_t sent_at, bool consistent,
    const struct role_register *content)
{
	struct fixture *f = arg;
	struct told *told = &f->told[role];

	if (content == NULL) {
		CU_ASSERT_TRUE(consistent);
		told->missing++;
	} else if (consistent) {
		told->regs++;
		told->reg = *content;
		told->sent_at = sent_at;
	}
}

static void
on_wrote(void *arg, uint32_t role, const char *wid, bool ok, uint64_t index)
{
	struct fixture *f = arg;
	struct told *told = &f->told[role];

	told->wrote++;
	told->wrote_ok = ok;
	told->wrote_index = index;
	str_copy(told->wid, sizeof(told->wid), wid);
}

static void
on_peers(void *arg, uint32_t role, const struct roster_peer *list, size_t count)
{
	struct fixture *f = arg;
	struct told *told = &f->told[role];

	told->peers_told++;
	told->n_peers = count;
	memcpy(told->peers, list, count * sizeof(*list));
}

static void
on_switchover(void *arg, uint32_t role, const char *to)
{
	struct fixture *f = arg;

	f->told[role].switchovers++;
	str_copy(f->told[role].to, sizeof(f->told[role].to), to);
}

static void
on_pause(void *arg, uint32_t role, const struct lease_pause *pause)
{
	struct fixture *f = arg;

	f->told[role].pauses++;
	f->told[role].pause = *pause;
}

static void
on_unreadable(void *arg, uint32_t role)
{
	struct fixture *f = arg;

	f->told[role].unreadable++;
}

/* It may when a while has passed. */
static bool
on_may_init(void *arg, uint32_t role, uint64_t *rev)
{
	struct fixture *f = arg;

	f->asked++;
	*rev = f->heard_rev + role;
	return clock_boot_ms() >= f->began + INIT_MS;
}

static void
on_duplicate(void *arg, bool duplicate)
{
	struct fixture *f = arg;

	f->duplicates++;
	f->duplicate = duplicate;
}

void
start(struct fixture *f, const char *inst)
{
	struct lease_out out = { on_reg, on_wrote, on_peers, on_unreadable, on_may_init,
		on_switchover, on_pause, on_duplicate, f };

	f->lease = lease_new(
	    f->loop, f->consul, &f->conf, f->node, inst, f->state_dir, false, &out);
	lease_start(f->lease);
}

void
set_up(struct fixture *f, const char *prefix, size_t n_roles)
{
	memset(f, 0, sizeof(*f));
	str_copy(f->node, sizeof(f->node), "web-1");
	str_copy(f->prefix, sizeof(f->prefix), prefix);
	str_copy(f->state_dir, sizeof(f->state_dir), "/tmp/lictor-test-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->state_dir));
	f->began = clock_boot_ms();
	f->loop = loop_new();
	f->conf.lease_ms = 2250;
	f->conf.roles = f->roles;
	f->conf.n_roles = n_roles;
	f->conf.consul.address = xstrdup(consul_server_address(server));
	for (uint32_t i = 0; i < n_roles; i++) {
		f->roles[i] = xcalloc(1, sizeof(*f->roles[i]));
		f->roles[i]->index = i;
		f->roles[i]->name = xasprintf("%s%u", prefix, i);
		f->roles[i]->priority = 100 + i;
		f->roles[i]->auto_init = true;
	}
	f->consul = consul_new(f->loop, &f->conf.consul);
}

static void
remove_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		AUTO_FREE char *path = xasprintf("%s/%s", folder, entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		if (unlink(path) != 0)
			remove_folder(path);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(folder);
}

void
tear_down(struct fixture *f)
{
	lease_free(f->lease);
	consul_free(f->consul);
	loop_free(f->loop);
	for (size_t i = 0; i < f->conf.n_roles; i++) {
		free(f->roles[i]->name);
		free(f->roles[i]);
	}
	free(f->conf.consul.address);
	remove_folder(f->state_dir);
}

int
ask(const char *method, const char *body, char *out, size_t size, const char *fmt, ...)
{
	AUTO_FREE char *path = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&path, fmt, args) < 0)
		abort();
	va_end(args);
	return consul_server_ask(server, method, path, body, out, size);
}

cJSON *
candidate(const struct fixture *f)
{
	char out[2048];
	AUTO_JSON cJSON *list = NULL;

	if (ask("GET", NULL, out, sizeof(out),
		"/v1/kv/lictor/roles/%s/candidates/%s?consistent", f->roles[0]->name,
		f->node) != 200)
		return NULL;
	list = json_parse(out, strlen(out));
	return cJSON_DetachItemFromArray(list, 0);
}

static bool
has_counted(void *arg)
{
	const struct fixture *f = arg;

	return *f->counter >= f->count;
}

bool
wait_count(struct fixture *f, const unsigned int *counter, unsigned int least,
    int64_t limit_ms)
{
	f->counter = counter;
	f->count = least;
	return until(f->loop, has_counted, f, limit_ms);
}

static bool
candidate_says(void *arg)
{
	const struct fixture *f = arg;
	AUTO_JSON cJSON *entry = candidate(f);
	size_t len;
	AUTO_FREE char *value = kv_value(entry, &len);

	return value != NULL && json_text(entry, "Session") != NULL &&
	    strstr(value, f->text) != NULL;
}

bool
wait_candidate(struct fixture *f, const char *text)
{
	f->text = text;
	return until(f->loop, candidate_says, f, LIMIT_MS);
}
