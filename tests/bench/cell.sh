# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# One measurement: a network namespace, the target in it, a system in a control group, a
# window. Used by bench.sh and soak.sh, with systems.sh.
#
# The caller sets BENCH_SOURCE (this folder), BENCH_PROGRAMS, BENCH_SECONDS, BENCH_DATA (the
# file where each measurement becomes a line) and BENCH_PEERS (the programs of the peers
# that must be there).

NET=
BENCH_DIR=
CELL=
GROUP=

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# A measurement goes on, but is marked.
complain()
{
	echo "    $SYSTEM: $*" >&2
	TROUBLE=1
}

wait_for()
{
	local limit=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$limit" ] || return 1
		sleep 0.05
	done
}

in_net()
{
	ip netns exec "$NET" "$@"
}

# start NAME COMMAND...: in the background, in the namespace.
start()
{
	local name=$1
	shift
	(cd "$CELL" && exec ip netns exec "$NET" "$@") </dev/null >"$CELL/$name.log" 2>&1 \
	    8>&- 9<&- &
	disown
}

# --- the kernel's account ---

# Where control groups count CPU time: the old hierarchy to the nanosecond, the new one to
# the microsecond.
group_root()
{
	local root
	root=$(awk '$3 == "cgroup" && $4 ~ /(^|,)cpuacct(,|$)/ { print $2; exit }' /proc/mounts)
	[ -n "$root" ] || root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	echo "$root"
}

# Nanoseconds of CPU time of all that ever ran in the group.
group_cpu()
{
	if [ -e "$GROUP/cpuacct.usage" ]; then
		cat "$GROUP/cpuacct.usage"
	else
		awk '$1 == "usage_usec" { print $2 * 1000 }' "$GROUP/cpu.stat"
	fi
}

group_pids()
{
	sort -un "$GROUP/cgroup.procs"
}

# Thread and voluntary switches (it waited, and was woken) of each thread, one a line.
group_switches()
{
	local pid
	for pid in $(group_pids); do
		awk '$1 == "voluntary_ctxt_switches:" { print FILENAME, $2 }' \
		    /proc/"$pid"/task/*/status 2>/dev/null || true
	done
}

# Of the threads that were there all the time.
switches_between()
{
	awk 'NR == FNR { before[$1] = $2; next }
	    $1 in before { n += $2 - before[$1] } END { print n + 0 }' "$1" "$2"
}

anonymous_of()
{
	awk '$1 == "Anonymous:" { n = $2 } END { print n + 0 }' "/proc/$1/smaps_rollup" 2>/dev/null ||
	    echo 0
}

# group_memory FIELD: kB, of all processes of the group.
group_memory()
{
	local pid
	for pid in $(group_pids); do
		cat "/proc/$pid/smaps_rollup" 2>/dev/null || true
	done | awk -v field="$1:" '$1 == field { n += $2 } END { print n + 0 }'
}

# --- a cell's life ---

kill_all()
{
	local pids
	while pids=$("$@") && [ -n "$pids" ]; do
		# shellcheck disable=SC2086 # one argument each
		kill -KILL $pids 2>/dev/null || true
		sleep 0.02
	done
}

cell_begin()
{
	NET=lictor-bench-$$
	ip netns add "$NET"
	ip -n "$NET" link set lo up
	CELL=$BENCH_DIR/cell
	mkdir "$CELL"
	cp "$BENCH_PROGRAMS/tick" "$CELL/tick"
	cp "$BENCH_DIR"/*.pem "$CELL"
	: >"$CELL/marks"
	chmod 666 "$CELL/marks"
	mkdir "$GROUP"
}

cell_end()
{
	[ ! -d "$GROUP" ] || kill_all group_pids
	if [ -n "$NET" ] && [ -e "/run/netns/$NET" ]; then
		kill_all ip netns pids "$NET"
		ip netns del "$NET"
	fi
	[ -z "$TARGET_PID" ] || wait "$TARGET_PID" 2>/dev/null || true
	TARGET_PID=
	[ ! -d "$GROUP" ] || wait_for 5 rmdir "$GROUP"
	[ -z "$CELL" ] || rm -rf "$CELL"
}

TARGET_PID=

target_start()
{
	local what=$PORT line
	[ "$KIND" != script ] || what=$CELL/marks
	mkfifo "$CELL/tell" "$CELL/told"
	(cd "$CELL" && exec ip netns exec "$NET" "$BENCH_PROGRAMS/target" "$KIND" "$COUNT" \
	    "$INTERVAL" "$what") <"$CELL/tell" >"$CELL/told" 2>"$CELL/target.log" &
	TARGET_PID=$!
	exec 8>"$CELL/tell" 9<"$CELL/told"
	read -r line <&9 || die "the target did not start: $(cat "$CELL/target.log")"
}

# target WORD: tells it, and prints what it says.
target()
{
	local line
	echo "$1" >&8
	read -r line <&9
	echo "$line"
}

# value NAME TEXT: of name=value words.
value()
{
	local text=" $2"
	text=${text##* "$1"=}
	echo "${text%% *}"
}

system_start()
{
	"${SYSTEM}_files"
	"${SYSTEM}_command"
	(
		echo "$BASHPID" >"$GROUP/cgroup.procs"
		cd "$CELL" || exit 1
		exec ip netns exec "$NET" "${COMMAND[@]}"
	) </dev/null >"$CELL/system.log" 2>&1 8>&- 9<&- &
	SYSTEM_PID=$!
	disown
}

warm_up()
{
	local first=$((INTERVAL < 5000 ? INTERVAL : 5000))
	"${SYSTEM}_ready"
	sleep "$(seconds $((first + 1000)))"
}

# How many changes of state the system has logged.
changes()
{
	if [ "$SYSTEM" = lictor ]; then
		grep -c -e '->' "$CELL/system.log" || true
	else
		echo 0
	fi
}

window()
{
	local cpu changes result count expected agent=0
	changes=$(changes)
	[ "$SYSTEM" != lictor ] || agent=$(anonymous_of "$(lictor_agent "$SYSTEM_PID")")
	MEMORY="anonymous=$(group_memory Anonymous) pss=$(group_memory Pss) agent=$agent"
	group_switches >"$CELL/before"
	target begin >/dev/null
	cpu=$(group_cpu)
	sleep "$BENCH_SECONDS"
	cpu=$(($(group_cpu) - cpu))
	result=$(target end)
	group_switches >"$CELL/after"
	kill -0 "$SYSTEM_PID" 2>/dev/null || complain "has ended: $(tail -n 1 "$CELL/system.log")"
	[ "$(changes)" = "$changes" ] || complain "states changed: $(grep -e '->' "$CELL/system.log" | tail -n 1)"
	expected=$((COUNT * $(value window_ms "$result") / INTERVAL))
	count=$(value count "$result")
	((100 * count >= 90 * expected && 100 * count <= 110 * expected)) ||
	    complain "$count runs instead of $expected"
	RESULT="$result cpu_ns=$cpu expected=$expected $MEMORY switches=$(switches_between \
	    "$CELL/before" "$CELL/after") trouble=$TROUBLE"
}

# measure SYSTEM KIND COUNT INTERVAL ROUND
measure()
{
	local why count
	SYSTEM=$1 KIND=$2 COUNT=$3 INTERVAL=$4 TROUBLE=0
	why=$("${SYSTEM}_why")
	if [ -n "$why" ]; then
		echo "system=$SYSTEM kind=$KIND size=$COUNT round=$5 cannot=\"$why\"" >>"$BENCH_DATA"
		return
	fi
	cell_begin
	target_start
	system_start
	warm_up
	window
	echo "system=$SYSTEM kind=$KIND size=$COUNT interval=$INTERVAL round=$5 $RESULT" >>"$BENCH_DATA"
	count=$(value count "$RESULT")
	echo "$KIND $COUNT $SYSTEM: $(($(value cpu_ns "$RESULT") / 1000 / (count > 0 ? count : 1)))" \
	    "us a check ($count of $(value expected "$RESULT") runs)" >&2
	exec 8>&- 9<&-
	cell_end
}

# --- the whole ---

bench_impossible()
{
	local program
	[ "$(id -u)" = 0 ] || echo "it makes network namespaces and control groups: run it as root"
	for program in ip:iproute2 curl:curl jq:jq openssl:openssl pgrep:procps $BENCH_PEERS; do
		command -v "${program%:*}" >/dev/null ||
		    echo "the program ${program%:*} is missing: install the package ${program#*:}"
	done
	[ -n "$(group_root)" ] || echo "no control groups that count CPU time are mounted"
}

bench_end()
{
	trap - EXIT
	exec 8>&- 9<&-
	cell_end
	umount "$BENCH_DIR" 2>/dev/null || true
	rmdir "$BENCH_DIR" 2>/dev/null || true
}

certificate()
{
	openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=target \
	    -addext subjectAltName=DNS:target -keyout "$BENCH_DIR/key.pem" \
	    -out "$BENCH_DIR/cert.pem" 2>/dev/null
	cp "$BENCH_DIR/cert.pem" "$BENCH_DIR/ca.pem"
}

bench_begin()
{
	local why
	why=$(bench_impossible | head -n 1)
	[ -z "$why" ] || die "$why"
	# shellcheck disable=SC2034 # for systems.sh
	CONSUL_BIN=$("$BENCH_SOURCE/../consul.sh") || exit 1
	GROUP=$(group_root)/lictor-bench-$$
	# not in /tmp, which others may write: lictord runs no command from there
	BENCH_DIR=$(mktemp -d /run/lictor-bench.XXXXXX)
	trap bench_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	mount -t tmpfs -o mode=755 bench "$BENCH_DIR" || die "no memory file system can be mounted"
	certificate
}
