# shellcheck shell=bash disable=SC2034 # WHY and others are for lab.sh
# SPDX-License-Identifier: ISC
#
# The faults of the lab, a table, and for each a function that makes it and ends it. It
# finds the lab whole, with MASTER and BACKUP set, and may leave what heals by itself:
# lab.sh waits until all is whole again, and then judges what the watchers saw in between.
# A function fails, with its reason in WHY, when something did not happen that had to. It
# may set BUDGET (ms) where only it can know it, and ALLOWED, how many double answers the
# specification lets pass.
#
# Columns: the name; which lab; how often; keepalived: is it its fault as well; the budget
# (a fault that lictord -t names, or none: no question unanswered; held: the observers ask, for
# the client is hit itself; spent: the lab is not whole again after it); the role: does it move.
SCENARIOS='
1            pair  20 both  planned  moves planned switchover
2            pair  20 both  service  moves the service is killed
3.agent      pair  20 lictor none     stays the agent is killed, and started again
3.warden     pair  20 lictor none     stays the warden is killed, and started again
3.runner     pair  20 lictor none     stays the runner is killed, and started again by systemd
3.all        pair  20 both  crash    moves all of it is killed, for good
4            pair  20 lictor isolated moves the agent is stopped (SIGSTOP) for 10 s
5            pair  20 both  crash    moves all processes of the host are stopped for 4 s
6            pair  20 both  isolated moves the host is cut off silently
7            pair  20 both  crash    moves the host loses its link
8            pair  20 both  none     stays the two hosts are cut off from one another only
8.heartbeats pair  20 lictor none     stays heartbeats are lost, all of them
9.out        pair  20 lictor isolated moves what the host sends is lost
9.in         pair  20 lictor deaf     moves what is sent to the host is lost
9.one        pair  20 lictor none     stays what the master sends to the backup is lost
10           pair  5  both  held     stays 30 % of what the host sends are lost for 60 s
10.both      pair  5  both  held     stays 30 % of what it sends and of what it is sent are lost for 60 s
11           pair  20 lictor none     stays the leader of Consul is killed
12           pair  5  lictor none     stays all servers of Consul are killed for 60 s
13           pair  20 lictor none     stays the host'\''s own Consul agent is killed, and started again
14           pair  20 lictor none     stays the host is cut off from the servers of Consul only
15           pair  5  lictor crash    moves all of it is killed while Consul has no leader
17.deleted   pair  5  lictor none     stays the register is deleted
17.restored  pair  5  lictor none     stays Consul is restored from an older snapshot
17.split     pair  5  lictor spent    any   Consul split in two clusters by its operator, the network healed
18           pair  5  lictor reboot   any   both hosts lose their power
19.reload    pair  20 lictor none     stays reload
19.upgrade   pair  20 lictor none     stays upgrade in place
3.all.600    fast  20 lictor crash    moves all of it is killed, for good, lease = 600ms
6.600        fast  20 lictor isolated moves the host is cut off silently, lease = 600ms
17.twins     guest 5  lictor crash    any   another host'\''s agent has the master'\''s name
16           three 20 lictor taker    moves who takes over dies in its wait'

# Sets WHY and fails.
but()
{
	WHY=$*
	return 1
}

# Who gave a role away does not ask for it for five seconds, by the page's section 6; a
# crash within them would measure that. When the last one was given away, in ms:
GAVE_AT=0

given()
{
	GAVE_AT=$(now_ms)
}

gave_long_ago()
{
	[ $(($(now_ms) - GAVE_AT)) -gt 5200 ]
}

# The role moves to another host within a time, in s.
moves()
{
	wait_for "$1" has_both "$BACKUP" || but "$BACKUP did not take over within $1 s"
}

fault_1()
{
	"${SYSTEM}_planned" || but "the switchover failed"
	moves 10 || return 1
	given
	[ "$SYSTEM" = lictor ] || "${SYSTEM}_start" "$MASTER"
}

# What is detection is not its budget: from the kill until the state is published.
fault_2()
{
	local killed
	killed=$(now_ms)
	stop "$MASTER" webservice KILL
	moves 10 || return 1
	given
	[ "$SYSTEM" != lictor ] || BUDGET=$((BUDGET + $(failed_at "$MASTER") - killed))
	sleep 0.2
	service_start "$MASTER"
}

process_is_new()
{
	local now
	now=$(process "$1" "$2")
	[ -n "$now" ] && [ "$now" != "$3" ]
}

# Longer than the lease: what is not adopted would be gone by then.
kill_one()
{
	local old
	old=$(process "$MASTER" "$1")
	kill -KILL "$old" || but "there is no $1"
	wait_for 10 process_is_new "$MASTER" "$1" "$old" || but "the $1 was not started again"
	sleep 2
}

fault_3.agent() { kill_one agent; }
fault_3.warden() { kill_one warden; }
fault_3.runner() { kill_one runner; }

fault_3.all()
{
	"${SYSTEM}_kill" "$MASTER"
	moves 10 || return 1
	sleep 0.2
	"${SYSTEM}_start" "$MASTER"
}

fault_3.all.600() { fault_3.all; }

fault_4()
{
	local agent
	agent=$(process "$MASTER" agent)
	kill -STOP "$agent"
	moves 10 || return 1
	sleep 8
	kill -CONT "$agent" 2>/dev/null || true # the runner may have killed it
}

fault_5()
{
	signal_host "$MASTER" STOP
	moves 10 || return 1
	sleep 1
	signal_host "$MASTER" CONT
}

# Until the other one has it, and a second more; then healed.
cut_until_moved()
{
	moves 10 || return 1
	sleep 1
	cut_heal
}

fault_6()
{
	cut_off "$MASTER"
	cut_until_moved
}

fault_6.600() { fault_6; }

# Who sees its link go gives the role away at once, though it can tell nobody.
fault_7()
{
	ip -n "$LAB-switch" link set "$MASTER" down
	moves 10 || return 1
	given
	sleep 1
	ip -n "$LAB-switch" link set "$MASTER" up
}

# cut_for SECONDS
cut_for()
{
	sleep "$1"
	cut_heal
}

fault_8()
{
	cut_between "$MASTER" "$BACKUP"
	cut_for 5
}

fault_8.heartbeats()
{
	cut_heartbeats
	cut_for 5
}

fault_9.out()
{
	cut_out "$MASTER"
	cut_until_moved
}

fault_9.in()
{
	cut_in "$MASTER"
	cut_until_moved
}

fault_9.one()
{
	cut_one_way "$MASTER" "$BACKUP"
	cut_for 5
}

fault_10()
{
	cut_out "$MASTER" "numgen random mod 100 < 30"
	cut_for 60
}

fault_10.both()
{
	cut_out "$MASTER" "numgen random mod 100 < 30"
	cut_in "$MASTER" "numgen random mod 100 < 30"
	cut_for 60
}

# --- Consul ---

# leader_of SERVER: the host that leads, as that one knows.
leader_of()
{
	local leader host
	leader=$(api "$1" /v1/status/leader | tr -d '"')
	for host in $SERVERS; do
		[ "${leader%:*}" != "10.77.0.${ADDRESS[$host]}" ] || echo "$host"
	done
}

# has_leader SERVER [NOT]
has_leader()
{
	local leader
	leader=$(leader_of "$1")
	[ -n "$leader" ] && [ "$leader" != "${2:-}" ]
}

servers_whole()
{
	api server /v1/operator/autopilot/health | jq -e .Healthy
}

# The servers but those named, one a line.
servers_but()
{
	local host
	for host in $SERVERS; do
		[[ " $* " == *" $host "* ]] || echo "$host"
	done
}

servers_return()
{
	local host
	for host in "$@"; do
		consul_start "$host"
	done
	wait_for 60 servers_whole || but "Consul's servers did not come back within 60 s"
}

fault_11()
{
	local leader other
	leader=$(leader_of server)
	other=$(servers_but "$leader" | head -n 1)
	stop "$leader" consul KILL
	wait_for 30 has_leader "$other" "$leader" || but "Consul chose no leader" || return 1
	servers_return "$leader"
}

fault_12()
{
	local host
	for host in $SERVERS; do
		stop "$host" consul KILL
	done
	sleep 60
	# shellcheck disable=SC2086 # one argument each
	servers_return $SERVERS
}

fault_13()
{
	stop "$MASTER" consul KILL
	sleep 2
	consul_start "$MASTER"
	wait_for 30 api "$MASTER" /v1/catalog/nodes || but "its Consul agent did not come back"
}

fault_14()
{
	# shellcheck disable=SC2086 # one argument each
	cut_between "$MASTER" $SERVERS
	cut_for 5
}

# Nobody can take over before there is a leader: that time is added to the budget.
fault_15()
{
	local leader second killed
	leader=$(leader_of server)
	second=$(servers_but "$leader" | tail -n 1)
	stop "$leader" consul KILL
	stop "$second" consul KILL
	killed=$(now_ms)
	"${SYSTEM}_kill" "$MASTER"
	sleep 3
	consul_start "$leader"
	consul_start "$second"
	wait_for 60 has_leader "$leader" || but "Consul chose no leader" || return 1
	BUDGET=$((BUDGET + $(now_ms) - killed))
	moves 30 || return 1
	wait_for 60 servers_whole || but "Consul's servers did not come back"
	"${SYSTEM}_start" "$MASTER"
}

# who_claims: the host that the register names and that is not the one that is fenced.
who_claims()
{
	role_now server | jq -er '.register | select(.fence != null and .holder != "" and
	    .holder != .fence.node) | .holder'
}

fault_16()
{
	local taker
	"${SYSTEM}_kill" "$MASTER"
	wait_for 10 who_claims || but "nobody claimed" || return 1
	taker=$(who_claims) || but "its wait was over too soon" || return 1
	"${SYSTEM}_kill" "$taker"
	for BACKUP in $HOSTS; do
		[ "$BACKUP" = "$MASTER" ] || [ "$BACKUP" = "$taker" ] || break
	done
	moves 10 || return 1
	"${SYSTEM}_start" "$MASTER"
	"${SYSTEM}_start" "$taker"
}

fault_17.deleted()
{
	api "$BACKUP" /v1/kv/lictor/roles/web/register -X DELETE >/dev/null
	wait_for 10 role_back || but "nobody made the register anew"
	sleep 2
}

role_back()
{
	role_now server | jq -e --arg master "$MASTER" '.register.fence.node == $master'
}

# The snapshot is of a time when the other host was master.
fault_17.restored()
{
	local snapshot="$LAB_DIR/snapshot"
	consul_at server snapshot save "$snapshot" >/dev/null || but "no snapshot" || return 1
	"${SYSTEM}_planned" && moves 10 || but "the switchover failed" || return 1
	given
	wait_for 30 "${SYSTEM}_whole" || but "it was not whole after the switchover" || return 1
	WAS=$MASTER
	watch_begin
	consul_at server snapshot restore "$snapshot" >/dev/null || but "not restored" || return 1
	wait_for 10 role_back || but "the register stayed the old one"
	sleep 2
}

# cluster_alone SERVER: its operator tells it that it is the only one (Consul's outage
# recovery, raft/peers.json).
cluster_alone()
{
	stop "$1" consul KILL
	printf '[{ "id": "%s", "address": "10.77.0.%s:8300", "non_voter": false }]\n' \
	    "$(jq -r .node_id "$LAB_DIR/$1/consul.json")" "${ADDRESS[$1]}" >"$LAB_DIR/$1/consul/raft/peers.json"
	consul_start "$1"
	wait_for 30 has_leader "$1"
}

# The master with one server on one side, all else on the other: both sides have a cluster
# in the end, and a master. What is counted begins when the network is healed; until then
# nothing can help. The page gives them 0.1 s, which is a heartbeat: here the hosts have to
# find one another's MAC first, for which the kernel asks once a second (retrans_time_ms).
fault_17.split()
{
	local side
	for side in "$MASTER" server; do
		cut_between "$side" "$BACKUP" server-2 server-3
	done
	moves 20 || return 1
	cluster_alone server || but "Consul did not recover" || return 1
	wait_for 60 has_both "$MASTER" || but "the side that was recovered has no master" || return 1
	ALLOWED=1100 BUDGET=$(budget crash)
	watch_begin
	cut_heal
	wait_for 5 one_holder || but "both held on"
	sleep 2
}

# The page gives both of them half a second together; then the third one may take over.
fault_17.twins()
{
	lictor_files "$GUESTS" "$MASTER"
	service_start "$GUESTS"
	lictor_start "$GUESTS"
	ALLOWED=500
	sleep 5
	lictor_kill "$GUESTS"
	lictor_kill "$MASTER"
	wait_for 20 has_any "$BACKUP" || but "nobody took over"
	stop "$GUESTS" webservice
	lictor_start "$MASTER"
}

# Nothing of it is left but what was on its disk.
power_off()
{
	signal_host "$1" KILL
	ip -n "$LAB-switch" link del "$1"
	ip netns del "$LAB-$1"
	! mountpoint -q "$LAB_DIR/$1/run/bpf" || umount "$LAB_DIR/$1/run/bpf"
	rm -rf "$LAB_DIR/$1/run"
}

power_on()
{
	lab_host "$1"
	host_folders "$1"
	consul_start "$1"
	service_start "$1"
	"${SYSTEM}_start" "$1"
}

fault_18()
{
	local host
	for host in $HOSTS; do
		power_off "$host"
	done
	sleep 1
	for host in $HOSTS; do
		power_on "$host"
	done
	wait_for 60 one_holder || but "nobody took the role within 60 s"
}

fault_19.reload()
{
	local extra="$LAB_DIR/$MASTER/etc/services.d/extra.conf"
	echo 'service "extra" { port = 9 script "yes" { command = {"/bin/true"} } }' >"$extra"
	lictorctl_at "$MASTER" reload >/dev/null || but "the reload failed"
	sleep 1
	rm "$extra"
	lictorctl_at "$MASTER" reload >/dev/null || but "the second reload failed"
	sleep 1
}

fault_19.upgrade()
{
	local old
	old=$(process "$MASTER" agent)
	lictorctl_at "$MASTER" upgrade >/dev/null || but "the upgrade failed" || return 1
	wait_for 10 process_is_new "$MASTER" agent "$old" || but "there is no new agent"
	sleep 2
}
