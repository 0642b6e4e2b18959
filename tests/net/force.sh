#!/bin/bash
# SPDX-License-Identifier: ISC
#
# An operator's oath that the last master is off. A host that its record does not name as a
# member would wait for a minute, and the oath spares it that; it is refused where the host
# is another, lives, or the new one is not fit.
. "${top_srcdir:-.}/tests/net/setup.sh"

members()
{
	[ "$(register '.fence.members | join(" ")')" = "$1" ]
}

# refused PATTERN ARGUMENT...: failover web ... says so.
refused()
{
	local said
	said=$(lictorctl_at "$BACKUP" failover web "${@:2}" 2>&1) && return 1
	diag "$said"
	grep -q -- "$1" <<<"$said"
}

ready()
{
	[ "$(lictorctl_at "$1" status --json | jq -r '.roles[0].ready')" = yes ]
}

pair_start lictord_start
check "the master counts the backup as a member" wait_for 10 members "$BACKUP"
check "a master that lives is not taken for dead" \
    refused 'it lives' "$BACKUP" --i-have-fenced "$MASTER"
check "nor by itself" \
    not lictorctl_at "$MASTER" failover web "$BACKUP" --i-have-fenced "$MASTER"
check "nor is a stranger the new one" refused 'no candidate' web-7 --i-have-fenced "$MASTER"
lictord_kill_all "$BACKUP"
check "after 10 s it is no member any more" wait_for 20 members ""
lictord_kill_all "$MASTER"
lictord_start "$BACKUP"
check "the other host is back, and the address nowhere" \
    wait_for 20 eval "ready $BACKUP && ! has_address $MASTER"
check "the record is another host's" \
    wait_for 10 refused 'may still have it' "$BACKUP" --i-have-fenced "$BACKUP"
check "the operator swears" \
    quiet lictorctl_at "$BACKUP" failover web "$BACKUP" --i-have-fenced "$MASTER"
check "and the role is there at once" wait_for 2 has_address "$BACKUP"
check "the log says whose word it was" \
    test "$(log_count "$BACKUP" "an operator swears that $MASTER is off")" = 1
check "of a host that is the master now nothing can be sworn" \
    refused 'is the host that' "$BACKUP" --i-have-fenced "$BACKUP"
lictord_start "$MASTER"
check "the old master comes back as backup" wait_for 20 consul_shows backup "$MASTER"
tap_end
