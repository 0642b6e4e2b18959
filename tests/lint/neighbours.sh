#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Keeps the neighbours few: fails on an include that neighbours.table does not allow, on a
# file that no row speaks for, and on a row that speaks for nothing. It first shows that it
# can fail, on a small tree made bad on purpose.
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
here=$top/tests/lint
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"

# "FILE INCLUDED" for each include below a folder; ours are written from the top.
includes()
{
	(cd "$1" && find agent checks plugins tests -name '*.[ch]' 2>/dev/null | sort |
	    xargs -r grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*("[^"]*"|<[^>]*)' |
	    sed -E 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*/ /; s/"//g' |
	    grep -v ' config\.h$')
}

# The files that no row allows something, and the like; nothing if all is well.
faults()
{
	awk -f "$here/neighbours.awk" "$here/neighbours.table" <(includes "$1") | sort -u
}

# Rows (but those of foreign headers) that no file belongs to.
idle_rows()
{
	local module
	sed 's/#.*//; s/:.*//' "$here/neighbours.table" | tr -s ' \t' '\n' | grep -v '^<' |
	    while read -r module; do
		[ -z "$module" ] || compgen -G "$1/$module*" >/dev/null ||
		    echo "$module: no such file or folder"
	    done
}

nothing()
{
	if [ -n "$1" ]; then
		echo "# ${1//$'\n'/$'\n'# }"
		return 1
	fi
}

finds()
{
	local tree
	tree=$(mktemp -d)
	mkdir -p "$tree/$(dirname "$1")"
	echo "#include $2" >"$tree/$1"
	local found
	found=$(faults "$tree")
	rm -rf "$tree"
	[ -n "$found" ]
}

finds_not()
{
	! finds "$@"
}

check "an upstream include is found" finds agent/health/x.c '"agent/consul/report.h"'
check "a check that looks into the daemon is found" finds checks/x.c '"agent/conf/conf.h"'
check "a stray library is found" finds agent/conf/x.c '<uv.h>'
check "a file without a row is found" finds agent/new/x.c '"agent/base/util.h"'
check "what the table allows passes" finds_not agent/conf/x.c '<confuse.h>'
check "every include is in the table" nothing "$(faults "$top")"
check "every row has its files" nothing "$(idle_rows "$top")"
tap_end
