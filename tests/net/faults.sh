#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Faults of Consul, its agent and what others do to it, from a table. After each what Consul
# shows of the host is what lictor knows, at the latest 2 s after Consul is back, and somebody
# who watches from another host saw nothing but the fault itself. LICTOR_FAULT_RUNS sets how
# often (make check-long: 20), LICTOR_LONG_FAULTS=yes how long the long ones last.
. "${top_srcdir:-.}/tests/net/setup.sh"

RUNS=${LICTOR_FAULT_RUNS:-2}
HOST=web-1
# what a busy machine may add to the 2 s
LIMIT_MS=$((2000 + 20 * slack))
if [ "${LICTOR_LONG_FAULTS:-no}" = yes ]; then
	down_s=60 hung_s=30 long_runs=$(((RUNS + 3) / 4))
else
	down_s=4 hung_s=4 long_runs=1
fi

# The checks that are told, and what is true of each check.
TOLD=(web/a web/b job/c disk)
declare -A TRUTH=([web:a]="" [web:b]="" [job:c]="" [lictor:disk]=""
	[service:lictor]=passing [web:lictor]=passing [job:lictor]=passing)

configuration()
{
	local etc="$LAB_DIR/$HOST/etc"
	host_folders "$HOST"
	echo 'ttl "disk" { ttl = 1h flap-threshold = 0 }' >"$etc/lictor.conf"
	cat >"$etc/services.d/all.conf" <<-END
		service "web" {
		  port = 8080
		  tags = {"one"}
		  ttl "a" { ttl = 1h flap-threshold = 0 }
		  ttl "b" { ttl = 1h flap-threshold = 0 }
		}
		service "job" { ttl "c" { ttl = 1h flap-threshold = 0 } }
	END
}

# tell STATUS CHECK: from now on that is true.
tell()
{
	local verb id=${2/\//:}
	case $1 in
	passing) verb=pass ;;
	warning) verb=warn ;;
	critical) verb=fail ;;
	esac
	[ "$id" != disk ] || id=lictor:disk
	lictorctl_at "$HOST" "$verb" "$2" "$1" >/dev/null
	TRUTH[$id]=$1
}

tell_all()
{
	local check
	for check in "${TOLD[@]}"; do
		tell passing "$check" || return 1
	done
}

truth()
{
	local id
	for id in "${!TRUTH[@]}"; do
		echo "$id ${TRUTH[$id]}"
	done | sort
	echo "tags one"
}

# As another host's agent shows it, but Consul's own check, of which lictor knows nothing.
shown()
{
	api web-2 "/v1/health/node/$HOST" |
	    jq -r '.[] | select(.CheckID != "serfHealth") | "\(.CheckID) \(.Status)"' | sort
	api web-2 "/v1/catalog/node/$HOST" | jq -r '"tags " + (.Services.web.Tags | join(" "))'
}

# The host's own agent as well, which may have forgotten what its servers still show.
agent_shows()
{
	api "$HOST" /v1/agent/checks | jq -r '.[] | "\(.CheckID) \(.Status)"' | sort
	echo "tags one"
}

truth_shown()
{
	[ "$(agent_shows)" = "$(truth)" ] && [ "$(shown)" = "$(truth)" ]
}

watch_file()
{
	echo "$LAB_DIR/web-2/watcher.out"
}

told_and_shown()
{
	tell_all && truth_shown
}

# What the watcher saw last of each check.
watched()
{
	awk '$2 == "'$HOST'" && $3 != "serfHealth" { last[$3] = $5 }
	    END { for (id in last) if (last[id] != "-") print id, last[id] }' "$(watch_file)" | sort
}

truth_watched()
{
	[ "$(watched; echo tags one)" = "$(truth)" ]
}

# What the watcher saw beyond what the fault itself shows: lines "CHECK BEFORE AFTER".
seen_beyond()
{
	tail -n +$(($1 + 1)) "$(watch_file)" |
	    awk '$2 == "'$HOST'" && $3 != "serfHealth" { print $3, $4, $5 }' | grep -vE "^($2)$" || true
}

agent_answers()
{
	api "$HOST" /v1/catalog/nodes
}

# --- the faults: each returns when Consul is back ---

fault_killed()
{
	stop $HOST consul KILL
	consul_start $HOST
	wait_for 30 agent_answers
}

fault_left()
{
	consul_at $HOST leave >/dev/null
	wait_for 30 not kill -0 "$(pid_of $HOST consul)"
	consul_start $HOST
	wait_for 30 agent_answers
}

fault_wiped()
{
	stop $HOST consul KILL
	rm -rf "$LAB_DIR/$HOST/consul"
	consul_start $HOST
	wait_for 30 agent_answers
}

# Replaced by one that calls itself the same and has another id: the servers take nothing
# from it until the old node is deregistered, and go on showing the old one's services.
replaced()
{
	stop $HOST consul KILL
	rm -rf "$LAB_DIR/$HOST/consul"
	sed -i "s/\"node_id\": \"[^\"]*\"/\"node_id\": \"$(cat /proc/sys/kernel/random/uuid)\"/" \
	    "$LAB_DIR/$HOST/consul.json"
	consul_start $HOST
	wait_for 30 agent_answers
	tell warning web/b
}

says_replaced()
{
	grep -q "know node $HOST by another id" "$LAB_DIR/$HOST/lictord.log"
}

fault_deregistered()
{
	local service
	for service in web job; do
		api $HOST "/v1/agent/service/deregister/$service" -X PUT
	done
	api $HOST /v1/agent/check/deregister/lictor:disk -X PUT
}

fault_orphaned()
{
	api $HOST /v1/agent/service/deregister/lictor -X PUT
}

fault_retagged()
{
	api $HOST /v1/agent/service/register -X PUT -d '{"Name": "web", "Tags": ["two"]}'
}

fault_forged()
{
	api web-2 /v1/catalog/register -X PUT -d "{\"Node\": \"$HOST\", \"Address\": \"10.77.0.11\",
	    \"SkipNodeUpdate\": true, \"Check\": {\"Node\": \"$HOST\", \"CheckID\": \"web:a\",
	    \"Name\": \"a\", \"ServiceID\": \"web\", \"Status\": \"critical\"}}" >/dev/null
}

# The host among the servers that leads.
leader()
{
	local address host
	address=$(api web-2 /v1/status/leader | jq -r .)
	for host in $SERVERS; do
		[ "10.77.0.${ADDRESS[$host]}:8300" != "$address" ] || echo "$host"
	done
}

# A voter again, so that the next leader may die as well.
servers_whole()
{
	[ "$(api web-2 /v1/operator/autopilot/health | jq -r '.FailureTolerance')" = 1 ]
}

fault_leaderless()
{
	local host
	host=$(leader)
	stop "$host" consul KILL
	tell warning web/a
	tell critical web/b
	tell passing web/a
	tell passing web/b
	consul_start "$host"
	wait_for 30 api web-2 /v1/catalog/nodes
}

# Fifty changes that nobody can be told; the newest of each check is what counts.
fault_serverless()
{
	local host i end words=(critical warning passing)
	for host in $SERVERS; do
		stop "$host" consul KILL
	done
	end=$(($(now_ms) + down_s * 1000))
	for ((i = 0; i < 50; i++)); do
		tell "${words[i % 3]}" "${TOLD[i % 2]}"
		sleep "$(printf '%d.%03d' $((down_s / 50)) $((down_s * 20 % 1000)))"
	done
	tell warning web/a
	tell passing web/b
	wait_for "$down_s" past "$end"
	for host in $SERVERS; do
		consul_start "$host"
	done
	wait_for 30 agent_answers
}

past()
{
	[ "$(now_ms)" -ge "$1" ]
}

# The agent hangs. When that is longer than the ttl, it may find that lictor's check has run
# out before it takes the next heartbeat, which it makes up for in the same moment.
fault_hung()
{
	local pid end
	pid=$(pid_of $HOST consul)
	end=$(($(now_ms) + hung_s * 1000))
	kill -STOP "$pid"
	tell critical web/a
	tell warning web/a
	wait_for $((hung_s + 1)) past "$end"
	kill -CONT "$pid"
	wait_for 30 agent_answers
}

# What the watcher may see of a fault.
all='[a-z]*:[a-z]*'
come_and_go="$all (passing|warning) -|$all - (passing|warning)"
web_ab='web:[ab] [a-z]* [a-z]*'

# fault NAME RUNS ALLOWED
fault()
{
	local name=$1 runs=$2 allowed=$3 i before back took worst=0 late=0 beyond=
	for ((i = 0; i < runs; i++)); do
		tell passing web/a
		wait_for 10 truth_watched || true
		before=$(wc -l <"$(watch_file)")
		"fault_$name"
		back=$(now_ms)
		wait_for 30 truth_shown || late=1
		took=$(($(now_ms) - back))
		[ $took -le $worst ] || worst=$took
		wait_for 10 truth_watched || diag "$name: the watcher sees $(watched | paste -sd,)"
		beyond+=$(seen_beyond "$before" "$allowed")
	done
	diag "$name: $runs runs, the truth at the latest $worst ms after Consul's return"
	[ $late = 0 ] || diag "$name: truth $(truth | paste -sd,) shown $(shown | paste -sd,)"
	[ -z "$beyond" ] || diag "$name: seen as well: ${beyond//$'\n'/, }"
	check "$name: what is shown is true in time" test $late$((worst <= LIMIT_MS)) = 01
	check "$name: a watcher saw nothing else" test -z "$beyond"
}

descriptors()
{
	local pid
	for pid in $(lictord_pids $HOST); do
		ls "/proc/$pid/fd"
	done | wc -l
}

servers_three
consul_cluster
configuration
lictord_start $HOST
check "all is told and shown" wait_for 20 told_and_shown
start web-2 watcher "$LICTOR_BUILD/tests/tools/watcher" 127.0.0.1 8500 "/v1/health/node/$HOST"
check "and watched" wait_for 10 truth_watched
descriptors=$(descriptors)

fault retagged "$RUNS" ''
fault deregistered "$RUNS" "$come_and_go"
fault orphaned "$RUNS" "$come_and_go|[a-z]*:lictor (passing critical|critical passing)"
fault forged "$RUNS" 'web:a passing critical|web:a critical passing'
fault killed "$RUNS" ''
fault left "$RUNS" "$come_and_go"
fault wiped "$RUNS" "$come_and_go"
fault hung "$long_runs" "$web_ab|[a-z]*:lictor (passing critical|critical passing)"
check "the servers are whole" wait_for 40 servers_whole
fault leaderless 1 "$web_ab"
# Servers that begin anew go through their log, and show everything that ever was meanwhile:
# what a watcher sees of it is none of ours, but for its end.
fault serverless "$long_runs" "$all .*"

if [ "$long_runs" -gt 1 ]; then
	replaced
	check "another node's id is said" wait_for 30 says_replaced
	api web-2 /v1/catalog/deregister -X PUT -d "{\"Node\": \"$HOST\"}" >/dev/null
	check "the new node takes the old one's place" wait_for 90 truth_shown
fi

check "no descriptor was lost" at_most "$(descriptors)" $((descriptors + 4))
tap_end
