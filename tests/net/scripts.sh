#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Checks that try to get away from the real daemon, again and again, on two hosts: one has a
# control group of its own, as under systemd, the other has none. Each run ends, the checks
# beside are never late, the runner stays as it is, and nothing is left when lictord has
# ended, or was killed and is there again.
. "${top_srcdir:-.}/tests/net/setup.sh"

# script NAME COMMAND [OPTION...]; no apostrophe in the command, it is the file's.
script()
{
	local name=$1 command=$2
	shift 2
	echo "script \"$name\" { command = {\"/bin/sh\", \"-c\", '$command'}  $* }"
}

hostile_files()
{
	local dir="$LAB_DIR/$1" soon='timeout = 300ms' i
	local few='timeout = 300ms interval = 6s processes = 20'
	# One that may not fork tries again soon, but does not spin: each session has its
	# share of the processors, so twenty that spin leave none to the tests beside.
	local bomb='defined(fork) or select(undef, undef, undef, 0.005)'
	host_folders "$1"
	echo 'defaults { interval = 2s  fast-interval = 2s }' >"$dir/etc/lictor.conf"
	# shellcheck disable=SC2016 # the shells' of the checks
	{
		script stubborn 'trap "" TERM; while :; do sleep 100; done' "$soon"
		script session 'setsid sleep 100 & wait' "$soon"
		script daemon '(setsid sleep 100 &); sleep 100' "$soon"
		script left '(setsid sleep 100 &); exit 0' "$soon"
		script cleared '(env -i /usr/bin/setsid /bin/sleep 100 &); exit 0' "$soon"
		script pipe 'sleep 100 & exit 0' "$soon"
		script closed 'exec >&- 2>&-; sleep 100' "$soon"
		script stopped 'kill -STOP $$; sleep 100' "$soon"
		script writer 'head -c 1G /dev/zero' 'timeout = 10s'
		script forks "exec perl -e \"$bomb while time < \\\$^T + 20\"" \
		    "$few user = \"nobody\""
		script sessions \
		    "perl -MPOSIX -e \"while (time < \\\$^T + 20) { $bomb; POSIX::setsid() }\" & exec sleep 9" \
		    "$few user = \"games\""
		for ((i = 0; i < 20; i++)); do
			echo "script \"beside-$i\" { command = {\"/bin/true\"}" \
			    "interval = 100ms  fast-interval = 100ms }"
		done
	} >"$dir/etc/services.d/a.conf"
}

status_of()
{
	lictorctl_at "$1" status --json
}

# ran HOST TIMES: every check at least so often.
ran()
{
	status_of "$1" | jq -e --argjson times "$2" \
	    '[.checks[] | select(.runs < $times)] == []'
}

# The most that a run of a check beside took, in ms, seen until COMMAND succeeds.
worst_beside()
{
	local host=$1 worst=0 took end=$(($(now_ms) + 30000))
	shift
	until "$@" >/dev/null 2>&1 || [ "$(now_ms)" -gt "$end" ]; do
		took=$(status_of "$host" |
		    jq '[.checks[] | select(.name | startswith("beside")) | .took_ms // 0] | max')
		[ "$took" -le "$worst" ] || worst=$took
		sleep 0.02
	done
	echo "$worst"
}

well_beside()
{
	! grep "beside-.* -> critical" "$LAB_DIR/$1/lictord.log"
}

runner_of()
{
	pid_of "$1" lictord
}

descriptors()
{
	find "/proc/$(runner_of "$1")/fd" -mindepth 1 | wc -l
}

resident_kb()
{
	awk '$1 == "VmRSS:" { print $2 }' "/proc/$(runner_of "$1")/status" 2>/dev/null
}

# All that runs on the host beside lictord itself.
others()
{
	local pid
	for pid in $(ip netns pids "$LAB-$1"); do
		[ "/proc/$pid/exe" -ef "$LICTOR_BUILD/lictord" ] || echo "$pid"
	done
}

alone()
{
	[ -z "$(others "$1")" ]
}

zombies()
{
	pgrep --count --runstates Z --parent "$(runner_of "$1")" || true
}

try_host()
{
	local host=$1 how=$2 fds rss worst
	check "$how: every check runs" wait_for 20 ran "$host" 1
	fds=$(descriptors "$host") rss=$(resident_kb "$host")
	worst=$(worst_beside "$host" ran "$host" 3)
	diag "$how: the checks beside took $worst ms at most"
	check "$how: the checks beside are not late" at_most "$worst" $((3000 + 6 * slack))
	check "$how: the checks beside never fail" well_beside "$host"
	check "$how: every check goes on" ran "$host" 3
	diag "$how: $fds descriptors, $rss kB, then $(descriptors "$host"), $(resident_kb "$host")"
	check "$how: descriptors stay" at_most "$(descriptors "$host")" $((fds + 60))
	check "$how: memory stays" at_most "$(resident_kb "$host")" $((rss + 2000))
	check "$how: dead orphans are reaped" wait_for 5 test "$(zombies "$host")" -le 12
	kill -KILL "$(runner_of "$host")"
	check "$how: a killed runner's agent ends" wait_for 10 lictord_gone "$host"
}

groups_used()
{
	log_count "$1" 'commands run in control groups below'
}

# upgrade HOST: another version in its place has the same control groups, or none.
upgrade()
{
	local used
	used=$(groups_used "$1")
	kill -USR2 "$(runner_of "$1")"
	check "$1: it is upgraded in place" \
	    wait_for 20 grep -q 'goes on from an earlier version' "$LAB_DIR/$1/lictord.log"
	check "$1: which runs the checks" wait_for 20 ran "$1" 1
	check "$1: where they ran before" \
	    test "$(groups_used "$1")" = $((used + (used > 0 ? 1 : 0)))
}

# again HOST COMMAND...: a successor of the one that was killed, then a clean end.
again()
{
	local host=$1
	shift
	"$@"
	check "$host: a successor runs the checks" wait_for 20 ran "$host" 1
	check "$host: and the checks beside never fail" well_beside "$host"
	upgrade "$host"
	stop "$host" lictord
	check "$host: nothing is left in the end" wait_for 5 alone "$host"
}

# Not by "ip netns exec", which hides control groups behind a /sys of its own.
delegated()
{
	daemon_of web-2
	(exec nsenter --net="/run/netns/$LAB-web-2" "$LICTOR_BUILD/tests/tools/delegate" \
	    "$group" /usr/bin/env "${DAEMON[@]:1}") </dev/null \
	    2>>"$LAB_DIR/web-2/lictord.log" &
	echo $! >"$LAB_DIR/web-2/lictord.pid"
	disown
}

hostile_files web-1
hostile_files web-2
mount=/sys/fs/cgroup/unified
[ -w "$mount/cgroup.procs" ] || mount=/sys/fs/cgroup
group=$mount/$LAB

lictord_start web-1
try_host web-1 "without a control group"
again web-1 lictord_start web-1
if [ -w "$mount/cgroup.procs" ]; then
	delegated
	try_host web-2 "delegated"
	check "delegated: it says so" grep -q "control groups below $group" \
	    "$LAB_DIR/web-2/lictord.log"
	again web-2 delegated
	find "$group" -depth -type d -exec rmdir {} +
else
	diag "no control groups of version 2 here"
fi
tap_end
