#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The master's service is killed, five times in turn: the other host takes over, and the
# client waits for no longer than the detection plus 100 ms.
. "${top_srcdir:-.}/tests/net/setup.sh"

pair_start lictord_start
observer_start
outages=()
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
	check "$round: the outage is at most detection + $slack ms" \
	    at_most "$outage" $((detection + slack))
	outages+=($((outage - detection)))
	service_start "$MASTER"
	check "$round: the old master comes back as backup" \
	    wait_for 20 consul_shows backup "$MASTER"
	pair_look
done
diag "from the detection to the other host's first answer: median $(median "${outages[@]}") ms"
check "never two holders" never_two "$(observer_stop)"
tap_end
