#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Three hosts. The master is killed, and the host that takes its place is killed while it
# waits for the master's lease to end: the third takes over after a silence and a wait of
# its own, and at no moment do two hold the address.
. "${top_srcdir:-.}/tests/net/setup.sh"

# shellcheck disable=SC2034 # for the lab
HOSTS="web-1 web-2 web-3"
ADDRESS[web-3]=13

# web-1 is master, and counts both others as members.
at_rest()
{
	has_address web-1 && consul_shows backup "web-2 web-3" &&
	    [ "$(register '.fence.members | sort | join(" ")')" = "web-2 web-3" ]
}

waits()
{
	[ "$(log_count "$1" 'backup -> waiting')" -gt "$2" ]
}

host_new web-3
consul_cluster
for host in $HOSTS; do
	priority=$((400 - 100 * ${host#web-}))
	ROLE_MORE="priority = $priority" host_files "$host"
	service_start "$host"
	lictord_start "$host"
done
check "the first host is master, the others are its members" wait_for 60 at_rest
start client observer "$LICTOR_BUILD/tests/tools/observer" eth0 "$VIP" \
    "$(mac_of web-1)" "$(mac_of web-2)" "$(mac_of web-3)"
asker_start "$VIP"
waits=$(log_count web-2 'backup -> waiting')
killed=$(now_ms)
lictord_kill_all web-1
check "the second host claims the role" wait_for 10 waits web-2 "$waits"
claimed=$(now_ms)
lictord_kill_all web-2
check "the third one takes it" wait_for 10 has_address web-3
taken=$(now_ms)
waited=$(asker_stop)
diag "claimed after $((claimed - killed)) ms, taken after $((taken - killed)) ms," \
    "the client waited $waited ms"
# a silence, the time until the taker died, a silence, a stagger and a wait
if [ "$(lictorctl_at web-3 status --json | jq -r .fence.kind)" = bpf ]; then
	limit=$((1111 + 300 + 200 + 5 * slack))
else
	limit=$((4098 + 600 + 200 + 5 * slack))
fi
check "at most $limit ms after the taker died" at_most $((taken - claimed)) $limit
lictord_start web-2
lictord_start web-1
check "both come back as backups" wait_for 20 consul_shows backup "web-1 web-2"
check "the address stayed" has_address web-3
check "never two holders" never_two "$(observer_stop)"
tap_end
