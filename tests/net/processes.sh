#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Each of the master's three processes killed by itself (the runner is started again at
# once by a loop that stands for systemd): the role does not move.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

# process HOST NAME: its id.
process()
{
	local pid title
	for pid in $(lictord_pids "$1"); do
		title=$(tr "\\0" " " <"/proc/$pid/cmdline")
		case $title in
		"lictord: $2 "*) echo "$pid" ;;
		"lictord: "*) ;;
		*) [ "$2" != runner ] || echo "$pid" ;;
		esac
	done
}

process_is_new()
{
	local now
	now=$(process "$1" "$2")
	[ -n "$now" ] && [ "$now" != "$3" ]
}

pair_start lictord_start_looped
observer_start
for name in agent warden runner; do
	asker_start "$VIP"
	holder=$(register .holder)
	old=$(process "$MASTER" "$name")
	kill -KILL "$old"
	check "$name: it is started again" wait_for 5 process_is_new "$MASTER" "$name" "$old"
	# longer than the lease: what was not adopted would be gone by then
	sleep 5
	waited=$(asker_stop)
	diag "$name killed: the client waited $waited ms"
	check "$name: the address stayed" at_most "$waited" $((5 * slack))
	check "$name: the role stayed" test "$(register .holder)" = "$holder"
	check "$name: the host is settled" wait_for 10 settled
done
summary=$(observer_stop)
check "never two holders" never_two "$summary"
check "the address never moved" grep -q 'switches 0$' <<<"$summary"
tap_end
