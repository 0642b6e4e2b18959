#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Prints the tables of the lab's results ($LAB_RESULTS), in Markdown. `make lab-table`.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/lib/net.sh
. "$here/../lib/net.sh"
# shellcheck source=tests/lab/scenarios.sh
. "$here/scenarios.sh"

results=${LAB_RESULTS:-${LICTOR_BUILD:-$here/../../build}/lab.results}
[ -s "$results" ] || die "there are no results in $results: make lab"
awk -f "$here/table.awk" -v titles="$SCENARIOS" "$results"
