#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Every configuration of broken.table through the daemon's own `lictord -c DIR -t`: exit
# status 1, nothing on standard output, and the one line on standard error that the table
# asks for. tests/unit/test_conf_broken.c reads the same table without a process for each.
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
lictord=$(realpath "${top_builddir:-.}")/lictord
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"

work=$(mktemp -d)
chmod 755 "$work" # for the agent's user
trap 'rm -rf "$work"' EXIT
awk -v out="$work" -f "$top/tests/conf/unpack.awk" "$top/tests/conf/broken.table"

# The variables of the case, and none that the tester happens to have.
refuse()
{
	local dir=$1 status=0 variables=()
	[ ! -e "$dir.environment" ] || mapfile -t variables <"$dir.environment"
	env -i PATH="$PATH" "${variables[@]}" "$lictord" -c "$dir" -t >"$dir.out" \
	    2>"$dir.err" </dev/null || status=$?
	sed "s|^$dir/||" "$dir.err" >"$dir.line"
	if [ "$status" = 1 ] && [ ! -s "$dir.out" ] && [ "$(wc -l <"$dir.err")" = 1 ] &&
	    grep -qExf "$dir.expect" "$dir.line"; then
		return 0
	fi
	echo "# exit status $status, expected 1; one line: $(<"$dir.expect")"
	sed 's/^/# /' "$dir.out" "$dir.err"
	return 1
}

count=$(find "$work" -name '*.name' | wc -l)
for ((i = 1; i <= count; i++)); do
	dir=$work/$i
	[ ! -e "$dir.setup" ] || (cd "$dir" && sh -e "$dir.setup")
	check "$(<"$dir.name")" refuse "$dir"
done
tap_end
