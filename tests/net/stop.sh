#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A clean stop of the master while its local Consul agent hangs: the address goes at once,
# lictord ends by itself, though nobody hears that it gave the role away, and the other host
# takes it as from a dead one. Then a handover of that one's, likewise: its command, which a
# restart of the host waits for, gives up.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

# shellcheck disable=SC2034 # for the files
ROLE_MORE='hooks { demote = {"/bin/true"} timeout = 1s }'
pair_start lictord_start
observer_start
kill -STOP "$(pid_of "$MASTER" consul)"
kill -TERM "$(pid_of "$MASTER" lictord)"
check "the address goes at once" wait_for 1 not has_address "$MASTER"
check "lictord ends" wait_for 20 lictord_gone "$MASTER"
check "nobody had to be killed" not grep 'is killed' "$LAB_DIR/$MASTER/lictord.log"
check "the other host takes the role" wait_for 40 has_address "$BACKUP"
kill -CONT "$(pid_of "$MASTER" consul)"
lictord_start "$MASTER"
check "the other is its backup" wait_for 40 settled
kill -STOP "$(pid_of "$BACKUP" consul)"
begun=$(now_ms)
check "a handover that nobody hears of fails" not lictorctl_at "$BACKUP" handover
check "and is over soon" at_most $(($(now_ms) - begun)) 20000
kill -CONT "$(pid_of "$BACKUP" consul)"
check "never two holders" never_two "$(observer_stop)"
tap_end
