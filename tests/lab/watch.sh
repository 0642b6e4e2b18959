# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# Who watches the lab: a client that asks the service at both addresses each millisecond,
# and observers, one for each address, that ask every host by its MAC each millisecond
# whether it answers for it. They run through all runs of a lab; watch_begin and watch_end
# are the ends of what is counted. What they saw is then in GAP (the client's longest time
# without an answer, ms, the worse of both addresses), HELD (the observers' longest time in
# which nobody answered), DUAL (questions that two hosts answered, of the worse address, so
# about the ms that it lasted), UNCLEAR (that two answered, one of them late), PAUSE (the longest time in which one of them did not run).

WATCHERS="client/caller observer/prober-4 observer/prober-6"

# Before all others where the machine allows it: they are the clock of this.
watcher_start()
{
	local host=$1 name=$2 tool=$LICTOR_BUILD/tests/tools/$3
	shift 3
	start "$host" "$name" chrt --fifo 10 "$tool" "$@"
}

watch_start()
{
	local host macs=()
	for host in $HOSTS $GUESTS; do
		macs+=("$(mac_of "$host")")
	done
	watcher_start client caller caller 8080 1000 "$VIP" "$VIP6"
	watcher_start observer prober-4 prober eth0 "$VIP" "${macs[@]}"
	watcher_start observer prober-6 prober eth0 "$VIP6" "${macs[@]}"
}

reports()
{
	grep -c "^${1:-.}" "$LAB_DIR/$2.out" || true
}

reported()
{
	[ "$(reports "" "$1")" -gt "$2" ]
}

# All of them report and begin anew.
watch_mark()
{
	local watcher
	declare -A had
	for watcher in $WATCHERS; do
		had[$watcher]=$(reports "" "$watcher")
		kill -USR1 "$(pid_of "${watcher%/*}" "${watcher#*/}")"
	done
	for watcher in $WATCHERS; do
		wait_for 5 reported "$watcher" "${had[$watcher]}" || die "$watcher does not report"
	done
}

watch_begin()
{
	watch_mark
}

# newest WATCHER PATTERN NUMBER: so many lines of its newest report.
newest()
{
	grep "$2" "$LAB_DIR/$1.out" | tail -n "$3"
}

watch_end()
{
	sleep 0.15 # until then an answer may still come
	watch_mark
	# shellcheck disable=SC2034 # for who judges
	read -r GAP PAUSE < <(newest client/caller '^report' 2 | awk '
	    { for (i = 1; i < NF; i++) v[$i] = $(i + 1)
	      if (v["gap"] > gap) gap = v["gap"]
	      if (v["pause"] > pause) pause = v["pause"] }
	    END { print gap + 0, pause + 0 }')
	# shellcheck disable=SC2034 # for who judges
	read -r DUAL UNCLEAR HELD SWITCHES OWN < <(
	    for watcher in observer/prober-4 observer/prober-6; do
		newest $watcher '^dual' 1
	    done | tr -d , | awk '
	    { for (i = 1; i < NF; i++) v[$i] = $(i + 1)
	      if (v["dual"] > dual) dual = v["dual"]
	      if (v["unclear"] > unclear) unclear = v["unclear"]
	      if (v["any"] > held) held = v["any"]
	      if (v["switches"] > switches) switches = v["switches"]
	      if (v["pause"] > pause) pause = v["pause"] }
	    END { print dual + 0, unclear + 0, held + 0, switches + 0, pause + 0 }')
	PAUSE=$(awk -v a="$PAUSE" -v b="$OWN" 'BEGIN { print (a > b ? a : b) }')
}
