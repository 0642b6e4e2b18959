#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Whatever dies or stands still on the master: with one of the three processes killed the
# address stays, and with all of them, or a freeze, the host is mute for it when the lease is
# over, as late as the fence states at most, though another program touches addresses of its
# own all the while. Prints a table, one row for each fence, for the note.
#
# LICTOR_MUTE_RUNS asks for every case so many times; without it some are tried once.
. "${top_srcdir:-.}/tests/net/setup.sh"

runs=${LICTOR_MUTE_RUNS:-}
figures=$LAB_DIR/figures # FENCE CASE late|silent MILLISECONDS DUAL
declare -A lease=([bpf]=1000 [lifetime]=2250) lateness=([bpf]=10 [lifetime]=1500)

# WHO-SIGNAL; those that the address outlives are in `kept`.
kept="agent-KILL warden-KILL runner-KILL runner-STOP"
lost="agent-STOP warden-STOP all-KILL all-STOP host-KILL host-STOP"
[ -n "$runs" ] || { kept='' lost="warden-STOP all-KILL all-STOP"; }

# victims HOST WHO; who would start them again comes first.
victims()
{
	local pid title
	[ "$2" = all ] || [ "$2" = host ] && pid_of "$1" lictord
	[ "$2" != host ] || { ip netns pids "$LAB-$1" && return; }
	for pid in $(lictord_pids "$1"); do
		title=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)
		case $title in
		"lictord: $2 "*) echo "$pid" ;;
		"lictord: "*) [ "$2" != all ] || echo "$pid" ;;
		*) [ "$2" = agent ] || [ "$2" = warden ] || echo "$pid" ;;
		esac
	done
}

# Another program with addresses of its own, until it is ended, or the lab.
touch_addresses()
{
	while ip -n "$LAB-$1" address add 10.77.0.200/24 dev eth0; do
		ip -n "$LAB-$1" address del 10.77.0.200/24 dev eth0
		sleep 0.1
	done >/dev/null 2>&1
}

silent()
{
	grep -q "^[0-9.]* $1 is silent since" "$LAB_DIR/client/prober-$VIP.out"
}

state_of()
{
	lictorctl_at "$1" --json status | jq -r '.roles[0] | "\(.state) \(.ready)"'
}

# By their own word, for an address that is mute is there for a while: one is master, the
# other could be.
steady()
{
	local host
	for host in $HOSTS; do
		if [ "$(state_of "$host")" = "master yes" ] &&
		    [ "$(state_of "$(other_of "$host")")" = "backup yes" ]; then
			MASTER=$host
			settled
			return
		fi
	done
	return 1
}

restore()
{
	local host=$1 who=$2 signal=$3
	shift 3
	if [ "$signal" = STOP ]; then
		kill -CONT "$@" 2>/dev/null || true
	elif [ "$who" = host ]; then
		consul_start "$host"
		service_start "$host"
		lictord_start_looped "$host"
	elif [ "$who" = all ]; then
		lictord_start_looped "$host"
	fi
}

# strike FENCE WHO SIGNAL: one case, its figures, and all as it was.
strike()
{
	local fence=$1 who=$2 signal=$3 case="$2-$3" pids struck toucher what=late value
	mapfile -t pids < <(victims "$MASTER" "$who")
	prober_start "$VIP" || return 1
	touch_addresses "$MASTER" &
	toucher=$!
	# of a whole host some may have ended by themselves
	kill "-$signal" "${pids[@]}" 2>/dev/null || true
	struck=$((${EPOCHREALTIME/[.,]/} - $(boot_offset_us)))
	if [[ " $kept " == *" $case "* ]]; then
		# longer than the lease: what was not adopted would be gone by then
		sleep $(((lease[$fence] + lateness[$fence]) / 1000 + 1))
		what=silent
	else
		wait_for 10 silent "$(mac_of "$MASTER")" || diag "$case: it is not silent"
	fi
	prober_stop "$VIP"
	kill "$toucher" 2>/dev/null || true
	value=$(awk -v longest="$(prober_saw "$VIP" longest)" \
	    -v pause="$(prober_saw "$VIP" pause)" \
	    'BEGIN { print (longest > pause ? longest - pause : 0) }')
	[ $what = silent ] || value=$(awk -v last="$(prober_saw "$VIP" last "$MASTER")" \
	    -v until="$((struck / 1000 + lease[$fence]))" 'BEGIN { print last - until }')
	echo "$fence $case $what $value $(prober_saw "$VIP" dual)" >>"$figures"
	restore "$MASTER" "$who" "$signal" "${pids[@]}"
	wait_for 60 steady || { diag "$case: it did not settle" && return 1; }
}

strike_all()
{
	local fence=$1 i case
	for ((i = 0; i < ${runs:-1}; i++)); do
		for case in $kept $lost; do
			strike "$fence" "${case%-*}" "${case#*-}" || return 1
		done
	done
}

# worst FENCE CASE: the largest figure of it.
worst()
{
	awk -v fence="$1" -v name="$2" '$1 == fence && $2 == name' "$figures" |
	    sort -n -k 4 | awk 'END { print NR ? $4 : "-" }'
}

# none_above FENCE late|silent LIMIT
none_above()
{
	awk -v fence="$1" -v what="$2" -v limit="$3" '$1 == fence && $3 == what && $4 > limit {
		print "# " $0
		bad = 1
	} END { exit bad }' "$figures"
}

never_both()
{
	awk '$5 != 0 { print "# " $0; bad = 1 } END { exit bad }' "$figures"
}

row()
{
	local fence=$1 name
	for name in "$fence" "${lease[$fence]}" "${lateness[$fence]}" "${runs:-1}"; do
		printf '| %s ' "$name"
	done
	for name in $kept $lost; do
		printf '| %s ' "$(worst "$fence" "$name")"
	done
	echo '|'
}

table()
{
	local name
	diag "Milliseconds, the worst of all runs: for what the address outlives the longest"
	diag "silence, less what the client itself did not run; else the last answer, counted"
	diag "from when the lease ends at the latest, its whole length after the blow."
	printf '# | fence | lease | stated | runs '
	for name in $kept $lost; do
		printf '| %s ' "$name"
	done
	echo '|'
	for name in $fences; do
		diag "$(row "$name")"
	done
}

# The kind that a host has in fact.
has_fence()
{
	lictorctl_at web-1 --json status | jq -e --arg kind "$1" '.fence.kind == $kind and .fence.ok'
}

fences=
consul_cluster
for host in $HOSTS; do
	service_start "$host"
done
for fence in bpf lifetime; do
	for host in $HOSTS; do
		NODE_MORE="failover { fence = $fence }" host_files "$host"
		lictord_start_looped "$host"
	done
	if [ $fence = bpf ] && ! wait_for 10 quiet has_fence bpf; then
		diag "fence = bpf: skipped: $(grep -m 1 'fence' "$LAB_DIR/web-1/lictord.log")"
	else
		fences+=" $fence"
		check "$fence: a host is master" wait_for 60 steady
		check "$fence: every case was tried" strike_all $fence
		check "$fence: it is mute ${lateness[$fence]} ms after the lease at most" \
		    none_above $fence late "${lateness[$fence]}"
		check "$fence: nothing is lost with one that is killed" \
		    none_above $fence silent "$slack"
	fi
	for host in $HOSTS; do
		# shellcheck disable=SC2046 # one argument each
		kill -KILL "$(pid_of "$host" lictord)" $(lictord_pids "$host")
		check "$fence: $host is cleared" wait_for 5 lictord_gone "$host"
	done
done
check "no question was answered by both" never_both
table
tap_end
