#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Datacenter, namespace and partition against a real Consul of the community edition: the
# agent's own datacenter is right, and what is of no use is said once, with the option.
. "${top_srcdir:-.}/tests/net/setup.sh"

HOSTS=server # whose log is shown
etc=$LAB_DIR/server/etc
host_folders server
echo 'service "web" { ttl "job" { ttl = 1h } } role "web" { services = {"web"} }' \
    >"$etc/services.d/web.conf"

# with TEXT: a lictord with that as lictor.conf, and a log of its own.
with()
{
	echo "$1" >"$etc/lictor.conf"
	: >"$LAB_DIR/server/lictord.log"
	lictord_start server
	wait_for 10 lictorctl_at server pass web/job
}

log_has()
{
	grep -qE -- "$1" "$LAB_DIR/server/lictord.log"
}

said_once()
{
	wait_for 10 log_has "$1" && [ "$(log_count server "$1")" = 1 ]
}

consul_start server
wait_for 20 consul_has_nodes 1

with 'consul { datacenter = dc1 }'
check "its own datacenter: the host becomes master" wait_for 20 log_has 'web: .*-> master'
stop server lictord
check "without a complaint but that Consul's server is here" \
    [ "$(grep -cE ' (warning|error) ' "$LAB_DIR/server/lictord.log")" = \
    "$(log_count server 'the Consul agent of this host is a server')" ]

with 'consul { datacenter = dc2 }'
check "another datacenter is refused" said_once \
    'agent is in the datacenter dc1, and datacenter in lictor.conf is dc2'
stop server lictord

with 'consul { namespace = team-a }'
check "a namespace is refused by name" said_once 'take namespace \(CONSUL_NAMESPACE\) away'
stop server lictord

# asked by itself: 1.8.7 knows no partitions and passes the word over
with 'node = server consul { datacenter = dc3 }'
check "so is a datacenter that Consul does not know" said_once \
    'knows no such datacenter: datacenter must be'
tap_end
