#!/bin/bash
# SPDX-License-Identifier: ISC
#
# lictord exports the functions of check.h, all of them, whether a type that is built in
# needs them or not, and nothing else; the manual has each; and the types that are built in
# could be plugins as far as their tables go (tests/unit/test_plugin.c).
# shellcheck source=tests/plugins/setup.sh
. "${top_srcdir:-.}/tests/plugins/setup.sh"

declared()
{
	grep -oE '\bcheck_[a-z_]+\([a-z]' "$top/checks/check.h" | sed 's/(.*//' | sort -u
}

# What the linker adds to every program, and the C library's data in it, is nobody's choice.
exported()
{
	nm -D --defined-only "$1" | awk '{ print $3 }' | grep -vE '@|^(_IO_stdin_used|__bss_start|__data_start|data_start|_edata|_end|_start|_init|_fini|main)$' | sort -u
}

documented()
{
	sed -nE 's/^\.F[no] (check_[a-z_]+)( .*)?$/\1/p' "$1" | sort -u
}

same()
{
	local difference
	[ -n "$1" ] || { echo "# nothing was found" && return 1; }
	difference=$(diff <(echo "$1") <(echo "$2") || true)
	[ -z "$difference" ] || { echo "# ${difference//$'\n'/$'\n'# }" && return 1; }
}

# The example as it stands in the manual.
printed()
{
	sed -n '/^#include <ctype/,/^\.Ed/p' "$1" | sed -e '$d' -e 's/^\\&//' -e 's/\\e/\\/g'
}

# built TREE: as an author would do it with the header that is installed, strictly, in both
# languages; lictord takes what comes of it.
built()
{
	local dir=$work/$1 source=$top/tests/plugins/strict.c compiler=${CC:-cc}
	[ "$1" = c ] || compiler=${CXX:-c++}
	mkdir -p "$work/include/lictor"
	cp "$top/checks/check.h" "$work/include/lictor"
	conf_of "$dir" 'plugins = {"strict"}
		strict "x" { }'
	# shellcheck disable=SC2086 # it may have arguments
	$compiler -x "$1" "-std=$2" -shared -fPIC -fvisibility=hidden -Wall -Wextra -pedantic \
	    -Werror -I"$work/include" -o "$dir/strict.so" "$source" &&
	    accepted "$dir" '0 services, 1 check, 0 roles'
}

manual=$top/man/lictor-check.3
if [[ $(nm -D "$build/lictord") == *__asan_* ]]; then
	echo "# the sanitizers export symbols of their own"
else
	check "lictord exports the interface" same "$(declared)" "$(exported "$build/lictord")"
fi
check "the manual has every function" same "$(declared)" "$(documented "$manual")"
check "the manual's example is the one that is tested" same "$(printed "$manual")" \
    "$(sed -n '/^#include/,$p' "$top/plugins/example/memcached.c")"
check "a plugin is built in C" built c c11
if command -v "${CXX:-c++}" >/dev/null; then
	check "a plugin is built in C++" built c++ c++11
else
	echo "# no compiler for C++"
fi
tap_end
