# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# What the tests of plugins share: a folder that nobody else can write to, a compiler for
# what is built as its author would, and the one line that lictord -t refuses with.
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
build=$(realpath "${top_builddir:-.}")
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"
# the sanitizers' own words about a crash would be more than the one line
export ASAN_OPTIONS=handle_segv=0:detect_leaks=0

umask 022
work=$(mktemp -d)
chmod 755 "$work" # the agent may be another user
trap 'rm -rf "$work"' EXIT

# compile SOURCE OUTPUT [FLAG...]
compile()
{
	local source=$1 out=$2
	shift 2
	# shellcheck disable=SC2086 # CC may have arguments
	${CC:-cc} -shared -fPIC -Wall -Werror -fvisibility=hidden "$@" -o "$out" "$source"
}

# conf_of DIR TEXT: a folder with this lictor.conf, which finds its plugins beside it.
conf_of()
{
	mkdir -p "$1"
	printf 'plugin-directory = "%s"\n%s\n' "$1" "$2" >"$1/lictor.conf"
}

# refused DIR EXPRESSION: by lictord -t with this line and no other.
refused()
{
	local dir=$1 status=0
	"$build/lictord" -c "$dir" -t >"$dir/out" 2>"$dir/err" </dev/null || status=$?
	if [ "$status" = 1 ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" = 1 ] &&
	    grep -qEx -- "$2" <(sed "s|^$dir/||" "$dir/err"); then
		return 0
	fi
	echo "# exit status $status, expected 1; one line: $2"
	sed 's/^/# /' "$dir/out" "$dir/err"
	return 1
}

accepted()
{
	"$build/lictord" -c "$1" -t >"$1/out" 2>"$1/err" </dev/null && [ ! -s "$1/err" ] &&
	    grep -q "$2" "$1/out" && return 0
	sed 's/^/# /' "$1/out" "$1/err"
	return 1
}
