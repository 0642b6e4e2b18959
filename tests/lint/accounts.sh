#!/bin/bash
# SPDX-License-Identifier: ISC
#
# systemd-sysusers takes our file whole or not at all, so it is asked, with a root of its
# own: it makes every account and group that the sources name, and no other.
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"
command -v systemd-sysusers >/dev/null || tap_skip_all "there is no systemd-sysusers"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/etc"

taken()
{
	systemd-sysusers --root="$root" "$top/etc/lictor-sysusers.conf" >"$root/log" 2>&1 &&
		return 0
	sed 's/^/# /' "$root/log"
	return 1
}

# those_of FILE NAME...: these entries and no other.
those_of()
{
	diff <(cut -d : -f 1 "$1" | sort) <(printf '%s\n' "${@:2}" | sort) | sed 's/^/# /'
	[ "${PIPESTATUS[0]}" = 0 ]
}

default=$(sed -n 's/^#define ACCOUNT_DEFAULT "\(.*\)"$/\1/p' "$top/agent/runner/account.h")
mapfile -t groups < <(sed -n 's/.*find_group("\([a-z-]*\)".*/\1/p' "$top/agent/status/control.c")
check "the file is taken" taken
check "it has the processes' users and the commands'" \
    those_of "$root/etc/passwd" lictor lictor-warden "$default"
check "it has their groups and those of the control socket" \
    those_of "$root/etc/group" lictor lictor-warden "$default" "${groups[@]}"
# shellcheck disable=SC2016 # the inner shell's
check "quickstart names the file so that systemd-sysusers finds it" bash -c '
	cd "$1" && . tests/lib/accounts.sh && [[ $ACCOUNTS == /* && -e $ACCOUNTS ]]' - "$top"
tap_end
