# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# What every network test begins with: the programs, a Consul, an empty lab; or the reason
# why it is skipped. LICTOR_NET_TESTS=no skips them all. If a test fails or ends early, the
# logs of both hosts are shown.
set -euo pipefail

top=$(realpath "${top_srcdir:-.}")
LICTOR_BUILD=$(realpath "${top_builddir:-.}")
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"
# shellcheck source=tests/lib/net.sh
. "$top/tests/lib/net.sh"

test_end()
{
	local status=$?
	[ "$status" = 0 ] || [ "$TAP_FAILED" != 0 ] ||
	    diag "ended with status $status by ${failed_at:-a signal}"
	if [ "$status" != 0 ] || [ "$TAP_FAILED" != 0 ]; then
		logs_show
	fi
	lab_end
}

[ "${LICTOR_NET_TESTS:-yes}" = yes ] || tap_skip_all "LICTOR_NET_TESTS is $LICTOR_NET_TESTS"
impossible=$(lab_impossible)
[ -z "$impossible" ] || tap_skip_all "$impossible"
CONSUL_BIN=$("$top/tests/consul.sh") || tap_skip_all "there is no Consul"
lab_new
trap test_end EXIT
set -E # functions too
trap 'failed_at="$BASH_COMMAND, line $LINENO, called from lines ${BASH_LINENO[*]}"' ERR

# at_most NUMBER LIMIT
at_most()
{
	[ -n "$1" ] && [ "$1" -le "$2" ]
}

quiet()
{
	"$@" >/dev/null
}

# How long a client may wait for what is neither detection nor lease; the sanitizers need more.
# shellcheck disable=SC2034 # for the tests
slack=${LICTOR_SLACK_MS:-100}

# median NUMBER...
median()
{
	printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"
}

# The observer never saw two holders.
never_two()
{
	diag "observer: $1"
	[[ $1 =~ ^dual\ 0\ of\ [0-9]+, ]]
}
