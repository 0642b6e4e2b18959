#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Whether lictor holds out: 10000 HTTP checks each 10 s for ten minutes. The memory must be
# flat, no descriptor may be lost, every check must have run as often as it should, and no
# run later than the targets allow. They are of 200 services: with more aliases it is Consul
# that takes the machine, seconds at a time. Run by "make bench-soak" (SOAK_MINUTES=10); each
# minute is printed. Needs what bench.sh needs, but no peers.
set -euo pipefail

BENCH_SOURCE=$(cd "$(dirname "$0")" && pwd)
: "${LICTOR_BUILD:=$PWD}" "${SOAK_MINUTES:=10}" "${SOAK_CHECKS:=10000}" "${SOAK_INTERVAL:=10000}"
# shellcheck disable=SC2034 # for cell.sh
BENCH_PROGRAMS=$LICTOR_BUILD/tests/bench BENCH_PEERS='' CHECKS_EACH=50
# shellcheck source=tests/bench/systems.sh
. "$BENCH_SOURCE/systems.sh"
# shellcheck source=tests/bench/cell.sh
. "$BENCH_SOURCE/cell.sh"

P99_US=20000
MAX_US=200000
GROWTH_KB=256 # over all the time, of all processes: noise of the allocator

failed=0

# judge WHAT MEASURED LIMIT: says so, and remembers if it is more.
judge()
{
	local verdict=ok
	if [ "$2" -gt "$3" ]; then
		verdict=FAILED
		failed=1
	fi
	echo "$verdict $1: $2 (at most $3)"
}

descriptors()
{
	local pid
	for pid in $(group_pids); do
		find "/proc/$pid/fd" -mindepth 1 2>/dev/null || true
	done | wc -l
}

# Those that are there with the fewest connections under way, of a while.
settled_descriptors()
{
	local i
	for ((i = 0; i < 50; i++)); do
		descriptors
		sleep 0.1
	done | sort -n | head -n 1
}

# Each minute: memory, descriptors and CPU since the last; the first is the warm-up's end.
watch_minutes()
{
	local minute cpu before
	cpu=$(group_cpu)
	for ((minute = 1; minute <= SOAK_MINUTES; minute++)); do
		sleep 60
		before=$cpu cpu=$(group_cpu)
		echo "minute $minute: $(group_memory Anonymous) kB anonymous," \
		    "$(group_memory Pss) kB PSS, $(descriptors) descriptors," \
		    "$(((cpu - before) / 60000000)) thousandths of a core" |
		    sed 's/ \([0-9]*\)\([0-9]\) thousandths of a core/ \1.\2 % of a core/'
	done
}

# shellcheck disable=SC2034 # for cell.sh and systems.sh
SYSTEM=lictor KIND=http COUNT=$SOAK_CHECKS INTERVAL=$SOAK_INTERVAL TROUBLE=0
READY_SECONDS=180
bench_begin
cell_begin
target_start
system_start
warm_up
sleep 20
memory=$(group_memory Anonymous)
open=$(settled_descriptors)
changed=$(changes)
processes=$(group_pids)
echo "begin: $memory kB anonymous, $open descriptors"
target begin >/dev/null
watch_minutes
result=$(target end)
expected=$((SOAK_MINUTES * 60000 / INTERVAL))
echo "$result"
judge "growth of the anonymous memory, kB" $(($(group_memory Anonymous) - memory)) $GROWTH_KB
judge "growth of the open descriptors" $(($(settled_descriptors) - open)) 4
judge "checks that did not come" $((COUNT - $(value checks "$result"))) 0
judge "runs that a check missed" $((expected - $(value fewest "$result"))) 1
judge "runs that a check had too many" $(($(value most "$result") - expected)) 1
judge "lateness, p99, us" "$(value late_p99_us "$result")" $P99_US
judge "lateness, longest, us" "$(value late_max_us "$result")" $MAX_US
judge "changes of state" $(($(changes) - changed)) 0
[ "$processes" = "$(group_pids)" ] || judge "processes that were started again" 1 0
exit $failed
