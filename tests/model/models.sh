#!/bin/bash
# SPDX-License-Identifier: ISC
#
# models.sh small|long|NAME: checks the models of models.table with spin, two at a time (or
# LICTOR_JOBS), one line each. All small ones take what is found first; one that is asked for by
# its NAME, and the long ones, look for the shortest counterexample and keep it in
# ./model/NAME.trail. Exit status 1 if a run ends otherwise than the table says.
set -u
folder=$(cd "$(dirname "$0")" && pwd)
which=${1:-small}
out=${LICTOR_BUILD:-.}/model
jobs=${LICTOR_JOBS:-2}

# check_one NAME EXPECTED MODEL FLAG…
check_one()
{
	local name=$1 expected=$2 model=$3 dir defines="" flags="" found flag size
	shift 3
	for flag; do
		case $flag in
		-D*) defines="$defines $flag" ;;
		*) flags="$flags $flag" ;;
		esac
	done
	dir=$(mktemp -d) && cp "$folder"/*.pml "$dir" && cd "$dir" || return 1
	# For a search of seconds an optimizing compiler takes longer than the search.
	local cc="gcc -O2" search=-DCOLLAPSE limits="-m60000000 -w26"
	[ "$size_class" = long ] || limits="-m1000000 -w20"
	[ "$size_class" = long ] || ! command -v tcc >/dev/null || cc=tcc
	[ "$which" = small ] || [ "$expected" = ok ] || search=-DBFS
	# shellcheck disable=SC2086
	if spin $defines -a "$model" >log 2>&1 &&
	    $cc -w -DSAFETY "$search" -DMEMLIM=9000 -o pan pan.c >>log 2>&1 &&
	    ./pan $limits $flags >pan.log 2>&1; then
		found=other
		grep -q 'errors: 0' pan.log && found=ok
		grep -q 'errors: 1' pan.log && found=error
		grep -qE 'max search depth too small|out of memory|too short' pan.log && found=incomplete
	else
		found=broken
		cat pan.log >>log 2>/dev/null
	fi
	size="$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log | head -1) states"
	if [ "$found" = error ] && [ "$which" != small ]; then
		# shellcheck disable=SC2086
		spin $defines -t "$model" 2>/dev/null | sed -n 's/^ *\(EV .*\|TICK.*\)/\1/p' \
		    >"$out/$name.trail"
		size="$size, $(wc -l <"$out/$name.trail") events to it"
	fi
	if [ "$found" = "$expected" ]; then
		echo "ok - $name ($model): $found, $size"
	else
		echo "not ok - $name ($model): $found, expected $expected, $size"
		sed 's/^/# /' log | tail -20
	fi
	cd / && rm -rf "$dir"
	[ "$found" = "$expected" ]
}

mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
failed=0 running=0
while read -r size_class name rest; do
	case $size_class in '' | '#'*) continue ;; esac
	[ "$which" = "$size_class" ] || [ "$which" = "$name" ] || continue
	# shellcheck disable=SC2086
	check_one "$name" $rest &
	running=$((running + 1))
	if [ "$running" -ge "$jobs" ]; then
		wait -n || failed=1
		running=$((running - 1))
	fi
done <"$folder/models.table"
while [ "$running" -gt 0 ]; do
	wait -n || failed=1
	running=$((running - 1))
done
exit "$failed"
