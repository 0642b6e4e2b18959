#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Maintenance: Consul's, of a service and of the node, and ours. Each hands the role over
# within a second; ours survives what wipes it, and ends by itself; where both hosts are in
# maintenance, the role stays.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

# What Consul's agent on a host shows as the reason of the service's maintenance.
notes()
{
	api "$1" /v1/agent/checks | jq -er '."_service_maintenance:web".Notes'
}

notes_are()
{
	[ "$(notes "$1")" = "$2" ]
}

# The register names the backup of before, which has the address.
moved()
{
	has_address "$BACKUP" && ! has_address "$MASTER"
}

# hands_over WHAT COMMAND...: the role leaves the master because of it, soon enough by what the
# backup logs.
hands_over()
{
	local what=$1 began took
	shift
	began=$(now_ms)
	quiet "$@"
	check "$what hands the role over" wait_for 10 moved
	took=$(($(log_time "$BACKUP" 'role: .* -> master') - began))
	diag "$what: handed over after $took ms"
	check "$what: within a second" at_most "$took" $((10 * slack))
	check "$what: the other host is master" wait_for 5 consul_shows master "$BACKUP"
	check "$what: the log says it" not test "$(log_count "$MASTER" \
	    'not ready for it: (Consul has|service web is in|this host is in).* maintenance')" = 0
}

# Nothing of a host is in maintenance, and Consul shows it so.
nothing_on()
{
	lictorctl_at "$1" maintenance --json | jq -e '.list == []' && consul_shows backup "$1"
}

# gives_back WHAT COMMAND...: the old master is a good backup again.
gives_back()
{
	local what=$1
	shift
	quiet "$@"
	check "$what is over" wait_for 10 nothing_on "$MASTER"
	pair_look
}

list_has()
{
	lictorctl_at "$1" maintenance --json | jq -e ".list[] | select($2)"
}

nobody_ready()
{
	local host
	for host in $HOSTS; do
		lictorctl_at "$host" status --json |
		    jq -e '.roles[0].candidates | length == 2 and all(.ready | not)'
	done
}

# sees_unready HOST OTHER: it knows that the other one is not ready.
sees_unready()
{
	lictorctl_at "$1" status --json | jq -e --arg node "$2" \
	    '.roles[0].candidates[] | select(.node == $node) | .ready | not'
}

pair_start lictord_start
observer_start

# What "consul maint" asks for; that program takes its time to start.
hands_over "Consul's maintenance of the service" \
    api "$MASTER" "/v1/agent/service/maintenance/web?enable=true&reason=by%20hand" -X PUT
check "lictorctl shows whose it is" \
    wait_for 1 list_has "$MASTER" '.by == "consul" and .service == "web" and .reason == "by hand"'
gives_back "Consul's maintenance of the service" \
    consul_at "$MASTER" maint -disable -service=web

hands_over "Consul's maintenance of the node" \
    api "$MASTER" "/v1/agent/maintenance?enable=true" -X PUT
gives_back "Consul's maintenance of the node" consul_at "$MASTER" maint -disable

hands_over "ours" lictorctl_at "$MASTER" maintenance on web --reason "new disk"
said=$(lictorctl_at "$MASTER" maintenance --json | jq -r '"lictor: new disk (by \(.list[0].who))"')
check "Consul shows it with its reason" wait_for 5 notes_are "$MASTER" "$said"
api "$MASTER" /v1/agent/service/deregister/web -X PUT
check "it is put back when the service was wiped" wait_for 10 notes_are "$MASTER" "$said"
consul_at "$MASTER" maint -disable -service=web >/dev/null
check "it is put back when somebody ended it" wait_for 10 notes_are "$MASTER" "$said"
stop "$MASTER" lictord KILL
wait_for 10 lictord_gone "$MASTER"
lictord_start "$MASTER"
check "it survives a restart" \
    wait_for 10 list_has "$MASTER" '.service == "web" and .reason == "new disk"'
check "Consul shows it still" wait_for 5 notes_are "$MASTER" "$said"
quiet lictorctl_at "$MASTER" maintenance on web --for 1s --reason "newer disk"
check "a new reason opens no gap in Consul" notes_are "$MASTER" "$said"
gives_back "ours, by itself," true

# A master gives the role to a host that it takes to be ready.
quiet lictorctl_at "$BACKUP" maintenance on
wait_for 5 sees_unready "$MASTER" "$BACKUP"
quiet lictorctl_at "$MASTER" maintenance on
check "neither host is ready" wait_for 5 nobody_ready
sleep 0.5
check "the role stays where it is" has_address "$MASTER"
quiet lictorctl_at "$BACKUP" maintenance off
check "until a host is ready for it" wait_for 5 moved
check "never two holders" never_two "$(observer_stop)"
tap_end
