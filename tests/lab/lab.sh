#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The lab: real daemons on hosts of their own, a real Consul of three servers, faults made
# again and again, and what a client and observers saw of each. `make lab` runs it:
#
#   make lab SCENARIO=6 N=3      one scenario three times; SCENARIO="1 3 17.deleted" several,
#                                3 stands for 3.agent, 3.all and so on; all if none is given
#   make lab N=5                 all of them five times; without N as often as the table of
#                                scenarios.sh says
#   LAB_SYSTEMS="keepalived-1s"  of "lictor keepalived-1s keepalived-100ms"
#   LAB_RESULTS=FILE             where each run adds its line (lab.results)
#
# Its columns: system, scenario, run, the client's longest time without an answer (ms), how many
# questions two hosts answered, how many that is unclear of, the budget (ms), the verdict, the
# observers' longest time in which no host answered, how long the watchers themselves did not
# run (ms), how long all of it took (s), and what is wrong. A run that stands in the file is
# not made again, so an interrupted lab goes on where it was. Beside the file are its tables
# (FILE.md, also by `make lab-table`), and the logs of each run that failed (FILE.logs). Ends
# with 1 if a run of those asked for failed, in the file or now.
set -uo pipefail

here=$(dirname "$(realpath "$0")")
LICTOR_BUILD=$(realpath "${LICTOR_BUILD:-$here/../../build}")
# shellcheck source=tests/lib/net.sh
. "$here/../lib/net.sh"
# shellcheck source=tests/lab/cut.sh
. "$here/cut.sh"
# shellcheck source=tests/lab/systems.sh
. "$here/systems.sh"
# shellcheck source=tests/lab/watch.sh
. "$here/watch.sh"
# shellcheck source=tests/lab/budget.sh
. "$here/budget.sh"
# shellcheck source=tests/lab/scenarios.sh
. "$here/scenarios.sh"

RESULTS=${LAB_RESULTS:-$LICTOR_BUILD/lab.results}
SYSTEMS=${LAB_SYSTEMS:-lictor keepalived-1s keepalived-100ms}
# What a run may take longer than its budget, in ms, on a machine that does other things.
SLACK=${LAB_SLACK_MS:-0}
WHOLE_S=60
ADDRESS+=([web-3]=13 [observer]=21)
LAB_KIND=

# --- the lab ---

# host_new with a MAC that a host keeps when it is made again.
lab_host()
{
	host_new "$1"
	ip -n "$LAB-$1" link set eth0 address "02:77:00:00:00:${ADDRESS[$1]}"
}

# lab_boot SYSTEM LAB: all of it, and whole.
lab_boot()
{
	local host
	lab_end
	LAB_KIND=
	HOSTS="web-1 web-2" GUESTS="" SERVERS=server LEASE=
	case $2 in
	fast) LEASE=600ms ;;
	three) HOSTS="web-1 web-2 web-3" ;;
	guest) GUESTS=web-3 ;; # has an agent of Consul, and a lictord when a fault starts one
	esac
	case $1 in
	lictor) SYSTEM=lictor ;;
	keepalived-1s) SYSTEM=keepalived ADVERT=1 ;;
	keepalived-100ms) SYSTEM=keepalived ADVERT=0.1 ;;
	esac
	lab_new
	for host in $HOSTS; do
		ip -n "$LAB-$host" link set eth0 address "02:77:00:00:00:${ADDRESS[$host]}"
	done
	for host in observer $GUESTS; do
		lab_host "$host"
	done
	cut_ready
	[ "$SYSTEM" != lictor ] || servers_three
	"${SYSTEM}_boot"
	watch_start
	wait_for $WHOLE_S "${SYSTEM}_whole" || return 1
	[ "$SYSTEM" != lictor ] || budgets_ask || die "lictord -t says no budget"
	LAB_KIND="$1 $2"
}

# lab_need SYSTEM LAB: the one that runs, if it is that one and whole; else a new one.
lab_need()
{
	if [ "$LAB_KIND" = "$1 $2" ] && wait_for $WHOLE_S "${SYSTEM}_whole"; then
		return 0
	fi
	lab_boot "$1" "$2"
}

# --- runs ---

# done_already SYSTEM SCENARIO RUN
done_already()
{
	[ -e "$RESULTS" ] && awk -v s="$1" -v n="$2" -v r="$3" \
	    '$1 == s && $2 == n && $3 == r { found = 1 } END { exit !found }' "$RESULTS"
}

# more NUMBER LIMIT: with fractions.
more()
{
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }'
}

# What the watchers saw, against what may be: into WHY, if that is still empty.
judge()
{
	[ -z "$WHY" ] || return 0
	if [ "$DUAL" -gt "$ALLOWED" ]; then
		WHY="two hosts answered $DUAL questions"
	elif more "$GAP" $((BUDGET + SLACK)); then
		WHY="$GAP ms are more than the budget"
	elif [ "$1" = stays ] && { [ "$SWITCHES" != 0 ] || [ "$MASTER" != "$WAS" ]; }; then
		WHY="the role moved"
	elif [ "$1" = moves ] && [ "$MASTER" = "$WAS" ]; then
		WHY="the role did not move"
	fi
}

# What each daemon said since the run began.
logs_keep()
{
	local host dir="$RESULTS.logs/$1-$2-$3"
	mkdir -p "$dir"
	for host in $HOSTS; do
		tail -c +$((${LOGGED[$host]:-0} + 1)) "$LAB_DIR/$host/${SYSTEM/lictor/lictord}.log" \
		    >"$dir/$host.log" 2>/dev/null || true
	done
	tail -n 3 "$LAB_DIR"/client/caller.out "$LAB_DIR"/observer/*.out >"$dir/watchers" 2>/dev/null
	[ "$SYSTEM" != lictor ] || role_now server >"$dir/role" 2>&1
}

# The lab is whole; makes the fault, waits until it is whole again, and sets WHY.
fault()
{
	local host
	declare -gA LOGGED=()
	[ "$3" != moves ] || [ "$2" = planned ] || [ "$2" = service ] || wait_for 6 gave_long_ago
	WAS=$MASTER WHY='' ALLOWED=0 BUDGET=$(budget "$2") || die "no budget for $2"
	for host in $HOSTS; do
		LOGGED[$host]=$(stat -c %s "$LAB_DIR/$host/${SYSTEM/lictor/lictord}.log")
	done
	watch_begin
	"fault_$1" || WHY=${WHY:-"it failed"}
	cut_heal
	if [ "$2" = spent ] || [ -n "$WHY" ]; then
		LAB_KIND= # the next run has a new one
	elif ! wait_for $WHOLE_S "${SYSTEM}_whole"; then
		WHY="it was not whole again within $WHOLE_S s"
		LAB_KIND=
	fi
	watch_end
	[ "$2" != held ] || GAP=$(awk -v h="$HELD" -v p="$PAUSE" 'BEGIN { print (h > p + 1 ? h - p : 0) }')
}

# run SYSTEM SCENARIO RUN LAB BUDGET ROLE
run()
{
	local begun=$SECONDS verdict=ok
	GAP=- DUAL=- UNCLEAR=- BUDGET=- HELD=- PAUSE=-
	if lab_need "$1" "$4"; then
		fault "$2" "$5" "$6"
		judge "$6"
	else
		WHY="the lab was not whole within $WHOLE_S s"
		LAB_KIND=
	fi
	if [ "$SYSTEM" = keepalived ]; then
		# a yardstick: what it is, not what it should be
		verdict="-" BUDGET="-" WHY=
	elif [ -n "$WHY" ]; then
		verdict=FAILED
		logs_keep "$1" "$2" "$3"
	fi
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$GAP" \
	    "$DUAL" "$UNCLEAR" "$BUDGET" "$verdict" "$HELD" "$PAUSE" "$((SECONDS - begun))" "${WHY:--}" |
	    tee -a "$RESULTS"
}

# Is a scenario among those asked for: by its name, or, where none has just that name, by
# what its name begins with.
asked_for()
{
	local word
	for word in ${SCENARIO:-all}; do
		case $1 in
		"$word") return 0 ;;
		"$word".*) ! grep -q "^$word " <<<"$SCENARIOS" || continue ;;
		*) [ "$word" = all ] || continue ;;
		esac
		return 0
	done
	return 1
}

# Each line: name, lab, times, whose, budget, role.
scenarios_asked_for()
{
	local name lab times whose budget role title
	while read -r name lab times whose budget role title; do
		if asked_for "$name" && [[ $1 = lictor || $whose = both ]]; then
			echo "$name $lab ${N:-$times} $budget $role"
		fi
	done <<<"${SCENARIOS#?}"
}

run_all()
{
	local system name lab times budget role i
	for system in $SYSTEMS; do
		while read -r name lab times budget role <&3; do
			for ((i = 1; i <= times; i++)); do
				done_already "$system" "$name" "$i" ||
				    run "$system" "$name" "$i" "$lab" "$budget" "$role"
			done
		done 3< <(scenarios_asked_for "$system")
	done
}

# How many runs of those asked for failed, in the file.
failures()
{
	local system name rest
	for system in $SYSTEMS; do
		while read -r name rest; do
			awk -v s="$system" -v n="$name" '$1 == s && $2 == n && $8 == "FAILED"' "$RESULTS"
		done < <(scenarios_asked_for "$system")
	done | wc -l
}

impossible=$(lab_impossible)
[ -z "$impossible" ] || die "$impossible"
command -v nft >/dev/null || die "the program nft is missing: install nftables"
[ -z "$(SCENARIO=${SCENARIO:-all} scenarios_asked_for lictor | head -c 1)" ] &&
    die "there is no scenario $SCENARIO"
for tool in lictord lictorctl tests/tools/caller tests/tools/prober tests/tools/webservice; do
	[ -x "$LICTOR_BUILD/$tool" ] || die "there is no $LICTOR_BUILD/$tool: use make lab"
done
CONSUL_BIN=$("$here/../consul.sh") || die "there is no Consul"
run_all
lab_end
failed=$(failures)
LAB_RESULTS=$RESULTS "$here/table.sh" >"$RESULTS.md" || true
echo "$failed failed ($RESULTS, $SECONDS s)"
[ "$failed" = 0 ]
