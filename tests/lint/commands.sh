#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The manuals of the two programs have what their own help has, and no more: options
# ("  -t, --test …" there, ".It Fl t , Fl \-test" here), commands, and the reasons that a
# role's state can have (".Cm REASON" in lictorctl(1), between WHY and MASTER).
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
build=$(realpath "${top_builddir:-.}")
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"

options_of_program()
{
	"$build/$1" --help | sed -nE 's/^  (-[a-zA-Z]), (--[a-z]+).*/\1 \2/p' | sort
}

options_of_manual()
{
	sed -nE 's/^\.It Fl ([a-zA-Z]) , Fl \\-([a-z]+).*/-\1 --\2/p' "$top/man/$1" | sort
}

commands_of_program()
{
	"$build/lictorctl" --help | sed -nE 's/^  ([a-z]+)( [A-Za-z[].*)?  +.*/\1/p' | sort
}

commands_of_manual()
{
	sed -nE 's/^\.It Cm ([a-z]+).*/\1/p' "$1" | sort
}

reasons_of_program()
{
	"$build/tests/lint/print_options" | sed -n 's/^roles //p' | sort
}

reasons_of_manual()
{
	sed -n '/^\.It WHY/,/^\.It MASTER/s/^\.Cm \([a-z-]*\).*/\1/p' "$1" | sort
}

# same ONE OTHER: what only one of them has is shown.
same()
{
	local difference
	[ -n "$1" ] || { echo "# nothing was found" && return 1; }
	difference=$(diff <(echo "$1") <(echo "$2") || true)
	[ -z "$difference" ] || { echo "# ${difference//$'\n'/$'\n'# }" && return 1; }
}

differs()
{
	! same "$@" >/dev/null
}

manual=$top/man/lictorctl.1
work=$(mktemp)
trap 'rm -f "$work"' EXIT

check "lictord(8) has lictord's options" \
    same "$(options_of_manual lictord.8)" "$(options_of_program lictord)"
check "lictorctl(1) has lictorctl's options" \
    same "$(options_of_manual lictorctl.1)" "$(options_of_program lictorctl)"
check "lictorctl(1) has lictorctl's commands" \
    same "$(commands_of_manual "$manual")" "$(commands_of_program)"
check "lictorctl(1) has the reasons of a role's state" \
    same "$(reasons_of_manual "$manual")" "$(reasons_of_program)"
sed '/^\.It Cm init/d' "$manual" >"$work"
check "a command missing in the manual is found" \
    differs "$(commands_of_manual "$work")" "$(commands_of_program)"
sed '/^\.Cm lapse/d' "$manual" >"$work"
check "a reason missing in the manual is found" \
    differs "$(reasons_of_manual "$work")" "$(reasons_of_program)"
tap_end
