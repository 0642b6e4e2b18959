# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# What the lab is run with: lictor, or keepalived as its yardstick, each with the same
# words: SYSTEM_start HOST, SYSTEM_kill HOST (all of it, for good), SYSTEM_planned (the master
# gives to the backup), SYSTEM_pids HOST, SYSTEM_whole (as it should be, all of it).

VIP6=fd77::100

# Both addresses, or neither.
has_both()
{
	has_address "$1" && has_address "$1" $VIP6
}

has_any()
{
	has_address "$1" || has_address "$1" $VIP6
}

# The hosts with an address, one a line.
holders()
{
	local host
	for host in $HOSTS; do
		! has_any "$host" || echo "$host"
	done
}

# One host has both addresses, no other has any; sets MASTER and BACKUP, a host that is not.
one_holder()
{
	local master host
	master=$(holders)
	[ -n "$master" ] && [ "$(wc -l <<<"$master")" = 1 ] && has_both "$master" || return 1
	MASTER=$master
	for host in $HOSTS; do
		[ "$host" = "$master" ] || BACKUP=$host
	done
}

# signal_host HOST SIGNAL: to all that runs there.
signal_host()
{
	local pids
	pids=$(ip netns pids "$LAB-$1")
	# shellcheck disable=SC2086 # one argument each
	kill "-$2" $pids
}

# In place of net.sh's: what is measured is who has the address, so the service answers at
# once, however busy the machine is.
service_start()
{
	start "$1" webservice chrt --fifo 5 "$LICTOR_BUILD/tests/tools/webservice" "$1" 8080
}

# --- lictor ---

# lictor_files HOST [NODE]: another name than its own. It fails again and again here: that is
# neither flapping nor too often.
lictor_files()
{
	local host=$1
	# shellcheck disable=SC2034 # for host_files
	local ROLE_MORE="vip \"$VIP6\" { interface = \"eth0\" } limit = 0" CHECK_MORE='flap-threshold = 0'
	# shellcheck disable=SC2034
	local NODE_MORE="${2:+node = \"$2\"}${LEASE:+ failover { lease = $LEASE \}}"
	host_files "$host"
}

lictor_boot()
{
	local host
	HOSTS="$HOSTS $GUESTS" consul_cluster
	for host in $HOSTS; do
		lictor_files "$host"
		service_start "$host"
		lictor_start "$host"
	done
}

lictor_start()
{
	lictord_start_looped "$1"
}

# The loop first, which would start it again.
lictor_kill()
{
	local pids
	kill -KILL "$(pid_of "$1" lictord)" 2>/dev/null || true
	until lictord_gone "$1"; do
		pids=$(lictord_pids "$1")
		# shellcheck disable=SC2086 # one argument each
		kill -KILL $pids 2>/dev/null || true
	done
}

lictor_planned()
{
	lictorctl_at "$MASTER" switchover web >/dev/null
}

# process HOST NAME: the id of its agent, warden or runner.
process()
{
	local pid title
	for pid in $(lictord_pids "$1"); do
		title=$(tr '\0' ' ' <"/proc/$pid/cmdline")
		case $title in
		"lictord: $2 "*) echo "$pid" ;;
		"lictord: "*) ;;
		*) [ "$2" != runner ] || echo "$pid" ;;
		esac
	done
}

# What Consul has of the role: its register and who stands for it, as one object.
role_now()
{
	api "${1:-$BACKUP}" "/v1/kv/lictor/roles/web/?recurse" |
	    jq -c '[.[] | { key: (.Key | ltrimstr("lictor/roles/web/")),
		value: (.Value | @base64d | fromjson) }] | from_entries'
}

# After a cut Consul's agent of a host may hang for seconds: what comes next is another fault.
consul_answers()
{
	local host
	for host in $HOSTS; do
		lictorctl_at "$host" status --json | jq -e .consul.answers || return 1
		api "$host" "/v1/kv/lictor/roles/web/register?consistent" --max-time 0.5 || return 1
	done
}

# The register names that host, all hosts stand ready, and its acks may carry the hold: all
# others are members.
lictor_whole()
{
	one_holder && consul_answers || return 1
	role_now server | jq -e --arg master "$MASTER" --arg hosts "$HOSTS" '
	    ($hosts | split(" ")) as $all | .register as $r | . as $role |
	    $r.holder == $master and $r.fence.node == $master and
	    all($all[]; $role["candidates/" + .].ready == true) and
	    ($r.fence.hb != true or ($r.fence.members | sort) == ($all - [$master] | sort))'
}

# --- keepalived ---

keepalived_boot()
{
	local host
	for host in $HOSTS; do
		keepalived_files "$host"
		service_start "$host"
		keepalived_start "$host"
	done
}

# As its manual has it: a script of its own for the service, nobody takes back what another
# one has; the second address rides along.
keepalived_files()
{
	# shellcheck disable=SC2153 # net.sh's
	local dir="$LAB_DIR/$1" first=$VIP last=${ADDRESS[$1]}
	install -m 755 /dev/stdin "$dir/page" <<-'END'
		#!/bin/sh
		exec curl -sf -m 1 -o /dev/null http://127.0.0.1:8080/
	END
	cat >"$dir/keepalived.conf" <<-END
		global_defs {
		  router_id $1
		  script_user root
		  enable_script_security
		  vrrp_version 3
		}
		vrrp_script page { script "$dir/page" interval 1 fall 1 rise 1 }
		vrrp_instance web {
		  state BACKUP
		  nopreempt
		  interface eth0
		  virtual_router_id 51
		  priority $((100 + last))
		  advert_int $ADVERT
		  virtual_ipaddress { $first/32 dev eth0 }
		  virtual_ipaddress_excluded { $VIP6/128 dev eth0 }
		  track_script { page }
		}
	END
}

keepalived_start()
{
	local dir="$LAB_DIR/$1"
	start "$1" keepalived keepalived -n -l -P -f "$dir/keepalived.conf" \
	    -p "$dir/keepalived.run" -r "$dir/vrrp.run"
}

keepalived_pids()
{
	local pid
	for pid in $(ip netns pids "$LAB-$1"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != keepalived ] || echo "$pid"
	done
}

keepalived_kill()
{
	local pids
	pids=$(keepalived_pids "$1")
	# shellcheck disable=SC2086 # one argument each
	kill -KILL $pids
	rm -f "$LAB_DIR/$1"/*.run
}

# It has no switchover: a stop of the master, which says goodbye.
keepalived_planned()
{
	stop "$MASTER" keepalived
}

keepalived_whole()
{
	local host
	one_holder || return 1
	for host in $HOSTS; do
		[ -n "$(keepalived_pids "$host")" ] || return 1
	done
}
