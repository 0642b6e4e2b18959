#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Consul's servers are gone: the master holds on by the backup's acks, longer than its lease,
# even while the backup's agent dies and starts again without having heard of Consul. When
# Consul is back, nothing has changed.
. "${top_srcdir:-.}/tests/net/setup.sh"

# By heartbeats alone.
holds_on()
{
	[ "$(lictorctl_at "$MASTER" status --json | jq '.roles[0].failsafe')" = true ]
}

acks()
{
	[ "$(lictorctl_at "$MASTER" status --json | jq '.roles[0].peers[0].answered_ms < 200')" = true ]
}

members()
{
	[ "$(register '.fence.members | join(" ")')" = "$1" ]
}

pair_start lictord_start
check "the backup is a member" wait_for 10 members "$BACKUP"
observer_start
asker_start "$VIP"
for host in $HOSTS; do
	stop "$host" consul KILL
done
stop server consul KILL
check "without Consul the master holds on" wait_for 5 holds_on
agent=$(process_of "$BACKUP" agent)
kill -KILL "$agent"
check "the backup's agent dies and is started again" \
    wait_for 10 another_process "$BACKUP" agent "$agent"
check "it acks without Consul" wait_for 5 acks
check "the address stays where it is" not wait_for 3 not has_address "$MASTER"
check "by heartbeats alone" holds_on
waited=$(asker_stop)
diag "the client waited $waited ms"
check "the client waited at most $((3 * slack)) ms" at_most "$waited" $((3 * slack))
check "never two holders" never_two "$(observer_stop)"
for host in server $HOSTS; do
	consul_start "$host"
done
check "Consul is back, and so is what it shows" wait_for 60 settled
check "the master is the same" has_address "$MASTER"
check "in the same term" test "$(log_count "$MASTER" '-> master')" = 1
tap_end
