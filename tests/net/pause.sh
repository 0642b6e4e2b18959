#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A role that is paused moves by nobody's own decision: not when its service fails, nor when
# all of lictord is killed on its master. What an operator asks for is done, and once it is
# resumed all is as before.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

# Long enough for a take-over, had there been one.
stays_away()
{
	! wait_for 3 has_address "$1"
}

paused_at()
{
	[ "$(lictorctl_at "$1" status --json | jq -r '.roles[0].paused.reason')" = "$2" ]
}

is_master()
{
	[ "$(lictorctl_at "$1" status --json | jq -r '.roles[0].state')" = master ]
}

unwell()
{
	[ "$(lictorctl_at "$1" status --json | jq -r '.roles[0].ready')" = no ]
}

switch_over()
{
	local said
	said=$(lictorctl_at "$MASTER" switchover web "$BACKUP" 2>&1) || { diag "$said"; return 1; }
}

pair_start lictord_start
check "a pause may be asked for on the backup" \
    quiet lictorctl_at "$BACKUP" pause web --reason "the switch is replaced"
check "both hosts know of it and why" \
    wait_for 5 eval "paused_at $MASTER 'the switch is replaced' &&
	paused_at $BACKUP 'the switch is replaced'"
stop "$MASTER" webservice
check "the master's service fails" wait_for 10 unwell "$MASTER"
check "the other host takes nothing" stays_away "$BACKUP"
check "the address stays" has_address "$MASTER"
service_start "$MASTER"
check "the service is well again" wait_for 10 not unwell "$MASTER"
lictord_kill_all "$MASTER"
check "nobody takes the role of a dead master either" stays_away "$BACKUP"
lictord_start "$MASTER"
check "it has its role again when it is back" wait_for 20 is_master "$MASTER"
check "paused over the restart" wait_for 5 paused_at "$MASTER" "the switch is replaced"
check "an operator may switch over" switch_over
check "and that is done" wait_for 5 has_address "$BACKUP"
wait_for 10 settled || true
pair_look
check "it is resumed" quiet lictorctl_at "$MASTER" resume web
check "both hosts know" wait_for 5 eval "paused_at $MASTER null && paused_at $BACKUP null"
stop "$MASTER" webservice
check "a failed service moves the role again" wait_for 10 has_address "$BACKUP"
check "there is nothing left to resume" not quiet lictorctl_at "$MASTER" resume web
tap_end
