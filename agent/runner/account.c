/* SPDX-License-Identifier: ISC */
/*
 * The users that commands run as. The user database is asked once for each, when its first
 * command is run, and the answer kept: it may be a directory service that answers slowly,
 * and who a check runs as is not to change while lictord runs. An account is its list's until
 * that is freed.
 */
#include "agent/runner/account.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/identity.h"
#include "agent/base/util.h"

struct accounts {
	struct account *first;
};

bool
accounts_default_missing(void)
{
	return identity_may_change() && getpwnam(ACCOUNT_DEFAULT) == NULL;
}

/* NULL with *error; for this process's own user also with 0: nobody knows it. */
static const struct passwd *
look_up(const char *user, int *error)
{
	const struct passwd *found = NULL;

	if (user == NULL && identity_may_change())
		found = getpwnam(ACCOUNT_DEFAULT);
	errno = 0;
	if (found == NULL)
		found = user != NULL ? getpwnam(user) : getpwuid(geteuid());
	*error = 0;
	if (found == NULL && user != NULL)
		*error = errno != 0 ? -errno : -ENOENT;
	else if (found != NULL && found->pw_uid != geteuid() && !identity_may_change())
		*error = -EPERM;
	return found;
}

static void
account_free(struct account *account)
{
	for (size_t i = 0; account->environment[i] != NULL; i++)
		free(account->environment[i]);
	free(account->groups);
	free(account->user);
	free(account);
}

static struct account *
account_new(const char *user, const struct passwd *found)
{
	struct account *account = xcalloc(1, sizeof(*account));
	const char *name = found != NULL ? found->pw_name : "";

	account->user = user != NULL ? xstrdup(user) : NULL;
	account->uid = found != NULL ? found->pw_uid : geteuid();
	account->gid = found != NULL ? found->pw_gid : getegid();
	account->change =
	    identity_may_change() && (user != NULL || account->uid != geteuid());
	account->environment[0] =
	    xasprintf("HOME=%s", found != NULL ? found->pw_dir : "/");
	account->environment[1] = xasprintf("USER=%s", name);
	account->environment[2] = xasprintf("LOGNAME=%s", name);
	account->groups = identity_groups(name, account->gid, &account->n_groups);
	return account;
}

static bool
is_of(const struct account *account, const char *user)
{
	if (user == NULL || account->user == NULL)
		return user == account->user;
	return strcmp(user, account->user) == 0;
}

const struct account *
accounts_find(struct accounts *accounts, const char *user, int *error)
{
	for (const struct account *a = accounts->first; a != NULL; a = a->next)
		if (is_of(a, user))
			return a;
	const struct passwd *found = look_up(user, error);
	if (*error != 0)
		return NULL;
	struct account *account = account_new(user, found);
	account->next = accounts->first;
	accounts->first = account;
	return account;
}

struct accounts *
accounts_new(void)
{
	return xcalloc(1, sizeof(struct accounts));
}

void
accounts_free(struct accounts *accounts)
{
	if (accounts == NULL)
		return;
	while (accounts->first != NULL) {
		struct account *account = accounts->first;
		accounts->first = account->next;
		account_free(account);
	}
	free(accounts);
}
