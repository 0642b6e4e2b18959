/* SPDX-License-Identifier: ISC */
/*
 * The control socket. A client sends one JSON object a line and gets one back; it is judged
 * by the kernel's word about it (SO_PEERCRED, SO_PEERGROUPS), never by what it says. What
 * commands do is the owner's business (control_out). Bounded: CLIENTS_MAX at once, a line
 * of LINE_MAX_BYTES, IDLE_MS without a whole line; a client that does not read its answer
 * is closed by the same clock.
 */
#include "agent/status/control.h"

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/consul/upkeep_file.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 32
#define STRANGERS_MAX 4 /* of those, who may nothing: they keep nobody out */
/* A report has an output of 4 KiB, each byte of which JSON may write as six. */
#define LINE_MAX_BYTES 32768
#define IDLE_MS 5000
#define GROUPS_MAX 1024

enum access { ACCESS_NONE, ACCESS_READ, ACCESS_CHANGE };

struct client {
	struct control *control;
	struct loop_io *io;
	struct loop_timer *idle;
	int fd;
	enum access access;
	uid_t uid;
	struct buf in, out;
	size_t sent;
	bool ended; /* it will send no more */
	uint64_t reload; /* the request whose answer it waits for; 0: none */
};

struct control {
	struct loop *loop;
	struct loop_io *io;
	struct control_out out;
	int fd;
	gid_t admin, status;
	bool has_admin, has_status;
	uint64_t reloads; /* asked for until now */
	struct client *clients[CLIENTS_MAX];
};

static void
client_free(struct client *client)
{
	struct control *control = client->control;

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i] == client)
			control->clients[i] = NULL;
	loop_io_free(client->io);
	loop_timer_free(client->idle);
	close(client->fd);
	buf_free(&client->in);
	buf_free(&client->out);
	free(client);
}

static bool
member_of(const gid_t *groups, size_t count, bool exists, gid_t wanted)
{
	for (size_t i = 0; exists && i < count; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

/* Root and our own user may everything; others what their groups may. */
static enum access
judge(const struct control *control, int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	gid_t groups[GROUPS_MAX + 1];
	size_t count = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return ACCESS_NONE;
	*uid = cred.uid;
	if (cred.uid == 0 || cred.uid == geteuid())
		return ACCESS_CHANGE;
	len = GROUPS_MAX * sizeof(groups[0]);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
		count = len / sizeof(groups[0]);
	groups[count++] = cred.gid;
	if (member_of(groups, count, control->has_admin, control->admin))
		return ACCESS_CHANGE;
	if (member_of(groups, count, control->has_status, control->status))
		return ACCESS_READ;
	return ACCESS_NONE;
}

static cJSON *
refusal(const char *why)
{
	cJSON *answer = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", false);
	cJSON_AddStringToObject(answer, "error", why);
	return answer;
}

static cJSON *
do_status(struct client *client, const cJSON *request)
{
	const struct control_out *out = &client->control->out;
	cJSON *answer = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", true);
	cJSON_AddItemToObject(answer, "status", out->status(out->arg));
	return answer;
}

static cJSON *
outcome(int rc, const char *why)
{
	if (rc != 0)
		return refusal(why);
	cJSON *answer = cJSON_CreateObject();
	cJSON_AddBoolToObject(answer, "ok", true);
	return answer;
}

static cJSON *
do_switchover(struct client *client, const cJSON *request)
{
	const struct control_out *out = &client->control->out;
	const char *role = json_text(request, "role"), *to = json_text(request, "to");
	char why[256] = "";

	if (role == NULL)
		return refusal("switchover needs a role");
	return outcome(
	    out->switchover(out->arg, role, to != NULL ? to : "", why, sizeof(why)),
	    why);
}

static cJSON *
do_init(struct client *client, const cJSON *request)
{
	const struct control_out *out = &client->control->out;
	const char *role = json_text(request, "role");
	char why[256] = "";

	if (role == NULL)
		return refusal("init needs a role");
	return outcome(out->init(out->arg, role, why, sizeof(why)), why);
}

static cJSON *
report(struct client *client, const cJSON *request, enum check_status status)
{
	const struct control_out *out = &client->control->out;
	const char *check = json_text(request, "check"),
		   *output = json_text(request, "output");
	char why[256] = "";

	if (check == NULL)
		return refusal("a report needs a check");
	return outcome(out->report(out->arg, check, status,
			   output != NULL ? output : "", why, sizeof(why)),
	    why);
}

static cJSON *
do_pass(struct client *client, const cJSON *request)
{
	return report(client, request, CHECK_PASSING);
}

static cJSON *
do_warn(struct client *client, const cJSON *request)
{
	return report(client, request, CHECK_WARNING);
}

static cJSON *
do_fail(struct client *client, const cJSON *request)
{
	return report(client, request, CHECK_CRITICAL);
}

/* An absent text is "", one that cannot be taken is false. */
static bool
take_text(const cJSON *request, const char *name, char *out, size_t size)
{
	out[0] = '\0';
	return cJSON_GetObjectItemCaseSensitive(request, name) == NULL ||
	    json_get_text(request, name, out, size);
}

static cJSON *
do_maintenance(struct client *client, const cJSON *request)
{
	const struct control_out *out = &client->control->out;
	char reason[UPKEEP_REASON_SIZE], who[UPKEEP_WHO_SIZE], why[256] = "";
	struct control_maintenance wanted = { .reason = reason, .who = who };
	uint64_t span = 0;

	const cJSON *length = cJSON_GetObjectItemCaseSensitive(request, "span_ms");
	const char *service = json_text(request, "service");

	if (!json_get_bool(request, "on", &wanted.on))
		return refusal("maintenance is to be on or off");
	/* a word that is not understood must not become the whole host, or for ever */
	if (service == NULL &&
	    cJSON_GetObjectItemCaseSensitive(request, "service") != NULL)
		return refusal("a service is named by a text");
	if (length != NULL &&
	    (!json_get_uint(request, "span_ms", &span) || span == 0 ||
		span > UPKEEP_SPAN_MAX_MS))
		return refusal("a maintenance lasts from 1 ms to a year");
	wanted.span_ms = (int64_t)span;
	if (!take_text(request, "reason", reason, sizeof(reason)))
		return refusal(
		    "a reason has at most 120 bytes and no control character");
	if (!take_text(request, "who", who, sizeof(who)) || who[0] == '\0')
		snprintf(who, sizeof(who), "the user %u", client->uid);
	return outcome(
	    out->maintenance(out->arg, service, &wanted, why, sizeof(why)), why);
}

static cJSON *
do_handover(struct client *client, const cJSON *request)
{
	const struct control_out *out = &client->control->out;
	char why[256] = "";
	bool on;

	if (!json_get_bool(request, "on", &on))
		return refusal("a handover is to be on or off");
	return outcome(out->handover(out->arg, on, why, sizeof(why)), why);
}

/* There is no answer yet. */
static cJSON *
do_reload(struct client *client, const cJSON *request)
{
	const struct control_out *out = &client->control->out;
	uint64_t number = ++client->control->reloads;
	char why[256] = "";

	if (out->reload(out->arg, number, why, sizeof(why)) != 0)
		return refusal(why);
	client->reload = number;
	loop_timer_stop(client->idle);
	return NULL;
}

static const struct {
	const char *name;
	enum access access;
	cJSON *(*run)(struct client *client, const cJSON *request);
} commands[] = {
	{ "status", ACCESS_READ, do_status },
	{ "switchover", ACCESS_CHANGE, do_switchover },
	{ "init", ACCESS_CHANGE, do_init },
	{ "pass", ACCESS_CHANGE, do_pass },
	{ "warn", ACCESS_CHANGE, do_warn },
	{ "fail", ACCESS_CHANGE, do_fail },
	{ "maintenance", ACCESS_CHANGE, do_maintenance },
	{ "handover", ACCESS_CHANGE, do_handover },
	{ "reload", ACCESS_CHANGE, do_reload },
};

static cJSON *
answer_line(struct client *client, const char *line, size_t len)
{
	cJSON *request AUTO_JSON = json_parse(line, len);
	const char *name = request != NULL ? json_text(request, "command") : NULL;

	if (name == NULL)
		return refusal("a request is one JSON object with a \"command\"");
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (client->access < commands[i].access)
			return refusal(commands[i].access == ACCESS_CHANGE
				? "permission denied: root or the group lictor-admin "
				  "may"
				: "permission denied: root, lictor-admin or "
				  "lictor-status may");
		return commands[i].run(client, request);
	}
	return refusal("unknown command");
}

static void
queue_answer(struct client *client, const cJSON *answer)
{
	char *text AUTO_FREE = json_print(answer);

	buf_add(&client->out, text, strlen(text));
	buf_add(&client->out, "\n", 1);
}

/* Answers the first whole line, now or later; false: there is none. */
static bool
take_line(struct client *client)
{
	struct buf *in = &client->in;
	char *end = in->len > 0 ? memchr(in->data, '\n', in->len) : NULL;

	if (end == NULL)
		return false;
	size_t len = (size_t)(end - in->data);
	cJSON *answer AUTO_JSON = answer_line(client, in->data, len);
	if (answer != NULL)
		queue_answer(client, answer);
	in->len -= len + 1;
	memmove(in->data, end + 1, in->len);
	return true;
}

/* False: the client is to be closed. */
static bool
client_read(struct client *client)
{
	char bytes[1024];
	ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		client->ended = true;
	else
		buf_add(&client->in, bytes, (size_t)n);
	return !client->in.full;
}

/* False: the client is to be closed. */
static bool
client_write(struct client *client)
{
	ssize_t n = send(client->fd, client->out.data + client->sent,
	    client->out.len - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->sent += (size_t)n;
	if (client->sent == client->out.len)
		client->out.len = client->sent = 0;
	return !client->out.full;
}

/* One answer at a time: the next line waits until the last answer is on its way. False: the
 * client is to be closed. */
static bool
client_serve(struct client *client)
{
	bool alive = true;

	while (alive && client->reload == 0 &&
	    (client->out.len > 0 || take_line(client))) {
		if (client->reload != 0)
			break;
		alive = client_write(client);
		if (client->out.len > 0)
			return alive;
		loop_timer_after(client->idle, IDLE_MS);
	}
	return alive && (!client->ended || client->reload != 0);
}

/* Who waits for a reload and says that it sends no more is heard of again by writing. */
static unsigned int
wants(const struct client *client)
{
	if (client->out.len > 0)
		return LOOP_WRITE;
	return client->ended ? 0 : LOOP_READ;
}

static void
on_client(void *arg, unsigned int events)
{
	struct client *client = arg;

	if (((events & LOOP_READ) != 0 && !client_read(client)) ||
	    !client_serve(client))
		client_free(client);
	else
		loop_io_watch(client->io, wants(client));
}

static void
on_idle(void *arg)
{
	client_free(arg);
}

static void
client_new(struct control *control, size_t slot, int fd, enum access access, uid_t uid)
{
	struct client *client = xcalloc(1, sizeof(*client));

	client->control = control;
	client->fd = fd;
	client->access = access;
	client->uid = uid;
	client->in.limit = LINE_MAX_BYTES;
	client->out.limit = 64u << 20;
	client->io = loop_io_new(control->loop, fd, on_client, client);
	client->idle = loop_timer_new(control->loop, on_idle, client);
	loop_io_watch(client->io, LOOP_READ);
	loop_timer_after(client->idle, IDLE_MS);
	control->clients[slot] = client;
}

static void
on_connect(void *arg, unsigned int events)
{
	struct control *control = arg;
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	uid_t uid = 0;
	enum access access = judge(control, fd, &uid);
	size_t slot = access == ACCESS_NONE ? STRANGERS_MAX : CLIENTS_MAX;
	while (slot > 0 && control->clients[slot - 1] != NULL)
		slot--;
	if (slot > 0)
		client_new(control, slot - 1, fd, access, uid);
	else
		close(fd);
}

void
control_reloaded(struct control *control, uint64_t request, bool ok, const char *why)
{
	cJSON *answer AUTO_JSON = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", ok);
	cJSON_AddStringToObject(answer, ok ? "text" : "error", why);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = control->clients[i];

		if (client == NULL || client->reload != request || request == 0)
			continue;
		client->reload = 0;
		loop_timer_after(client->idle, IDLE_MS);
		queue_answer(client, answer);
		if (!client_serve(client))
			client_free(client);
		else
			loop_io_watch(client->io, wants(client));
		return;
	}
}

static bool
find_group(const char *name, gid_t *gid)
{
	const struct group *group = getgrnam(name);

	if (group == NULL)
		return false;
	*gid = group->gr_gid;
	return true;
}

struct control *
control_new(struct loop *loop, int fd, const struct control_out *out)
{
	struct control *control = xcalloc(1, sizeof(*control));

	control->loop = loop;
	control->fd = fd;
	control->out = *out;
	control->has_admin = find_group("lictor-admin", &control->admin);
	control->has_status = find_group("lictor-status", &control->status);
	control->io = loop_io_new(loop, fd, on_connect, control);
	loop_io_watch(control->io, LOOP_READ);
	return control;
}

void
control_free(struct control *control)
{
	if (control == NULL)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i] != NULL)
			client_free(control->clients[i]);
	loop_io_free(control->io);
	free(control);
}
