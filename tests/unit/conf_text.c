/* SPDX-License-Identifier: ISC */
/*
 * Configurations for tests that need one and no files. What it names on this host (users,
 * programs, folders) is taken as if another process had looked already.
 */
#include "tests/unit/conf_text.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "tests/unit/tap.h"

struct conf *
conf_of_text(const char *text)
{
	struct bundle_file files[] = {
		{ "environment", "", 0 },
		{ "lictor.conf", text, strlen(text) },
	};
	char error[CONF_ERROR_MAX] = "";
	struct conf_bundle *bundle = bundle_new(files, ARRAY_LENGTH(files));

	bundle->received = true;
	struct conf *conf = conf_parse(bundle, error);
	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	return conf;
}
