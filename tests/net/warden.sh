#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The master's warden dies and none can start in its place: this host cannot say that its
# address is gone, nor set it again, yet lives and talks to Consul. The other host gets the
# role all the same, once the lease is over.
. "${top_srcdir:-.}/tests/net/setup.sh"

candidates()
{
	api server "/v1/kv/lictor/roles/web/candidates/?keys" | jq -r '.[]' | wc -l
}

both_stand()
{
	[ "$(candidates)" = 2 ]
}

# The lock is taken the moment that the warden's death frees it.
lock_is_awaited()
{
	grep -q ' -> FLOCK .*'" $(pid_of "$MASTER" lock) " /proc/locks
}

pair_start lictord_start
observer_start
start "$MASTER" lock flock "$LAB_DIR/$MASTER/run/warden.lock" sleep 1000
check "another process waits for the warden's lock" wait_for 5 lock_is_awaited
kill -KILL "$(process_of "$MASTER" warden)"
check "the other host takes the role" wait_for 20 has_address "$BACKUP"
check "the log says why" grep -q 'the warden, which sets addresses, does not answer' \
    "$LAB_DIR/$MASTER/lictord.log"
check "Consul shows it as master" wait_for 5 consul_shows master "$BACKUP"
pkill -KILL -P "$(pid_of "$MASTER" lock)"
stop "$MASTER" lock
check "with a warden again the old master is backup" wait_for 20 settled
check "and stands for the role" wait_for 10 both_stand
check "the address stays where it is" has_address "$BACKUP"
check "never two holders" never_two "$(observer_stop)"
tap_end
