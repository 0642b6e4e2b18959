/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SCOPE_H
#define LICTOR_SCOPE_H

#include "agent/base/json.h"

struct conf_consul;

/*
 * The path of a request with the datacenter, namespace and partition of the configuration
 * as Consul's API wants them in its query. The caller frees it.
 */
char *scope_path(const struct conf_consul *conf, const char *path);

/* An operation of a transaction has them in its members: `kv` is those. */
void scope_operation(const struct conf_consul *conf, cJSON *kv);

/* What the operator has to mend where an answer means that one of them is of no use here;
 * NULL: it does not. */
const char *scope_fault(const struct conf_consul *conf, int status, const char *body);

#endif
