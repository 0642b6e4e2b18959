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

# How many switchovers, and how long after its order an address may take to go or to come;
# CI's two processors have eight tests to run.
rounds=${LICTOR_HANDOVERS:-5}
limit=${LICTOR_HANDOVER_MS:-$((5 * slack))}
vip6=fd77::100

# What each round came to, a line "WENT CAME BOTH LONGEST DUAL" for each address.
figures=$LAB_DIR/handovers

both_at()
{
	has_address "$1" && has_address "$1" $vip6
}

# From the orders, as the logs have them: the operator's, on which the old master drops its
# addresses, and the new one's own, once Consul has taken both writes.
round_look()
{
	local asked taken address
	asked=$(log_boot_time "$MASTER" 'an operator asks to switch over')
	taken=$(log_boot_time "$BACKUP" 'backup -> master')
	for address in $VIP $vip6; do
		prober_stop "$address"
		awk -v asked="$asked" -v taken="$taken" \
		    -v last="$(prober_saw "$address" last "$MASTER")" \
		    -v first="$(prober_saw "$address" first "$BACKUP")" \
		    -v longest="$(prober_saw "$address" longest)" \
		    -v dual="$(prober_saw "$address" dual)" \
		    'BEGIN { print last - asked, first - taken, first - asked, longest, dual }' \
		    >>"$figures"
	done
}

switch_over()
{
	prober_start $VIP && prober_start $vip6 || return 1
	lictorctl_at "$MASTER" switchover web >/dev/null || return 1
	wait_for 5 both_at "$BACKUP" || return 1
	sleep 0.1 # late answers of the old one would be seen
	round_look
	wait_for 10 settled || return 1
	pair_look
}

switch_often()
{
	local i
	for ((i = 1; i <= rounds; i++)); do
		switch_over || { diag "round $i failed" && return 1; }
	done
}

# of COLUMN: the figures of that column, sorted.
of()
{
	awk -v n="$1" '{ print $n }' "$figures" | sort -n
}

middle()
{
	of "$1" | sed -n "$((rounds + 1))p"
}

say()
{
	diag "$2: middle $(middle "$1"), most $(of "$1" | tail -n 1) ms"
}

for host in $HOSTS; do
	ROLE_MORE="vip \"$vip6\" { interface = \"eth0\" }" host_files "$host"
done
pair_start lictord_start
watch_health >"$LAB_DIR/server/watch.out" 2>/dev/null &
check "$rounds times the other host becomes master, with both addresses" switch_often
say 1 "from the old master's order to its last answer"
say 2 "from the new one's order to its first answer"
say 3 "from the operator's order to that, with two writes in Consul"
say 4 "longest without an answer"
check "no question was answered by both" test "$(of 5 | tail -n 1)" = 0
check "the old host was always silent $limit ms after its order" \
    at_most "$(of 1 | tail -n 1 | cut -d . -f 1)" "$((limit - 1))"
check "the new one always answered $limit ms after its order" \
    at_most "$(of 2 | tail -n 1 | cut -d . -f 1)" "$((limit - 1))"
observer_start

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
