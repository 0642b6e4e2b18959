#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The master's service is killed, five times in turn: the other host takes over, and the
# client waits for no longer than the detection plus 100 ms (in the middle of five: a busy
# machine may hold one up: then at most ten times that).
. "${top_srcdir:-.}/tests/net/setup.sh"

# killed again and again: that it flaps is right, and not what is looked at here
# shellcheck disable=SC2034 # for the files
CHECK_MORE='flap-threshold = 0'
pair_start lictord_start
observer_start
beyond=()
for round in 1 2 3 4 5; do
	asker_start "$VIP"
	killed=$(now_ms)
	stop "$MASTER" webservice KILL
	check "$round: the other host becomes master" \
	    wait_for 20 consul_shows master "$BACKUP"
	check "$round: it has the address" wait_for 1 has_address "$BACKUP"
	sleep 0.1
	outage=$(asker_stop)
	detection=$(($(failed_at "$MASTER") - killed))
	diag "detection $detection ms, outage $outage ms: $((outage - detection)) ms between"
	beyond+=($((outage - detection)))
	service_start "$MASTER"
	check "$round: the old master comes back as backup" \
	    wait_for 20 consul_shows backup "$MASTER"
	pair_look
done
diag "from the detection to the other host's first answer: median $(median "${beyond[@]}") ms"
check "that is at most $slack ms" \
    at_most "$(median "${beyond[@]}")" "$slack"
check "and none is more than $((10 * slack)) ms" \
    at_most "$(printf "%s\n" "${beyond[@]}" | sort -n | tail -n 1)" $((10 * slack))
check "never two holders" never_two "$(observer_stop)"
tap_end
