#!/bin/bash
# SPDX-License-Identifier: ISC
#
# What a check costs: lictor beside HAProxy, keepalived and Consul's own checks, and beside
# the least that such checks can cost here (floor.c), on the same targets in one run. Run
# by "make bench-checks"; the table is printed, and kept in bench-checks.md in the build's
# folder, each measurement in bench-checks.data.
#
#   bench.sh           all of it: some 40 minutes
#   bench.sh quick     lictor, HAProxy and Consul, 1000 checks, one round: 4 minutes
#
# A part of it, for who tunes:
#   BENCH_KINDS="http tcp https script"  BENCH_SIZES="100 1000 5000"
#   BENCH_SYSTEMS="floor lictor haproxy keepalived consul"
#   BENCH_SECONDS=10 (a window)  BENCH_ROUNDS=3
#
# The CPU is what the kernel charged to the control group of the system, all processes and
# children in it, between two readings; the checks are those that the target counted
# between them. Each measurement is in a network namespace and a control group of its own
# with a system that was started for it, and the systems take turns within a round, so
# that what else the machine does hits all alike. Needs root; leaves nothing behind.
set -euo pipefail

BENCH_SOURCE=$(cd "$(dirname "$0")" && pwd)
: "${LICTOR_BUILD:=$PWD}"
BENCH_PROGRAMS=$LICTOR_BUILD/tests/bench
BENCH_DATA=$LICTOR_BUILD/bench-checks.data
BENCH_PEERS="haproxy:haproxy keepalived:keepalived"
# shellcheck source=tests/bench/systems.sh
. "$BENCH_SOURCE/systems.sh"
# shellcheck source=tests/bench/cell.sh
. "$BENCH_SOURCE/cell.sh"

case ${1:-full} in
full)
	: "${BENCH_SYSTEMS:=floor lictor haproxy keepalived consul}"
	: "${BENCH_SIZES:=100 1000 5000}" "${BENCH_SECONDS:=10}" "${BENCH_ROUNDS:=3}"
	;;
quick)
	: "${BENCH_SYSTEMS:=floor lictor haproxy consul}"
	: "${BENCH_SIZES:=1000}" "${BENCH_SECONDS:=5}" "${BENCH_ROUNDS:=1}"
	;;
*)
	sed -n 's/^#   bench/bench/p' "$0"
	exit 2
	;;
esac
: "${BENCH_KINDS:=http tcp https script}"

# The interval, in ms, at which so many checks make 1000 runs a second; 200 of the dear ones.
interval_of()
{
	case $1 in
	http | tcp) echo "$2" ;;
	https | script) echo $((5 * $2)) ;;
	*) die "$1 is no kind of check: http, tcp, https or script" ;;
	esac
}

measure_all()
{
	local kind size round system
	for kind in $BENCH_KINDS; do
		for size in $BENCH_SIZES; do
			for round in $(seq "$BENCH_ROUNDS"); do
				for system in $BENCH_SYSTEMS; do
					measure "$system" "$kind" "$size" \
					    "$(interval_of "$kind" "$size")" "$round"
				done
			done
		done
	done
}

versions()
{
	local cpu
	cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
	echo "Linux $(uname -r | cut -d- -f1), $(nproc) cores (${cpu:-$(uname -m)})," \
	    "HAProxy $(haproxy -v | sed -n '1s/.*version \([0-9.]*\).*/\1/p')," \
	    "keepalived $(keepalived --version 2>&1 | sed -n '1s/.*v\([0-9.]*\).*/\1/p')," \
	    "Consul $("$CONSUL_BIN" version | sed -n '1s/.*v\([0-9.]*\).*/\1/p')," \
	    "$(openssl version | cut -d' ' -f1-2)"
}

begun=$SECONDS
bench_begin
: >"$BENCH_DATA"
measure_all
{
	awk -f "$BENCH_SOURCE/table.awk" "$BENCH_DATA"
	echo
	echo "$(versions)."
	echo "Windows of $BENCH_SECONDS s, medians of $BENCH_ROUNDS, $(((SECONDS - begun) / 60)) minutes in all."
} | tee "$LICTOR_BUILD/bench-checks.md"
