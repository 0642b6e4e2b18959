#!/bin/bash
# SPDX-License-Identifier: ISC
#
# How long a change of status takes from lictor's log line to the answer of a blocking
# health query that somebody holds at another node's agent, three servers in between. Each
# change waits for the one before to be seen, and each must be seen. LICTOR_CHANGES is how
# many (500 for the figures of the README, a few in make check).
. "${top_srcdir:-.}/tests/net/setup.sh"

changes=${LICTOR_CHANGES:-100}
# shellcheck disable=SC2034 # for the files
SERVICE_MORE='ttl "job" { ttl = 1h flap-threshold = 0 }'
servers_three
consul_cluster
host_files web-1
lictord_start web-1
wait_for 10 lictorctl_at web-1 pass web/job

web_registered()
{
	api web-2 /v1/health/checks/web |
	    jq -e '.[] | select(.CheckID == "web:job").Status == "passing"'
}

check "the other node sees the service" wait_for 20 quiet web_registered

# next_seen STATUS: reads the watcher's lines until the check has it.
next_seen()
{
	local at node id _ after
	while read -r -t 10 at node id _ after <&"${WATCHER[0]}"; do
		if [ "$node $id" = "web-1 web:job" ]; then
			echo "$at" >>"$LAB_DIR/seen"
			[ "$after" != "$1" ] || return 0
		fi
	done
	return 1
}

coproc WATCHER {
	exec ip netns exec "$LAB-web-2" "$LICTOR_BUILD/tests/tools/watcher" \
	    127.0.0.1 8500 /v1/health/service/web
}
disown
check "a watcher sees it pass" next_seen passing
: >"$LAB_DIR/seen"
began=$(log_count web-1 'check: web/job: ')
unseen=0
for ((i = 0; i < changes; i++)); do
	if ((i % 2)); then command=pass status=passing; else command=fail status=critical; fi
	"$LICTOR_BUILD/lictorctl" --socket "$LAB_DIR/web-1/run/lictor.sock" $command web/job
	next_seen $status || unseen=$((unseen + 1))
done
check "each of $changes changes is seen" test $unseen = 0
check "once" test "$(wc -l <"$LAB_DIR/seen")" = "$changes"

# The time of each log line against the time that the watcher noted, in microseconds.
grep 'check: web/job: ' "$LAB_DIR/web-1/lictord.log" | tail -n +$((began + 1)) |
    cut -c1-23 | date -f - +%s%6N >"$LAB_DIR/published"
mapfile -t delays < <(paste "$LAB_DIR/published" "$LAB_DIR/seen" |
    awk '{ printf "%.1f\n", ($2 - $1) / 1000 }' | sort -n)
p50=${delays[${#delays[@]} / 2]}
p99=${delays[$((${#delays[@]} * 99 / 100))]}
diag "from the log line to the other node's answer: p50 $p50 ms, p99 $p99 ms," \
    "most ${delays[-1]} ms, least ${delays[0]} ms"
check "in the middle at most $slack ms" at_most "${p50%.*}" "$slack"
tap_end
