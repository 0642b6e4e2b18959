#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The master's local Consul agent is stopped (SIGSTOP) for 30 s: it takes connections and
# never answers. Checks go on at their interval, lictorctl is answered at once, the log
# says it once when it begins and once when it ends, and the address stays where it is. A
# backup that stood still itself takes nobody for silent.
. "${top_srcdir:-.}/tests/net/setup.sh"

runs()
{
	lictorctl_at "$1" status --json | jq '.services[0].checks[0].runs'
}

# The longest time, in ms, that lictorctl took in the given number of seconds.
slowest_status()
{
	local end=$(($(now_ms) + $2 * 1000)) slowest=0 begun took
	while begun=$(now_ms) && [ "$begun" -lt "$end" ]; do
		runs "$1" >/dev/null
		took=$(($(now_ms) - begun))
		[ $took -le $slowest ] || slowest=$took
		sleep 0.2
	done
	echo $slowest
}

# The backup's agent is stopped for a second, less than makes it no member any more.
stand_still()
{
	local agent
	agent=$(process_of "$BACKUP" agent)
	kill -STOP "$agent"
	sleep 1
	kill -CONT "$agent"
	wait_for 5 acks
}

acks()
{
	[ "$(lictorctl_at "$MASTER" status --json | jq '.roles[0].peers[0].answered_ms < 100')" = true ]
}

pair_start lictord_start
observer_start
begins=$(log_count "$MASTER" 'does not answer')
ends=$(log_count "$MASTER" 'answers again')
kill -STOP "$(pid_of "$MASTER" consul)"
before=$(runs "$MASTER")
slowest=$(slowest_status "$MASTER" 30)
after=$(runs "$MASTER")
kill -CONT "$(pid_of "$MASTER" consul)"
diag "$((after - before)) runs in 30 s at an interval of 500 ms, slowest status $slowest ms"
check "checks went on" test $((after - before)) -ge 57
check "and not faster" test $((after - before)) -le 63
check "lictorctl was answered at once" at_most "$slowest" 500
check "the other host's acks keep the address here" has_address "$MASTER"
check "in the same term" test "$(log_count "$MASTER" '-> master')" = 1
check "both are shown as they are" wait_for 30 settled
check "Consul answers again" wait_for 10 grep -q 'answers again' \
    "$LAB_DIR/$MASTER/lictord.log"
check "the beginning was said once" \
    test $(($(log_count "$MASTER" 'does not answer') - begins)) = 1
check "the end was said once" \
    test $(($(log_count "$MASTER" 'answers again') - ends)) = 1
claims=$(log_count "$BACKUP" 'backup -> waiting')
for _ in 1 2 3 4 5; do
	stand_still
done
check "a backup that stood still claims nothing" \
    test $(($(log_count "$BACKUP" 'backup -> waiting') - claims)) = 0
check "never two holders" never_two "$(observer_stop)"
tap_end
