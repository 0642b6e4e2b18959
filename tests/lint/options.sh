#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The manual documents every option that the code knows, in its own section, and no other;
# likewise the reasons of results. lictor.conf as installed names every option of its own
# sections. In lictor.conf.5 a list below ".Ss SECTION" has ".It Ic OPTION".
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
build=$(realpath "${top_builddir:-.}")
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"

# The plugins that were built here …
plugins()
{
	compgen -G "$build/plugins/*.so" || true
}

# … and an expression for the sections of those that were not, as "^(redis|pgsql) ".
absent()
{
	local source names=none
	for source in "$top"/plugins/*.c; do
		[ ! -e "$source" ] || [ -e "$build/plugins/$(basename "$source" .c).so" ] ||
		    names+="|$(basename "$source" .c)"
	done
	echo "^($names) "
}

known()
{
	# shellcheck disable=SC2046 # one argument each
	"$build/tests/lint/print_options" $(plugins) "$@" | grep -v '^roles ' | sort -u
}

documented()
{
	awk '$1 == ".Sh" { section = "" } $1 == ".Ss" { section = $2 }
	    section != "" && $1 == ".It" && $2 == "Ic" { print section, $3 }' "$1" |
	    grep -vE "$(absent)" | sort
}

sampled()
{
	awk '$1 ~ /^[a-z]+$/ && $2 == "{" { section = $1 } $1 == "}" { section = "" }
	    /^\t*#?[a-z-]+ = / { sub(/^#/, "", $1)
		print (section != "" ? section : "lictor.conf"), $1 }' \
	    "$top/etc/lictor.conf" | sort
}

# same WHAT-IS WHAT-SHOULD-BE: lines of the one that the other lacks are shown.
same()
{
	local difference
	difference=$(diff <(echo "$1") <(echo "$2") || true)
	[ -z "$difference" ] || { echo "# ${difference//$'\n'/$'\n'# }" && return 1; }
}

differs()
{
	! same "$@" >/dev/null
}

manual=$top/man/lictor.conf.5
work=$(mktemp)
trap 'rm -f "$work"' EXIT

check "the manual has what the code has" same "$(documented "$manual")" "$(known)"
sed '0,/^\.It Ic fall /{/^\.It Ic fall /d}' "$manual" >"$work"
check "an option missing in the manual is found" differs "$(documented "$work")" "$(known)"
sed 's/^\.It Ic fall /.It Ic fell\n&/' "$manual" >"$work"
check "an option unknown to the code is found" differs "$(documented "$work")" "$(known)"
check "the sample names every option of the node" same "$(sampled)" \
    "$(known | grep -E '^(lictor\.conf|consul|defaults|failover) ')"
check "an option of a plugin counts" same "$(known "$build/tests/plugins/crashy.so")" \
    "$( (known && echo crashy file && echo crashy prepare) | sort -u)"
tap_end
