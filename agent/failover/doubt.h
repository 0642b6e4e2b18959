/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_DOUBT_H
#define LICTOR_DOUBT_H

struct conf;
struct self_facts;

/*
 * What is no fault, but will not go well with the roles of a configuration: said by
 * `lictord -t` and once at each start. Each doubt is one line, given to `say`, which must
 * not keep it.
 */
struct doubt_out {
	void (*say)(void *arg, const char *line);
	void *arg;
};

/* Pure: of the configuration itself, and of what the Consul agent says of itself. */
void doubt_conf(const struct conf *conf, const struct doubt_out *out);
void doubt_consul(const struct conf *conf, const struct self_facts *facts,
    const struct doubt_out *out);
/* Of this host's network: asks the kernel. */
void doubt_host(const struct conf *conf, const struct doubt_out *out);

/* The same of given facts, for tests: the folder is /proc/sys/net there. */
struct ifaddrs;
void doubt_host_of(const struct conf *conf, const char *folder,
    const struct ifaddrs *addresses, const struct doubt_out *out);

#endif
