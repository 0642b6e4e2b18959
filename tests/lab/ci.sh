#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Eight faults of the lab, once each, in less than two minutes: what nothing may land without.
# See lab.sh; a failed run's logs are shown.
set -euo pipefail

top=$(realpath "${top_srcdir:-.}")
LICTOR_BUILD=$(realpath "${top_builddir:-.}")
export LICTOR_BUILD
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"
# shellcheck source=tests/lib/net.sh
. "$top/tests/lib/net.sh"

export LAB_RESULTS="$LICTOR_BUILD/lab-ci.results" LAB_SYSTEMS=lictor N=1
# what two processors that the tests share may add
export LAB_SLACK_MS=${LAB_SLACK_MS:-50}
export SCENARIO="1 2 3.agent 3.all 6 8 11 13"

[ "${LICTOR_NET_TESTS:-yes}" = yes ] || tap_skip_all "LICTOR_NET_TESTS is $LICTOR_NET_TESTS"
impossible=$(lab_impossible)
[ -z "$impossible" ] || tap_skip_all "$impossible"
command -v nft >/dev/null || tap_skip_all "nftables is not installed"
"$top/tests/consul.sh" >/dev/null || tap_skip_all "there is no Consul"

rm -rf "$LAB_RESULTS" "$LAB_RESULTS.logs"
"$top/tests/lab/lab.sh" >"$LAB_RESULTS.out" 2>&1 || true
for name in $SCENARIO; do
	line=$(awk -v n="$name" '$2 == n' "$LAB_RESULTS" || true)
	IFS=$'\t' read -r _ _ _ gap dual _ budget verdict _ pause took why <<<"$line"
	diag "${name:-?}: $gap ms without an answer, $budget allowed; $dual double answers;" \
	    "the watchers paused for $pause ms; $took s; $why"
	check "$name" test "$verdict" = ok
done
if [ "$TAP_FAILED" != 0 ]; then
	sed 's/^/# /' "$LAB_RESULTS.out"
	tail -n 40 "$LAB_RESULTS.logs"/*/* 2>/dev/null | sed 's/^/# /'
fi
tap_end
