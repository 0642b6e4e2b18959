#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Planned changes: a switchover by lictorctl, a clean stop of the master, a restart of the
# backup. The client hardly notices, and Consul never shows anything but passing.
. "${top_srcdir:-.}/tests/net/setup.sh"

# Prints each picture of the service's checks that Consul shows, as it changes.
watch_health()
{
	local index=0 head="$LAB_DIR/server/watch.head"
	while api server "/v1/health/service/web?index=$index&wait=2s" -D "$head" |
	    jq -rc '[.[] | .Node.Node as $n | .Checks[] | select(.Status != "passing")
		| "\($n) \(.CheckID) \(.Status)"]'; do
		index=$(tr -d '\r' <"$head" | awk 'tolower($1) == "x-consul-index:" { print $2 }')
	done
}

# It saw nothing but pictures in which everything passes.
all_passing()
{
	[ -s "$LAB_DIR/server/watch.out" ] && ! grep -v '^\[\]$' "$LAB_DIR/server/watch.out"
}

exited_cleanly()
{
	wait_for 15 lictord_gone "$1"
}

pair_start lictord_start
watch_health >"$LAB_DIR/server/watch.out" 2>/dev/null &
observer_start

waits=()
for round in 1 2 3; do
	asker_start "$VIP"
	check "$round: switchover is accepted" quiet lictorctl_at "$MASTER" switchover web
	check "$round: the other host becomes master" \
	    wait_for 10 consul_shows master "$BACKUP"
	sleep 0.2
	waits+=("$(asker_stop)")
	check "$round: both are shown" wait_for 10 settled
	pair_look
done
diag "switchover: the client waited ${waits[*]} ms"
check "the client waited at most $slack ms, in the middle of three" \
    at_most "$(median "${waits[@]}")" "$slack"

asker_start "$VIP"
kill -TERM "$(pid_of "$MASTER" lictord)"
check "SIGTERM: the other host becomes master" wait_for 10 consul_shows master "$BACKUP"
check "SIGTERM: lictord ends" exited_cleanly "$MASTER"
waited=$(asker_stop)
diag "clean stop: the client waited $waited ms"
check "SIGTERM: the client waited at most $((5 * slack)) ms" at_most "$waited" $((5 * slack))
lictord_start "$MASTER"
check "it comes back as backup" wait_for 20 consul_shows backup "$MASTER"
pair_look

kill_with()
{
	local pids
	pids=$(pid_of "$2" lictord)
	[ "$1" = TERM ] || pids=$(lictord_pids "$2")
	# shellcheck disable=SC2086 # one argument each
	kill -$1 $pids
}

for signal in TERM KILL; do
	kill_with $signal "$BACKUP"
	check "SIG$signal on the backup: it ends" exited_cleanly "$BACKUP"
	lictord_start "$BACKUP"
	check "SIG$signal on the backup: it is shown again as it was" wait_for 20 settled
	check "SIG$signal on the backup: the address stayed" has_address "$MASTER"
done
sleep 1
check "Consul never showed anything but passing" all_passing
check "never two holders" never_two "$(observer_stop)"
tap_end
