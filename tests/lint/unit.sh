#!/bin/bash
# SPDX-License-Identifier: ISC
#
# What systemd itself says of our units and folders: that it takes them, that the score of
# lictord.service is 6.7 or better without one line that would be a filter of system calls
# on the commands, and that each line it asks for and does not find has a reason in the unit.
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"
command -v systemd-analyze >/dev/null || tap_skip_all "there is no systemd-analyze"

# Of those and their like systemd makes filters, of the last one what they cannot do without.
filters='SystemCall.*|Restrict(AddressFamilies|Namespaces|Realtime|SUIDSGID)|LockPersonality|
    |MemoryDenyWriteExecute|PrivateDevices|Protect(Clock|Hostname|Kernel.*)|NoNewPrivileges'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/etc"
for unit in lictord lictor-handover; do
	sed 's|@s*bindir@/lictor[a-z]*|/bin/true|; /^Documentation=/d' \
	    "$top/etc/$unit.service.in" >"$work/$unit.service"
done

# Of what it says only what is ours counts, not other units of this machine.
verified()
{
	! systemd-analyze verify "$work/$1" 2>&1 | grep lictor | sed 's/^/# /' | grep .
}

# score UNIT: what systemd gives it, of 10.
score()
{
	systemd-analyze security --offline=yes --no-pager "$1" |
	    sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p'
}

at_most()
{
	diag "score $1"
	[ -n "$1" ] && awk -v is="$1" -v most="$2" 'BEGIN { exit !(is <= most) }'
}

filtered()
{
	grep -E "^(${filters//[$'\n' ]/})=" "$1"
}

# The options that systemd misses and that the unit's remarks do not name.
unexplained()
{
	systemd-analyze security --offline=yes --no-pager --json=short "$1" |
	    jq -r '.[] | select(.set == false) | .name' |
	    sed 's/=.*//' | sort -u >"$work/missed"
	[ -s "$work/missed" ] || echo "nothing was found"
	grep '^#' "$1" >"$work/remarks"
	while read -r option; do
		grep -q "\b$option" "$work/remarks" || echo "$option"
	done <"$work/missed"
}

explained()
{
	local names
	names=$(unexplained "$1")
	[ -z "$names" ] || { echo "# ${names//$'\n'/ }" && return 1; }
}

not()
{
	! "$@"
}

made_folders()
{
	systemd-sysusers --root="$work" "$top/etc/lictor-sysusers.conf" >/dev/null &&
	    systemd-tmpfiles --root="$work" --create "$top/etc/lictor-tmpfiles.conf" ||
	    return 1
	[ "$(stat -c '%a %u' "$work/sys/fs/bpf/lictor")" = \
	    "700 $(awk -F : '$1 == "lictor-warden" { print $3 }' "$work/etc/passwd")" ]
}

check "systemd takes lictord.service" verified lictord.service
check "and lictor-handover.service" verified lictor-handover.service
check "lictord.service is rated 6.7 or better" \
    at_most "$(score "$work/lictord.service")" 6.7
check "without a filter that commands would inherit" not filtered "$work/lictord.service"
check "each line that is asked for and left out has its reason there" \
    explained "$work/lictord.service"
[ "$(id -u)" != 0 ] || check "the warden's folder is made, and only its own" made_folders
sed '/^# ProtectProc, /d; s/^User=.*/LockPersonality=yes/' "$work/lictord.service" \
    >"$work/worse.service"
check "a reason that is missing is found" not explained "$work/worse.service"
check "so is a filter" filtered "$work/worse.service"
check "and a worse rating" not at_most "$(score "$work/worse.service")" 6.7
tap_end
