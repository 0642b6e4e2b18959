#!/bin/bash
# SPDX-License-Identifier: ISC
#
# What an address costs those who use it: a client that sends a number each millisecond, over
# one TCP connection and by UDP, misses none while the lease is extended and the address
# refreshed in the kernel, under either fence. Then what the fence's program costs a packet,
# as the kernel itself measures it. LICTOR_REFRESH_S: for so many seconds.
. "${top_srcdir:-.}/tests/net/setup.sh"

seconds=${LICTOR_REFRESH_S:-5}
port=9099

# lost_nothing: by the client's own count, of as many as it must have sent.
lost_nothing()
{
	local out="$LAB_DIR/client/pulse.out"
	sed 's/^/# /' "$out"
	[ "$(grep -c ': sent [0-9]*, lost 0, ' "$out")" = 2 ] &&
	    awk -v least="$((seconds * 900))" '{ if ($3 + 0 < least) bad = 1 } END { exit bad }' "$out"
}

# A machine that is too busy loses a lease, or drops an address that took too long to set;
# lictord says so, and that is no cost of refreshing.
too_busy()
{
	grep -E 'it took too long to set it|the lease could not be confirmed' \
	    "$LAB_DIR/web-1/lictord.log" | sed 's/^/# too busy: /' | grep .
}

has_fence()
{
	lictorctl_at "$MASTER" --json status |
	    jq -e --arg kind "$1" '.fence.kind == $kind and .fence.ok'
}

listens()
{
	[ -n "$(in_host web-1 ss -Hltn "sport = :$port")" ]
}

pulse()
{
	rm -f "$LAB_DIR/client/pulse.out"
	start client pulse "$LICTOR_BUILD/tests/tools/pulse" "$VIP" $port
	sleep "$seconds"
	stop client pulse
}

# The line of its own test, that runs it a million times within the kernel.
cost()
{
	"$LICTOR_BUILD/tests/unit/test_fence_program" 2>&1 | grep -i 'ns' | grep '^#'
}

for fence in bpf lifetime; do
	for host in $HOSTS; do
		NODE_MORE="failover { fence = $fence }" host_files "$host"
	done
	if [ $fence = bpf ]; then
		consul_cluster
		service_start web-1
	fi
	lictord_start web-1
	if ! wait_for 20 has_address web-1; then
		diag "fence = $fence: skipped: $(grep -m 1 fence "$LAB_DIR/web-1/lictord.log")"
		stop web-1 lictord
		continue
	fi
	MASTER=web-1
	check "$fence: it is the fence" quiet has_fence $fence
	start web-1 answer "$LICTOR_BUILD/tests/tools/pulse" --answer "$VIP" $port
	wait_for 5 listens
	pulse
	if ! lost_nothing && too_busy; then
		diag "$fence: the machine was too busy to tell"
	else
		check "$fence: nothing is lost in $seconds s" lost_nothing
	fi
	stop web-1 answer
	stop web-1 lictord
	check "$fence: lictord ends" wait_for 10 lictord_gone web-1
done
cost || true
tap_end
