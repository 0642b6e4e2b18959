/* SPDX-License-Identifier: ISC */
/*
 * Authorities in a folder, as Consul's tools take CONSUL_CAPATH: all files are read, where
 * OpenSSL would look for hashed names only. A file that is no certificate is passed over,
 * since such folders hold keys and lists as well. Of tls_context, which watches it.
 */
#include "agent/base/tls_folder.h"

#include <dirent.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/base/util.h"

#define FILES_MAX 1000

bool
tls_folder_is(const char *path)
{
	struct stat st;

	return path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The next file of the folder, as a path; the caller frees it. */
static char *
next_file(DIR *dir, const char *path)
{
	const struct dirent *entry;
	struct stat st;

	while ((entry = readdir(dir)) != NULL) {
		char *file = xasprintf("%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.' && stat(file, &st) == 0 &&
		    S_ISREG(st.st_mode))
			return file;
		free(file);
	}
	return NULL;
}

/* As a sum: a file is often there twice, its hashed name being a link to it. */
static void
add_mark(struct file_mark *all, const char *file)
{
	struct file_mark mark = file_mark(file);

	all->inode += mark.inode;
	all->size += mark.size;
	all->changed_ns += mark.changed_ns;
	all->written_ns += mark.written_ns;
}

struct file_mark
tls_folder_mark(const char *path)
{
	struct file_mark all = file_mark(path);
	DIR *dir = opendir(path);
	char *file;

	for (int n = 0; dir != NULL && n < FILES_MAX; n++) {
		file = next_file(dir, path);
		if (file == NULL)
			break;
		add_mark(&all, file);
		free(file);
	}
	if (dir != NULL)
		closedir(dir);
	return all;
}

bool
tls_folder_load(X509_STORE *store, const char *path)
{
	DIR *dir = opendir(path);
	bool any = false;
	char *file;

	for (int n = 0; dir != NULL && n < FILES_MAX; n++) {
		file = next_file(dir, path);
		if (file == NULL)
			break;
		if (X509_STORE_load_file(store, file) == 1)
			any = true;
		free(file);
	}
	if (dir != NULL)
		closedir(dir);
	return any;
}
