/* SPDX-License-Identifier: ISC */
/*
 * The ACL token: from the environment, or from a file that is looked at before each request,
 * since an operator or Vault's agent replaces it at any time and nobody restarts lictord for
 * that. Consul uses it and owns it.
 *
 * A file at fault keeps the token that was good before: taking it away would end the leases of
 * a host whose token is being replaced.
 */
#include "agent/consul/token.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"

static void
note_trouble(struct token *token, const char *path, const char *why)
{
	if (!strcmp(token->trouble, why))
		return;
	str_copy(token->trouble, sizeof(token->trouble), why);
	if (why[0])
		log_warning("consul", "token file %s is not used: %s; %s", path, why,
		    token->text[0] ? "the token read before stays in use"
				   : "nothing is asked with a token");
	else
		log_notice("consul", "token file %s is used now", path);
}

static bool
is_valid(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!isgraph((unsigned char)*c))
			return false;
	return text[0] != '\0';
}

/* What is wrong with the file, or NULL. Others must not be able to read the token, nor to
 * put another in its place. */
static const char *
fault_of(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is no regular file";
	if (st->st_mode & (S_IROTH | S_IWOTH))
		return "everybody may read or write it, expected mode 0640 or less";
	if (st->st_size > TOKEN_MAX)
		return "it is too long for a token";
	return NULL;
}

static const char *
read_text(int fd, char text[TOKEN_MAX + 1])
{
	struct stat st;
	const char *fault;
	ssize_t len;

	if (fstat(fd, &st) < 0)
		return strerror(errno);
	fault = fault_of(&st);
	if (fault)
		return fault;
	len = read(fd, text, TOKEN_MAX);
	if (len < 0)
		return strerror(errno);
	text[len] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return is_valid(text) ? NULL : "there is no token in it";
}

static void
read_file(struct token *token, const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char text[TOKEN_MAX + 1];
	const char *fault;

	if (fd < 0) {
		note_trouble(token, path, strerror(errno));
		return;
	}
	fault = read_text(fd, text);
	note_trouble(token, path, fault ? fault : "");
	if (!fault)
		str_copy(token->text, sizeof(token->text), text);
	explicit_bzero(text, sizeof(text));
}

void
token_refresh(struct token *token, const char *path)
{
	if (!path)
		return;
	struct file_mark now = file_mark(path);
	if (now.inode != 0 && file_mark_same(&now, &token->seen))
		return;
	token->seen = now;
	read_file(token, path);
}

void
token_start(struct token *token, const struct conf_consul *conf)
{
	if (conf->token_file || !conf->token)
		return;
	if (!is_valid(conf->token) ||
	    !str_copy(token->text, sizeof(token->text), conf->token)) {
		token->text[0] = '\0';
		log_warning("consul", "CONSUL_HTTP_TOKEN is not used: it is no token");
	}
}

void
token_forget(struct token *token)
{
	explicit_bzero(token, sizeof(*token));
}
