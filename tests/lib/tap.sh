# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# TAP for the shell tests: `check` prints one line for each stated fact. A test that ends
# before tap_end has no plan, which the harness counts as a failure.

# lictord refuses a configuration that a group can write
umask 022

TAP_COUNT=0
TAP_FAILED=0

diag()
{
	echo "# $*"
}

# check DESCRIPTION COMMAND...
check()
{
	local what=$1
	shift
	TAP_COUNT=$((TAP_COUNT + 1))
	if "$@"; then
		echo "ok $TAP_COUNT - $what"
	else
		echo "not ok $TAP_COUNT - $what"
		TAP_FAILED=$((TAP_FAILED + 1))
	fi
}

tap_skip_all()
{
	echo "1..0 # SKIP $*"
	exit 0
}

tap_end()
{
	echo "1..$TAP_COUNT"
	[ "$TAP_FAILED" = 0 ]
}
