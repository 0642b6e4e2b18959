# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# How long a fault may cost: what `lictord -t` says of the role by its timers, with the files
# and the fence that the lab's hosts have.

BUDGETS=

# Once for each lab; an object.
budgets_ask()
{
	local host=${HOSTS%% *} fence
	fence=$(lictorctl_at "$host" status --json | jq -r .fence.kind)
	daemon_of "$host"
	BUDGETS=$(in_host "$host" "${DAEMON[@]}" -t --json 2>/dev/null |
	    jq -ce --arg fence "$fence" '.budgets[] | select(.role == "web" and .fence == $fence)')
}

# budget FAULT: in ms.
budget()
{
	[ "$SYSTEM" = lictor ] || set none
	case $1 in
	none | held | spent) echo 0 ;;
	# not of its timers: Consul's agents start, and its servers take them back
	reboot) echo 30000 ;;
	*) jq -er ".${1}_ms" <<<"$BUDGETS" ;;
	esac
}
