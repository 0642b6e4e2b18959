/* SPDX-License-Identifier: ISC */
/*
 * The control socket. A client sends one JSON object a line and gets one back; it is judged
 * by the kernel's word about it (SO_PEERCRED, SO_PEERGROUPS), never by what it says. What
 * there is to ask stands in command.c. Bounded: CLIENTS_MAX at once, a line
 * of LINE_MAX_BYTES, IDLE_MS without a whole line; a client that does not read its answer
 * is closed by the same clock.
 */
#include "agent/status/control.h"

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/status/command.h"

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

struct client {
	struct control *control;
	struct loop_io *io;
	struct loop_timer *idle;
	int fd;
	enum command_access access;
	uid_t uid;
	struct buf in, out;
	size_t sent;
	bool ended; /* it will send no more */
	uint64_t waits_for; /* the request that is answered later; 0: none */
};

struct control {
	struct loop *loop;
	struct loop_io *io;
	struct control_out out;
	int fd;
	gid_t admin, status;
	bool has_admin, has_status;
	uint64_t asked; /* requests until now */
	uint64_t asking; /* the number of the one that is read now; 0: none is */
	cJSON *early; /* its answer, given from within */
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
static enum command_access
judge(const struct control *control, int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	gid_t groups[GROUPS_MAX + 1];
	size_t count = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return COMMAND_NOTHING;
	*uid = cred.uid;
	if (cred.uid == 0 || cred.uid == geteuid())
		return COMMAND_CHANGE;
	len = GROUPS_MAX * sizeof(groups[0]);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
		count = len / sizeof(groups[0]);
	groups[count++] = cred.gid;
	if (member_of(groups, count, control->has_admin, control->admin))
		return COMMAND_CHANGE;
	if (member_of(groups, count, control->has_status, control->status))
		return COMMAND_READ;
	return COMMAND_NOTHING;
}

/* NULL: the answer comes later. */
static cJSON *
answer_line(struct client *client, const char *line, size_t len)
{
	struct control *control = client->control;
	struct command_call call = { .out = &control->out,
		.access = client->access,
		.uid = client->uid,
		.number = ++control->asked };

	control->asking = call.number;
	cJSON *answer = command_answer(&call, line, len);
	control->asking = 0;
	if (!call.later)
		return answer;
	answer = control->early;
	control->early = NULL;
	if (answer == NULL) {
		client->waits_for = call.number;
		loop_timer_stop(client->idle);
	}
	return answer;
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

	while (alive && client->waits_for == 0 &&
	    (client->out.len > 0 || take_line(client))) {
		if (client->waits_for != 0)
			break;
		alive = client_write(client);
		if (client->out.len > 0)
			return alive;
		loop_timer_after(client->idle, IDLE_MS);
	}
	return alive && (!client->ended || client->waits_for != 0);
}

/* Who waits for an answer and says that it sends no more is heard of again by writing. */
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
client_new(
    struct control *control, size_t slot, int fd, enum command_access access, uid_t uid)
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
	enum command_access access = judge(control, fd, &uid);
	size_t slot = access == COMMAND_NOTHING ? STRANGERS_MAX : CLIENTS_MAX;
	while (slot > 0 && control->clients[slot - 1] != NULL)
		slot--;
	if (slot > 0)
		client_new(control, slot - 1, fd, access, uid);
	else
		close(fd);
}

void
control_answer(struct control *control, uint64_t request, bool ok, const char *why)
{
	cJSON *answer AUTO_JSON = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", ok);
	cJSON_AddStringToObject(answer, ok ? "text" : "error", why);
	if (request != 0 && control->asking == request) {
		control->early = answer;
		answer = NULL;
		return;
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = control->clients[i];

		if (client == NULL || client->waits_for != request || request == 0)
			continue;
		client->waits_for = 0;
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
