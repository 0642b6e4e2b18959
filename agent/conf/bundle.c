/* SPDX-License-Identifier: ISC */
/*
 * The bytes of the configuration: read once from the files and the environment, kept in
 * one piece, handed on as a sealed memfd and taken back from it. What they mean is for
 * conf.c. Invariant: two processes with the same digest have the same bytes, hence the
 * same indexes; what is received is checked for its form, sealed or refused.
 */
#include "agent/conf/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/fault.h"
#include "agent/conf/host.h"

#define FILE_MAX ((size_t)4 << 20)
#define BUNDLE_MAX ((size_t)64 << 20)
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Variables that Consul's own tools know. */
static const char *const variables[] = {
	"CONSUL_HTTP_ADDR",
	"CONSUL_HTTP_TOKEN",
	"CONSUL_HTTP_TOKEN_FILE",
	"CONSUL_HTTP_SSL",
	"CONSUL_HTTP_SSL_VERIFY",
	"CONSUL_HTTP_AUTH",
	"CONSUL_NAMESPACE",
	"CONSUL_PARTITION",
	"CONSUL_CACERT",
	"CONSUL_CAPATH",
	"CONSUL_CLIENT_CERT",
	"CONSUL_CLIENT_KEY",
	"CONSUL_TLS_SERVER_NAME",
};

/* Before each file in the bytes; name and text follow, each with a NUL. */
struct file_head {
	uint32_t name_len, len;
};

void
conf_bundle_free(struct conf_bundle *bundle)
{
	if (bundle == NULL)
		return;
	if (bundle->mapped) {
		munmap(bundle->bytes, bundle->len);
	} else if (bundle->bytes != NULL) {
		explicit_bzero(bundle->bytes, bundle->len); /* it may hold a token */
		free(bundle->bytes);
	}
	free(bundle->files);
	free(bundle);
}

uint64_t
bundle_digest(const struct conf_bundle *bundle)
{
	return fnv1a64(bundle->bytes, bundle->len);
}

static void
add_file(struct buf *bytes, const char *name, const char *text, size_t len)
{
	struct file_head head = { (uint32_t)strlen(name), (uint32_t)len };

	buf_add(bytes, &head, sizeof(head));
	buf_add(bytes, name, head.name_len + 1);
	buf_add(bytes, text, len);
	buf_add(bytes, "", 1);
}

/* The file at `at`; false: the bytes are not a bundle. */
static bool
take_file(const char *bytes, size_t len, size_t *at, struct bundle_file *out)
{
	struct file_head head;

	if (len - *at < sizeof(head))
		return false;
	memcpy(&head, bytes + *at, sizeof(head));
	size_t left = len - *at - sizeof(head),
	       need = (size_t)head.name_len + head.len + 2;
	const char *name = bytes + *at + sizeof(head);
	if (left < need || name[head.name_len] != '\0' || name[need - 1] != '\0')
		return false;
	*out = (struct bundle_file){ name, name + head.name_len + 1, head.len };
	*at += sizeof(head) + need;
	return true;
}

/* Takes the bytes over; NULL: they are not a bundle. */
static struct conf_bundle *
index_bytes(char *bytes, size_t len, bool mapped)
{
	struct conf_bundle *bundle = xcalloc(1, sizeof(*bundle));
	struct bundle_file file;

	bundle->bytes = bytes;
	bundle->len = len;
	bundle->mapped = mapped;
	for (size_t at = 0; at < len;) {
		size_t n = bundle->n_files;
		if (!take_file(bytes, len, &at, &file)) {
			conf_bundle_free(bundle);
			return NULL;
		}
		if ((n & (n - 1)) == 0)
			bundle->files = xrealloc(
			    bundle->files, n == 0 ? 1 : 2 * n, sizeof(*bundle->files));
		bundle->files[bundle->n_files++] = file;
	}
	if (bundle->n_files < BUNDLE_SERVICES) {
		conf_bundle_free(bundle);
		return NULL;
	}
	return bundle;
}

struct conf_bundle *
bundle_new(const struct bundle_file *files, size_t count)
{
	struct buf bytes = { .limit = BUNDLE_MAX };

	for (size_t i = 0; i < count; i++)
		add_file(&bytes, files[i].name, files[i].text, files[i].len);
	return index_bytes(bytes.data, bytes.len, false);
}

char *
bundle_environment(const struct conf_bundle *bundle, const char *name)
{
	const char *p = bundle->files[BUNDLE_ENVIRONMENT].text;
	size_t len = strlen(name);

	for (; *p != '\0'; p += strcspn(p, "\n") + 1)
		if (strncmp(p, name, len) == 0 && p[len] == '=')
			return xstrndup(p + len + 1, strcspn(p + len + 1, "\n"));
	return NULL;
}

static int
add_environment(struct buf *bytes, char *error)
{
	struct buf text = { .limit = FILE_MAX };

	for (size_t i = 0; i < ARRAY_LENGTH(variables); i++) {
		const char *value = getenv(variables[i]);
		if (value == NULL || value[0] == '\0')
			continue;
		for (const char *p = value; *p != '\0'; p++)
			if (*p < ' ' || *p > '~') {
				buf_free(&text);
				return fault_set(error, "environment", 0,
				    "%s has a byte 0x%02x, expected printable ASCII",
				    variables[i], (unsigned char)*p);
			}
		buf_printf(&text, "%s=%s\n", variables[i], value);
	}
	add_file(bytes, "environment", text.len > 0 ? text.data : "", text.len);
	buf_free(&text);
	return 0;
}

static int
fail_to_read(const char *path, int code, char *error)
{
	return fault_set(error, path, 0,
	    "it cannot be read: %s, expected a readable file", strerror(code));
}

/* All of an open file, by reading until it ends: its size may change meanwhile. */
static int
read_open(int fd, const char *path, struct buf *text, char *error)
{
	char piece[16384];
	ssize_t len;

	while ((len = read(fd, piece, sizeof(piece))) > 0 && !text->full)
		buf_add(text, piece, (size_t)len);
	if (len < 0)
		return fail_to_read(path, errno, error);
	if (text->full)
		return fault_set(error, path, 0,
		    "it is too long, expected at most %zu bytes", FILE_MAX);
	return 0;
}

/* What names commands must be as safe as they are. */
static int
check_safe(const char *path, char *error)
{
	char why[CONF_ERROR_MAX];

	if (host_check_configuration(path, why, sizeof(why)) == 0)
		return 0;
	return fault_set(error, path, 0, "%s", why);
}

static int
read_file(const char *path, struct buf *bytes, char *error)
{
	/* O_NONBLOCK: a pipe without a writer must not hold us */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct buf text = { .limit = FILE_MAX };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return fail_to_read(path, errno, error);
	if (!S_ISREG(st.st_mode))
		return fault_set(error, path, 0, "it is no regular file, expected one");
	int result = check_safe(path, error);
	if (result == 0)
		result = read_open(fd, path, &text, error);
	if (result == 0)
		add_file(bytes, path, text.len > 0 ? text.data : "", text.len);
	buf_free(&text);
	if (result == 0 && bytes->full)
		return fault_set(error, path, 0,
		    "the configuration is too long, expected at most %zu bytes in all",
		    BUNDLE_MAX);
	return result;
}

static int
is_conf_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 &&
	    strcmp(entry->d_name + len - 5, ".conf") == 0;
}

/* By bytes, whatever the locale: the order decides the indexes. */
static int
compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
read_folder(const char *folder, struct buf *bytes, char *error)
{
	struct dirent **entries = NULL;
	int n = scandir(folder, &entries, is_conf_file, compare_names);

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return fault_set(error, folder, 0,
		    "it cannot be read: %s, expected a folder of configuration files",
		    strerror(errno));
	int result = check_safe(folder, error);
	for (int i = 0; i < n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", folder, entries[i]->d_name);
		if (result == 0)
			result = read_file(path, bytes, error);
		free(entries[i]);
	}
	free(entries);
	return result;
}

struct conf_bundle *
conf_read(const char *dir, char error[CONF_ERROR_MAX])
{
	AUTO_FREE char *node_file = xasprintf("%s/lictor.conf", dir);
	AUTO_FREE char *folder = xasprintf("%s/services.d", dir);
	struct buf bytes = { .limit = BUNDLE_MAX };

	if (add_environment(&bytes, error) == 0 &&
	    read_file(node_file, &bytes, error) == 0 &&
	    read_folder(folder, &bytes, error) == 0)
		return index_bytes(bytes.data, bytes.len, false);
	buf_free(&bytes);
	return NULL;
}

static int
write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t written = write(fd, bytes, len);
		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			len -= (size_t)written;
		}
	}
	return 0;
}

int
conf_send(const struct conf *conf)
{
	int fd = memfd_create("lictor-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	int result = write_all(fd, conf->bundle->bytes, conf->bundle->len);
	if (result == 0 && fcntl(fd, F_ADD_SEALS, SEALS) != 0)
		result = -errno;
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

struct conf_bundle *
conf_receive(int fd, char error[CONF_ERROR_MAX])
{
	static const char *const name = "the configuration received";
	struct conf_bundle *bundle = NULL;
	struct stat st;

	if (fcntl(fd, F_GET_SEALS) != SEALS || fstat(fd, &st) != 0 ||
	    (uint64_t)st.st_size > BUNDLE_MAX) {
		fault_set(error, name, 0, "it is not sealed, expected a sealed memfd");
		return NULL;
	}
	size_t len = (size_t)st.st_size;
	void *bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes != MAP_FAILED)
		bundle = index_bytes(bytes, len, true);
	if (bundle == NULL)
		fault_set(error, name, 0,
		    "it cannot be read, expected the files in one piece");
	else
		bundle->received = true;
	return bundle;
}
