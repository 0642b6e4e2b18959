/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_CONF_BED_H
#define LICTOR_TESTS_CONF_BED_H

#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"

/* A services file with something of everything. */
#define WHOLE                                                                          \
	"# the file of the tests\n"                                                    \
	"service \"db\" {\n"                                                           \
	"  port = 5432\n"                                                              \
	"  address = db-1.example\n"                                                   \
	"  tags = {\"sql\", 'a\\d'} // two\n"                                          \
	"  meta = {\"version=15\", \"note=\\\"a\\\\b\\\"\"}\n"                         \
	"  weight = 10\n"                                                              \
	"  on-stop = maintenance\n"                                                    \
	"  tcp \"port\" { address = \"127.0.0.1:5432\" interval = 1s }\n"              \
	"  /* one\n"                                                                   \
	"     comment */\n"                                                            \
	"  script \"query\" {\n"                                                       \
	"    command = {\"/bin/true\", \"-d\", \"\"}\n"                                \
	"    environment = {\"A=b c\"}\n"                                              \
	"    directory = \"/\"\n"                                                      \
	"    interval = 5s timeout = 1m rise = 1 fall = 5\n"                           \
	"    initial = passing output-size = 100 notes = \"why\"\n"                    \
	"  }\n"                                                                        \
	"}\n"                                                                          \
	"service \"web\" { id = \"web-1\" }\n"                                         \
	"tcp \"ssh\" { address = \"127.0.0.1:22\" }\n"                                 \
	"role \"db\" {\n"                                                              \
	"  services = {\"db\"}\n"                                                      \
	"  priority = 7 preempt = true preempt-delay = 1m\n"                           \
	"  when-all-critical = release address = before-promote\n"                     \
	"  vip \"192.0.2.100\" { interface = \"eth0\"\n"                               \
	"    route = {\"default via 192.0.2.1 table 100\", \"10.0.0.0/8 metric 5\"}\n" \
	"    rule = {\"from 192.0.2.100 table 100\"} }\n"                              \
	"  vip \"2001:db8::100/64\" { interface = \"eth1\"\n"                          \
	"    announce-refresh = 0s on-conflict = yield reset-connections = false\n"    \
	"    route = {\"2001:db8:1::/48\"}\n"                                          \
	"    rule = {\"priority 7 table 4294967295 to ::1 from 2001:db8::/32\"} }\n"   \
	"  hooks { promote = {\"/bin/true\", \"up\"}\n"                                \
	"    notify = {\"/bin/true\"} timeout = 3s }\n"                                \
	"}\n"

/* As conf_read would make it of files that say so. */
struct conf_bundle *bundle_of(
    const char *environment, const char *node_file, const char *services);
/* The same as a configuration; NULL, and printed why. */
struct conf *parse(
    const char *environment, const char *node_file, const char *services);

#endif
