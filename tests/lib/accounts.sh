# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# The users and groups that lictord's processes run as, as its package makes them: without
# them there is no wall between the processes, and nothing that a test could see of it. They
# are the one thing that the tests and the demonstration leave on the machine.

# systemd-sysusers takes what is not from / for a name in its own folders.
ACCOUNTS=$(realpath "${BASH_SOURCE[0]%/*}/../../etc/lictor-sysusers.conf")

accounts_missing()
{
	local type name
	while read -r type name _; do
		case $type in
		u) getent passwd "$name" >/dev/null || echo "$name" ;;
		g) getent group "$name" >/dev/null || echo "$name" ;;
		esac
	done <"$ACCOUNTS"
}

accounts_add()
{
	local type name
	while read -r type name _; do
		case $type in
		u) getent passwd "$name" || useradd --system --user-group \
		    --no-create-home --shell /usr/sbin/nologin "$name" ;;
		g) getent group "$name" || groupadd --system "$name" ;;
		esac
	done <"$ACCOUNTS"
}

# Root makes what is missing, one at a time, by systemd's tool if there is one.
accounts_make()
{
	local missing tool=accounts_add
	missing=$(accounts_missing)
	[ -n "$missing" ] && [ "$(id -u)" = 0 ] || return 0
	! command -v systemd-sysusers >/dev/null || tool="systemd-sysusers $ACCOUNTS"
	(
		flock 9
		$tool >/dev/null
	) 9>/run/lictor-accounts.lock
	missing=$(accounts_missing)
	[ -z "$missing" ] || echo "these accounts could not be made: ${missing//$'\n'/ }" >&2
}
