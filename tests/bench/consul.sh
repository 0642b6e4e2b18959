#!/bin/bash
# SPDX-License-Identifier: ISC
#
# What lictor costs Consul: 10,000 checks in 200 services on one node, steady. Three times
# in one run, each for BENCH_SECONDS (300):
#
#   without   the registrations that lictor made, lictord killed, nothing ages meanwhile
#   lictor    lictord beside them, every check run each 30 s
#   practice  Consul's own way on another node: TTL checks, each reported every 10 s
#
# Counted are requests to the node's agent (its own metrics), writes (the last index of
# raft; one a minute is the leader's own), and the CPU of the agent, of the server and of
# lictord. Before each the writes must have come to rest: Consul itself sends outputs later.
# Run by "make bench-consul"; prints a table and whether the targets are met. Some ten
# minutes more than the three times. No other work beside it: an agent that is late by more
# than lictor's ttl lets an alias run out, which is two writes.
set -euo pipefail

: "${LICTOR_BUILD:=$PWD}" "${BENCH_SECONDS:=300}" "${BENCH_SERVICES:=200}" "${BENCH_CHECKS:=50}"
SOURCE=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/net.sh
. "$SOURCE/tests/lib/net.sh"

REST_S=70       # without a write of ours: at rest, and queries that nobody waits for any more are over
REST_LIMIT_S=1500

impossible=$(lab_impossible)
[ -z "$impossible" ] || die "$impossible"
CONSUL_BIN=$("$SOURCE/tests/consul.sh")
# The levels below info cost more than all that is measured; coordinates are writes of
# Consul's own.
# shellcheck disable=SC2034 # for net.sh
CONSUL_MORE=', "log_level": "info", "check_update_interval": "5s", "disable_coordinates": true'

say()
{
	echo "$(date +%T) $*" >&2
}

raft_index()
{
	api server /v1/agent/self | jq -r .Stats.raft.last_log_index
}

# Thousandths of a second of CPU that the processes have used.
cpu_ms()
{
	local pid sum=0
	for pid in "$@"; do
		sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
	done
	echo $((sum * 1000 / $(getconf CLK_TCK)))
}

# Waits until nothing was written for REST_S but what the leader writes once a minute.
rest()
{
	local first index since limit=$((SECONDS + REST_LIMIT_S))
	first=$(raft_index) since=$SECONDS
	while [ $((SECONDS - since)) -lt $REST_S ]; do
		sleep 1
		index=$(raft_index)
		if [ $((index - first)) -gt 2 ]; then
			first=$index since=$SECONDS
		fi
		[ $SECONDS -lt $limit ] || die "Consul does not come to rest in $REST_LIMIT_S s"
	done
	say "at rest, raft index $first"
}

# The requests of the last interval of 10 s that an agent counted, as "TIME NAME COUNT";
# ours for these figures are left out.
intervals()
{
	api "$1" /v1/agent/metrics | jq -r '.Timestamp as $at | .Samples[] |
	    select((.Name | startswith("consul.http.")) and
	        (.Name | endswith("agent.metrics") | not)) |
	    "\($at)\t\(.Name)\t\(.Count)"'
}

# measure NAME HOST PROCESS...: one row of the table; what was asked goes to a file.
measure()
{
	local name=$1 host=$2 raft agent server own took=$SECONDS end
	shift 2
	raft=$(raft_index)
	agent=$(cpu_ms "$(pid_of "$host" consul)")
	server=$(cpu_ms "$(pid_of server consul)")
	own=$(cpu_ms "$@")
	end=$((SECONDS + BENCH_SECONDS))
	: >"$LAB_DIR/$name"
	while [ $SECONDS -lt $end ]; do
		sleep 5
		intervals "$host" >>"$LAB_DIR/$name"
	done
	took=$((SECONDS - took))
	agent=$(($(cpu_ms "$(pid_of "$host" consul)") - agent))
	server=$(($(cpu_ms "$(pid_of server consul)") - server))
	own=$(($(cpu_ms "$@") - own))
	raft=$(($(raft_index) - raft))
	# an interval that was seen twice counts once; the first began before
	sort -u "$LAB_DIR/$name" | awk -F'\t' -v name="$name" -v took="$took" -v raft="$raft" \
	    -v agent="$agent" -v server="$server" -v own="$own" '
		!($1 in seen) { seen[$1] = 1; intervals++ }
		{ count[$2] += $3; all += $3 }
		END {
			seconds = intervals ? 10 * intervals : took
			printf "| %-8s | %d s | %.2f | %d | %.2f %% | %.2f %% | %.2f %% |\n", name,
			    took, all / seconds, raft, agent / took / 10, server / took / 10, own / took / 10
			for (what in count)
				printf "#   %s %.3f/s\n", what, count[what] / seconds
		}' | tee -a "$LAB_DIR/table" >&2
}

# The checks of the services of a host, in its own agent.
checks_known()
{
	api "$1" /v1/agent/checks -m 30 | jq length
}

has_checks()
{
	[ "$(checks_known "$1")" -ge "$2" ]
}

# in_sync HOST: lictor has told all.
in_sync()
{
	lictorctl_at "$1" status --json | jq -e .consul.in_sync
}

bench_files()
{
	local etc="$LAB_DIR/web-1/etc" s c
	host_folders web-1
	cat >"$etc/lictor.conf" <<-END
		consul { ttl = $1 }
		defaults { interval = 30s fast-interval = 5s }
	END
	for ((s = 0; s < BENCH_SERVICES; s++)); do
		echo "service \"s$s\" { port = $((1000 + s))"
		for ((c = 0; c < BENCH_CHECKS; c++)); do
			echo "file \"c$c\" { path = /etc/hostname }"
		done
		echo "}"
	done >"$etc/services.d/all.conf"
}

lab_new
consul_cluster
total=$((BENCH_SERVICES * BENCH_CHECKS))

bench_files 1h
began=$SECONDS
lictord_start web-1
wait_for 600 has_checks web-1 $((total + BENCH_SERVICES)) || die "not all checks were registered"
say "$total checks were registered in $((SECONDS - began)) s"
wait_for 600 in_sync web-1 || die "lictor is not in sync"
say "in sync after $((SECONDS - began)) s"
rest
say "at rest after $((SECONDS - began)) s"
# shellcheck disable=SC2046 # one argument each
kill -KILL $(lictord_pids web-1)
wait_for 10 lictord_gone web-1
rest
measure without web-1

bench_files 10s
began=$SECONDS
lictord_start web-1
wait_for 600 in_sync web-1 || die "lictor is not in sync again"
say "in sync again after $((SECONDS - began)) s"
rest
# shellcheck disable=SC2046
measure lictor web-1 $(lictord_pids web-1)
warnings=$(log_count web-1 '^[^ ]+ [^ ]+ (warning|error) ')
say "$warnings warnings of lictor"
grep -E '^[^ ]+ [^ ]+ (warning|error) ' "$LAB_DIR/web-1/lictord.log" | head -n 5 >&2 || true
# shellcheck disable=SC2046
kill -KILL $(lictord_pids web-1)
stop web-1 consul

start web-2 practice "$LICTOR_BUILD/tests/bench/practice" 127.0.0.1 8500 \
    "$BENCH_SERVICES" "$BENCH_CHECKS"
wait_for 600 has_checks web-2 "$total" || die "the practice's checks were not registered"
rest
# shellcheck disable=SC2046
measure practice web-2 $(pgrep -P "$(pid_of web-2 practice)")
sed 's/^/# /' "$LAB_DIR/web-2/practice.log" | tail -n 3 >&2
echo "|          | time | requests/s | raft writes | agent's CPU | server's CPU | own CPU |"
echo "|----------|------|------------|-------------|-------------|--------------|---------|"
grep '^|' "$LAB_DIR/table"
echo
awk -F'|' '
	function judge(what, is, limit) {
		print (is <= limit ? "meets" : "misses") " " what ": " is ", at most " limit
	}
	/^\|/ { name = $2; gsub(/ /, "", name); asked[name] = $4 + 0; wrote[name] = $5 + 0; cpu[name] = $6 + 0 }
	END {
		judge("requests a second", asked["lictor"], 1)
		judge("writes more than without", wrote["lictor"] - wrote["without"], 0)
		judge("CPU of the agent above that without, in %", cpu["lictor"] - cpu["without"], 1)
	}' "$LAB_DIR/table"
