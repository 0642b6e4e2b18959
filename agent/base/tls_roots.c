/* SPDX-License-Identifier: ISC */
/*
 * The authorities that the system trusts, one store for all contexts, made when a first
 * one needs it and again when they change. Where they are kept as a hashed directory
 * nothing of it is loaded but what is asked for: the bundle as a whole costs a megabyte.
 */
#include "agent/base/tls_roots.h"

#include <ctype.h>
#include <dirent.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "agent/base/util.h"

struct paths {
	const char *dir, *bundle; /* or NULL */
};

struct tls_roots {
	X509_STORE *store; /* NULL: nobody has asked yet */
	struct file_mark mark;
};

/* "1a2b3c4d.0", as openssl-rehash(1) makes them. */
static bool
is_hashed_name(const char *name)
{
	size_t n = 0;

	while (isxdigit((unsigned char)name[n]))
		n++;
	return n == 8 && name[n] == '.' && isdigit((unsigned char)name[n + 1]);
}

static bool
is_hashed(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool hashed = false;

	while (dir != NULL && !hashed && (entry = readdir(dir)) != NULL)
		hashed = is_hashed_name(entry->d_name);
	if (dir != NULL)
		closedir(dir);
	return hashed;
}

/* Where the system has its authorities: as OpenSSL looks (SSL_CTX_load_verify_locations(3)),
 * but the bundle only where there is no hashed directory or it was asked for. */
static void
find_system(struct paths *paths)
{
	const char *dir = secure_getenv(X509_get_default_cert_dir_env());

	paths->bundle = secure_getenv(X509_get_default_cert_file_env());
	paths->dir = dir != NULL ? dir : X509_get_default_cert_dir();
	if (!is_hashed(paths->dir))
		paths->dir = NULL;
	if (paths->dir == NULL && paths->bundle == NULL)
		paths->bundle = X509_get_default_cert_file();
}

struct tls_roots *
tls_roots_new(void)
{
	return xcalloc(1, sizeof(struct tls_roots));
}

void
tls_roots_free(struct tls_roots *roots)
{
	if (roots == NULL)
		return;
	X509_STORE_free(roots->store);
	free(roots);
}

struct file_mark
tls_roots_mark(void)
{
	struct paths paths;

	find_system(&paths);
	struct file_mark dir = file_mark(paths.dir), bundle = file_mark(paths.bundle);
	return file_mark_both(&dir, &bundle);
}

X509_STORE *
tls_roots_store(struct tls_roots *roots)
{
	struct file_mark mark = tls_roots_mark();
	struct paths paths;

	if (roots->store != NULL && file_mark_same(&mark, &roots->mark))
		return roots->store;
	X509_STORE_free(roots->store);
	roots->mark = mark;
	roots->store = X509_STORE_new();
	if (roots->store == NULL)
		out_of_memory();
	find_system(&paths);
	if (paths.dir != NULL)
		X509_STORE_load_path(roots->store, paths.dir);
	if (paths.bundle != NULL)
		X509_STORE_load_file(roots->store, paths.bundle);
	return roots->store;
}
