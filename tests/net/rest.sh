#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Fifty roles at rest cost Consul two requests a second from each host, not fifty times what
# one costs, and write nothing.
. "${top_srcdir:-.}/tests/net/setup.sh"

ROLES=50
SPAN=20 # seconds

all_settled()
{
	local host
	for host in $HOSTS; do
		[ "$(lictorctl_at "$host" status --json |
		    jq '[.roles[] | select(.calm)] | length')" = $ROLES ] || return 1
	done
}

# The requests of the host's agent so far that concern roles: reads, watch and session.
requests()
{
	api "$1" /v1/agent/metrics?format=prometheus |
	    awk '/^consul_http_/ && /_count/ && /v1_txn|v1_kv|v1_session/ { n += $NF }
		END { print n + 0 }'
}

# How often the host's agent has been woken.
wakes()
{
	awk '/^voluntary/ { print $2 }' "/proc/$(process_of "$1" agent)/status"
}

# What the host's agent has had of a processor, in hundredths of a second.
ticks()
{
	awk '{ print $14 + $15 }' "/proc/$(process_of "$1" agent)/stat"
}

# What Consul has of lictor, and when any of it was changed last.
index()
{
	api server '/v1/kv/lictor/?recurse&consistent' |
	    jq '[.[] | [.Key, .ModifyIndex]] | sort' | sha256sum
}

CONSUL_MORE=', "telemetry": { "prometheus_retention_time": "10m" }'
for host in $HOSTS; do
	host_files "$host"
	for ((i = 1; i < ROLES; i++)); do
		echo "role \"r$i\" { priority = $((i % 2 == ${#host} % 2 ? 100 : 90)) }"
	done >"$LAB_DIR/$host/etc/services.d/roles.conf"
done
pair_start lictord_start
was=()
check "all $ROLES roles are calm on both hosts" wait_for 40 all_settled
before=$(index)
for host in $HOSTS; do
	was[${#was[@]}]=$(requests "$host")
done
woken=$(wakes web-1) worked=$(ticks web-1)
wait_for $SPAN false || true
diag "web-1 woke $((($(wakes web-1) - woken) / SPAN)) times a second"
worked=$((($(ticks web-1) - worked) * 100 / SPAN))
diag "and took $((worked / 100)).$(printf %02d $((worked % 100))) % of a processor"
for host in $HOSTS; do
	now=$(requests "$host")
	rate=$(((now - was[0]) * 100 / SPAN))
	was=("${was[@]:1}")
	diag "$host: $((rate / 100)).$(printf %02d $((rate % 100))) requests a second"
	check "$host asks at most twice a second" at_most $rate 200
done
check "nothing was written" test "$(index)" = "$before"
check "and all are calm still" all_settled
tap_end
