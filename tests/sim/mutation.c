/* SPDX-License-Identifier: ISC */
/* Which rule is broken: one at a time, for all of the process. */
#include "tests/sim/mutation.h"

#include <strings.h>

#include "agent/base/util.h"

static const char *const names[] = { "nothing", "resurrect", "readadopt", "latereply",
	"claimconfirm", "nofence", "shortw", "chain", "bindlate", "staleread",
	"sameval", "restartkeep", "lowerlease", "goneorder", "longlife", "tsend",
	"nopromise", "revive", "shortwn", "givewait", "growlate", "shrinkearly",
	"literals14", "loweradopt", "nodup", "nohbrev", "equalrev", "nograce2b",
	"hookhold", "hookgive", "calmkeep", "oldindex", "nodeadman", "oldsocket" };
_Static_assert(ARRAY_LENGTH(names) == MUTATIONS, "one name per broken rule");

static enum mutation mutation;

bool
mutation_is(enum mutation rule)
{
	return mutation == rule;
}

void
mutation_set(enum mutation rule)
{
	mutation = rule;
}

const char *
mutation_name(enum mutation rule)
{
	return names[rule];
}

enum mutation
mutation_find(const char *name)
{
	enum mutation rule = MUTATE_NOTHING;

	while (rule < MUTATIONS && strcasecmp(names[rule], name) != 0)
		rule++;
	return rule;
}
