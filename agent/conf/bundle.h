/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_BUNDLE_H
#define LICTOR_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One file of a bundle, borrowed from its bytes; both texts end with a NUL. */
struct bundle_file {
	const char *name, *text;
	size_t len;
};

/* Everything the configuration is made of, as one piece of bytes: what crosses the wall.
 * The first file stands for the environment ("NAME=value" lines of the variables that
 * count), the second is lictor.conf, the rest services.d in order. */
struct conf_bundle {
	char *bytes;
	size_t len;
	struct bundle_file *files;
	size_t n_files;
	bool received;	/* by conf_receive: who read the files has asked the host already */
	bool mapped;	/* the bytes are the sealed memfd's, one copy for all processes */
};
enum { BUNDLE_ENVIRONMENT, BUNDLE_NODE, BUNDLE_SERVICES };

/* The value of an environment variable, for the caller to free; NULL: not set or empty. */
char *bundle_environment(const struct conf_bundle *bundle, const char *name);
uint64_t bundle_digest(const struct conf_bundle *bundle);

/* A bundle of given texts, as conf_read would make it of files: for tests. */
struct conf_bundle *bundle_new(const struct bundle_file *files, size_t count);

#endif
