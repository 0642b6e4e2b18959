# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# A lab: a Consul server, two hosts and a client in network namespaces of their own on one
# bridge, so that real daemons meet a real Consul, real sockets and real addresses. Used
# by the demonstration and the network tests; any number of labs run beside each other
# (namespaces named after the lab's folder, addresses the same in each). Nothing of the
# machine's own network is touched, and lab_end leaves nothing behind.
#
# The caller sets LICTOR_BUILD (the folder of lictord, lictorctl and tests/tools) and
# CONSUL_BIN and calls lab_new, which sets a trap for the end.

# shellcheck source=tests/lib/accounts.sh
. "${BASH_SOURCE[0]%/*}/accounts.sh"

VIP=10.77.0.100
HOSTS="web-1 web-2"
SERVERS=server
declare -A ADDRESS=([server]=10 [server-2]=8 [server-3]=9 [web-1]=11 [web-2]=12 [client]=20)

# lictord refuses a configuration that a group can write
umask 022

LAB=
LAB_DIR=

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# Milliseconds of the wall clock, as in the log lines.
now_ms()
{
	local now=${EPOCHREALTIME/[.,]/}
	echo "${now%???}"
}

# wait_for LIMIT COMMAND...: until the command succeeds, at most LIMIT seconds.
wait_for()
{
	local limit=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt "$limit" ] || return 1
		sleep 0.02
	done
}

not()
{
	! "$@"
}

# in_host HOST COMMAND...: within the namespace of that host.
in_host()
{
	local host=$1
	shift
	ip netns exec "$LAB-$host" "$@"
}

# start HOST NAME COMMAND...: in the background, its output in the lab's folder.
start()
{
	local host=$1 name=$2
	shift 2
	# exec: the id is that of the command itself
	(exec ip netns exec "$LAB-$host" "$@") </dev/null \
	    >>"$LAB_DIR/$host/$name.out" 2>>"$LAB_DIR/$host/$name.log" &
	echo $! >"$LAB_DIR/$host/$name.pid"
	disown
}

# The process that start started under that name.
pid_of()
{
	cat "$LAB_DIR/$1/$2.pid"
}

# stop HOST NAME [SIGNAL]: ends what start started and waits for it.
stop()
{
	local pid
	pid=$(pid_of "$1" "$2")
	kill "-${3:-TERM}" "$pid" 2>/dev/null || true
	wait_for 30 not kill -0 "$pid"
}

# One at a time: the first ever mounts /run/netns.
netns_add()
{
	flock /run/lictor-netns.lock ip netns add "$1"
}

# One sentence where a lab cannot be; nothing if it can.
lab_impossible()
{
	local probe="lictor-probe-$$"
	if [ "$(id -u)" != 0 ]; then
		echo "network namespaces need root: run it as root"
	elif ! command -v ip >/dev/null; then
		echo "the program ip is missing: install iproute2"
	elif ! netns_add "$probe" 2>/dev/null; then
		echo "this machine does not let us make network namespaces (ip netns add fails)"
	else
		ip -n "$probe" link add probe0 type veth peer name probe1 2>/dev/null ||
		    echo "this machine has no veth interfaces (ip link add type veth fails)"
		ip netns del "$probe"
	fi
}

# A host: an interface eth0 on the lab's bridge, with an IPv4 and an IPv6 address.
host_new()
{
	local host=$1 ns="$LAB-$1" last=${ADDRESS[$1]}
	mkdir -p "$LAB_DIR/$host"
	netns_add "$ns"
	ip -n "$ns" link set lo up
	ip link add eth0 netns "$ns" type veth peer name "$host" netns "$LAB-switch"
	ip -n "$LAB-switch" link set "$host" master bridge up
	ip -n "$ns" address add "10.77.0.$last/24" dev eth0
	ip -n "$ns" address add "fd77::$last/64" dev eth0 nodad
	ip -n "$ns" link set eth0 up
}

lab_new()
{
	local host dir
	accounts_make
	# in memory where possible: what is measured is lictor, not the disk under Consul
	if [ -w /dev/shm ]; then dir=/dev/shm; else dir=/tmp; fi
	LAB_DIR=$(mktemp -d "$dir/lictor.XXXXXX")
	chmod 755 "$LAB_DIR"
	LAB=${LAB_DIR##*/}
	trap lab_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	netns_add "$LAB-switch"
	ip -n "$LAB-switch" link add bridge type bridge forward_delay 0
	ip -n "$LAB-switch" link set bridge up
	for host in server $HOSTS client; do
		host_new "$host"
	done
}

lab_namespaces()
{
	ip netns list | awk -v lab="$LAB-" 'index($1, lab) == 1 { print $1 }'
}

lab_unmount()
{
	local folder
	for folder in "$LAB_DIR"/*/run/bpf; do
		! mountpoint -q "$folder" || umount "$folder"
	done
}

# Kills all that runs in the lab's namespaces, by process id, and removes the lab.
lab_end()
{
	local ns pids
	[ -n "$LAB" ] || return 0
	trap - EXIT
	for ns in $(lab_namespaces); do
		while pids=$(ip netns pids "$ns") && [ -n "$pids" ]; do
			# shellcheck disable=SC2086 # one argument each
			kill -KILL $pids 2>/dev/null || true
			sleep 0.02
		done
		ip netns del "$ns"
	done
	lab_unmount
	rm -rf "$LAB_DIR"
	LAB=
}

# --- Consul ---

# Members of every agent's configuration, for a test to set: , "name": value
CONSUL_MORE=
# What every question to the API needs beside its path: a token.
API_OPTIONS=()

consul_conf()
{
	local host=$1 more=$2
	cat <<-END
		{ "node_name": "$host", "node_id": "$(cat /proc/sys/kernel/random/uuid)",
		  "data_dir": "$LAB_DIR/$host/consul", "bind_addr": "10.77.0.${ADDRESS[$host]}",
		  "client_addr": "127.0.0.1", "leave_on_terminate": false,
		  "performance": { "raft_multiplier": 1 }, "disable_update_check": true, $more $CONSUL_MORE }
	END
}

# Two more servers, so that one may be lost; before consul_cluster.
servers_three()
{
	SERVERS="server server-2 server-3"
	host_new server-2
	host_new server-3
}

# The addresses of the servers, as a list of JSON.
servers_json()
{
	local host
	for host in $SERVERS; do
		echo "\"10.77.0.${ADDRESS[$host]}\""
	done | paste -sd, -
}

# consul_start HOST: its agent, a server's or a client's.
consul_start()
{
	local host=$1 more
	more="\"retry_join\": [$(servers_json)], \"retry_interval\": \"1s\""
	[[ $host != server* ]] ||
	    more+=", \"server\": true, \"bootstrap_expect\": $(wc -w <<<"$SERVERS")"
	[ -e "$LAB_DIR/$host/consul.json" ] ||
	    consul_conf "$host" "$more" >"$LAB_DIR/$host/consul.json"
	start "$host" consul "$CONSUL_BIN" agent -config-file="$LAB_DIR/$host/consul.json"
}

consul_has_nodes()
{
	[ "$(api server /v1/catalog/nodes | jq length)" = "$1" ]
}

# The servers and the agents of the hosts, joined.
consul_cluster()
{
	local host
	for host in $SERVERS $HOSTS; do
		consul_start "$host"
	done
	[[ $CONSUL_MORE != *'"acl"'* ]] || acl_begin
	if ! wait_for 30 consul_has_nodes "$(wc -w <<<"$SERVERS $HOSTS")"; then
		tail -n 20 "$LAB_DIR/server/consul.out" >&2
		die "Consul did not start within 30 s"
	fi
}

# --- Consul's access control: nobody may do anything but by a token ---

# shellcheck disable=SC2034 # for CONSUL_MORE; nothing is kept, so that a change counts at once
CONSUL_ACL=', "acl": { "enabled": true, "default_policy": "deny", "token_ttl": "1ms",
    "policy_ttl": "1ms" }'

acl_bootstrap()
{
	local token
	token=$(api server /v1/acl/bootstrap -X PUT | jq -er .SecretID) &&
	    API_OPTIONS=(-H "X-Consul-Token: $token")
}

# acl_agent HOST: its Consul agent itself may do all.
acl_agent()
{
	api "$1" /v1/agent/token/agent -X PUT \
	    -d "{\"Token\":\"${API_OPTIONS[1]#*: }\"}"
}

acl_begin()
{
	local host
	wait_for 30 acl_bootstrap || die "Consul's ACLs did not start within 30 s"
	for host in $SERVERS $HOSTS; do
		wait_for 30 acl_agent "$host" || die "the agent of $host takes no token"
	done
}

# The least policy of a host, one rule a line.
acl_rules()
{
	sed -n "/^[a-z]/ { s/NODE/$1/; s/SERVICE/web/; s/ROLE/web/; p }" \
	    "${BASH_SOURCE[0]%/*}/../../etc/lictor-policy.hcl"
}

# acl_policy HOST [ID]: makes the policy of a host, or changes it, to the rules on standard
# input; prints its id.
acl_policy()
{
	jq -Rs --arg name "$1" '{ Name: $name, Rules: . }' |
	    api server "/v1/acl/policy${2:+/$2}" -X PUT -d @- | jq -r .ID
}

# secret FILE: for lictord's agent alone, which is the one in its group.
secret()
{
	! getent group lictor >/dev/null || chgrp lictor "$1"
	chmod 640 "$1"
}

# acl_token HOST: a token of the host's policy, in its token file.
acl_token()
{
	install -m 600 /dev/null "$LAB_DIR/$1/token"
	secret "$LAB_DIR/$1/token"
	api server /v1/acl/token -X PUT -d "{\"Policies\":[{\"Name\":\"$1\"}]}" |
	    jq -r .SecretID >"$LAB_DIR/$1/token"
}

# consul_at HOST ARGUMENT...: the consul command as an operator on that host types it.
consul_at()
{
	local host=$1
	shift
	in_host "$host" "$CONSUL_BIN" "$@"
}

# api HOST PATH [CURL-OPTION...]: the HTTP API of that host's agent.
api()
{
	local host=$1 path=$2
	shift 2
	in_host "$host" curl -sS --fail --max-time 5 "${API_OPTIONS[@]}" "$@" \
	    "http://127.0.0.1:8500$path"
}

# --- lictord and the service it looks after ---

service_start()
{
	start "$1" webservice "$LICTOR_BUILD/tests/tools/webservice" "$1" 8080
}

# host_folders HOST: what a lictord there finds, each folder with the owner that the package
# gives it. What it pins is not to go with its process: that is what happens to a file system
# that is mounted within "ip netns exec".
host_folders()
{
	local dir="$LAB_DIR/$1"
	mkdir -p "$dir/etc/services.d" "$dir/run/bpf" "$dir/state"
	! id lictor >/dev/null 2>&1 || chown lictor:lictor "$dir/state"
	mountpoint -q "$dir/run/bpf" ||
	    mount -t bpf -o mode=0755 none "$dir/run/bpf" 2>/dev/null ||
	    rmdir "$dir/run/bpf"
}

# For NODE_MORE, in tests of what must stay: nobody asks for a role because the machine, which
# runs other tests beside, stood still for a third of a second. The lab has the defaults.
# shellcheck disable=SC2034 # for those tests
PATIENT='failover { lease = 3250ms silence = 900ms }'

# The two files, all that a host needs. NODE_MORE, CHECK_MORE, SERVICE_MORE, VIP_MORE and
# ROLE_MORE add to them.
host_files()
{
	local host=$1 etc="$LAB_DIR/$1/etc"
	host_folders "$host"
	cat >"$etc/lictor.conf" <<-END
		defaults {
		  interval      = 500ms
		  fast-interval = 100ms
		  fall          = 2
		}${NODE_MORE:+
		$NODE_MORE}
	END
	cat >"$etc/services.d/web.conf" <<-END
		service "web" {
		  port = 8080
		  http "page" { url = "http://127.0.0.1:8080/"${CHECK_MORE:+ $CHECK_MORE} }${SERVICE_MORE:+
		  $SERVICE_MORE}
		}
		role "web" {
		  services = {"web"}
		  vip "$VIP" { interface = "eth0"${VIP_MORE:+ $VIP_MORE} }${ROLE_MORE:+
		  $ROLE_MORE}
		}
	END
}

# The daemon of a host with its folders, as its unit starts it; into the array DAEMON.
daemon_of()
{
	local dir="$LAB_DIR/$1"
	DAEMON=(env RUNTIME_DIRECTORY="$dir/run" STATE_DIRECTORY="$dir/state"
	    "$LICTOR_BUILD/lictord" -c "$dir/etc")
}

lictord_start()
{
	daemon_of "$1"
	start "$1" lictord "${DAEMON[@]}"
}

# The same under a loop that stands for systemd's Restart=always.
lictord_start_looped()
{
	daemon_of "$1"
	# shellcheck disable=SC2016 # the inner shell's arguments
	start "$1" lictord bash -c 'while :; do "$@"; done' loop "${DAEMON[@]}"
}

# is_lictord PID: by the file itself, for a chroot sees another path of it.
is_lictord()
{
	[ "/proc/$1/exe" -ef "$LICTOR_BUILD/lictord" ]
}

# is_command PID: one that the runner has made, with the runner's file and arguments until it
# executes its own.
is_command()
{
	local parent
	parent=$(awk '$1 == "PPid:" { print $2 }' "/proc/$1/status") &&
	    cmp -s "/proc/$1/cmdline" "/proc/$parent/cmdline"
} 2>/dev/null

# The ids of a host's lictord processes. Asked twice: the file may have been executed between.
lictord_pids()
{
	local pid
	for pid in $(ip netns pids "$LAB-$1"); do
		! is_lictord "$pid" || is_command "$pid" || ! is_lictord "$pid" || echo "$pid"
	done
}

# process_of HOST NAME: the number of its agent or warden.
process_of()
{
	local pid
	for pid in $(lictord_pids "$1"); do
		! grep -q "^lictord: $2" "/proc/$pid/cmdline" || echo "$pid"
	done
}

# another_process HOST NAME NUMBER: it has one, and not that one.
another_process()
{
	local now
	now=$(process_of "$1" "$2") && [ -n "$now" ] && [ "$now" != "$3" ]
}

lictord_gone()
{
	[ -z "$(lictord_pids "$1")" ]
}

# All at once; again, should one have started another in between.
lictord_kill_all()
{
	local pids
	until lictord_gone "$1"; do
		pids=$(lictord_pids "$1")
		# shellcheck disable=SC2086 # one argument each
		kill -KILL $pids 2>/dev/null || true
	done
}

lictorctl_at()
{
	local host=$1
	shift
	in_host "$host" "$LICTOR_BUILD/lictorctl" --socket "$LAB_DIR/$host/run/lictor.sock" "$@"
}

# --- what a test wants to know ---

has_address()
{
	[ -n "$(ip -n "$LAB-$1" address show dev eth0 to "${2:-$VIP}")" ]
}

# The host that holds the address.
holder()
{
	local host
	for host in $HOSTS; do
		if has_address "$host"; then
			echo "$host"
			return
		fi
	done
	return 1
}

other_of()
{
	if [ "$1" = web-1 ]; then echo web-2; else echo web-1; fi
}

mac_of()
{
	in_host "$1" cat /sys/class/net/eth0/address
}

# The nodes that Consul shows as healthy with this tag, on one line.
consul_nodes()
{
	api server "/v1/health/service/web?passing&tag=$1" | jq -r '.[].Node.Node' | sort |
	    paste -sd' ' -
}

consul_shows()
{
	[ "$(consul_nodes "$1")" = "$2" ]
}

# One host is master with the address, the other backup, and Consul shows both healthy.
settled()
{
	local master
	master=$(holder) && consul_shows master "$master" &&
	    consul_shows backup "$(other_of "$master")"
}

# The register of the role "web": a jq expression's value.
register()
{
	api server "/v1/kv/lictor/roles/web/register?raw" | jq -r "$1"
}

pair_look()
{
	# shellcheck disable=SC2034 # for the test
	MASTER=$(holder) BACKUP=$(other_of "$(holder)")
}

# pair_start HOW: both hosts with Consul, service and lictord, settled; sets MASTER and
# BACKUP. HOW is lictord_start or lictord_start_looped.
pair_start()
{
	local host
	consul_cluster
	for host in $HOSTS; do
		[ -e "$LAB_DIR/$host/etc" ] || host_files "$host"
		service_start "$host"
		"$1" "$host"
	done
	wait_for 60 settled || die "no host became master within 60 s"
	pair_look
}

# Both hosts' logs as TAP comments, for a reader of a failed test.
logs_show()
{
	local host
	for host in $HOSTS; do
		echo "# log of $host"
		tail -n 60 "$LAB_DIR/$host/lictord.log" 2>&1 | sed 's/^/# /' || true
	done
}

asker_answered()
{
	grep -q 'answered by' "$LAB_DIR/client/asker.out"
}

# asker_start ADDRESS: a client that asks each 5 ms, once it has had its first answer.
asker_start()
{
	rm -f "$LAB_DIR/client/asker.out"
	start client asker "$LICTOR_BUILD/tests/tools/asker" "$1" 8080 5
	wait_for 10 asker_answered
}

# Ends the client; prints the longest time it waited, in ms.
asker_stop()
{
	stop client asker
	sed -n 's/^longest silence \([0-9]*\) ms.*/\1/p' "$LAB_DIR/client/asker.out"
}

observer_start()
{
	start client observer "$LICTOR_BUILD/tests/tools/observer" eth0 "$VIP" \
	    "$(mac_of web-1)" "$(mac_of web-2)"
}

# Ends the observer; prints its summary.
observer_stop()
{
	stop client observer
	tail -n 1 "$LAB_DIR/client/observer.out"
}

# The time of the newest log line of a host that matches, in ms of the wall clock.
log_time()
{
	local line
	line=$(grep -E -- "$2" "$LAB_DIR/$1/lictord.log" | tail -n 1)
	[ -n "$line" ] && date -d "${line:0:23}" +%s%3N
}

# When a host published that its service had failed: the line that is logged then.
failed_at()
{
	log_time "$1" "check: .*-> critical, because"
}

# How many lines of a host's log match.
log_count()
{
	grep -c -E -- "$2" "$LAB_DIR/$1/lictord.log" || true
}

# --- the prober: who answers for an address, to the millisecond ---

# Microseconds of the wall clock less those of CLOCK_BOOTTIME, which /proc/uptime shows in
# hundredths of a second: it is exact when that changes.
boot_offset_us()
{
	local was now
	read -r was _ </proc/uptime
	now=$was
	while [ "$now" = "$was" ]; do
		read -r now _ </proc/uptime
	done
	echo $((${EPOCHREALTIME/[.,]/} - 10#${now/./} * 10000))
}

# prober_start ADDRESS [OPTION...]: asks both hosts for it; back once one has answered.
prober_start()
{
	local name=prober-$1
	rm -f "$LAB_DIR/client/$name.out"
	start client "$name" "$LICTOR_BUILD/tests/tools/prober" --events "${@:2}" eth0 "$1" \
	    "$(mac_of web-1)" "$(mac_of web-2)"
	wait_for 10 grep -q ' answers$' "$LAB_DIR/client/$name.out"
}

# Ends it; what it saw stays in a file for prober_saw.
prober_stop()
{
	stop client "prober-$1"
}

# prober_saw ADDRESS dual|unclear|longest|pause|switches, or first|last HOST: what the
# neighbours' answers of that host came to. Times are milliseconds of CLOCK_BOOTTIME; pause is
# how long the prober itself did not run.
prober_saw()
{
	local out="$LAB_DIR/client/prober-$1.out" mac
	case $2 in
	pause) sed -n 's/^dual .*own pause \([0-9.]*\) .*/\1/p' "$out" ;;
	longest) sed -n 's/^dual .*longest without any \([0-9.]*\) .*/\1/p' "$out" ;;
	first | last)
		mac=$(mac_of "$3")
		sed -n "s/^neighbour $mac: .*$2 \\([0-9.]*\\).*/\\1/p" "$out"
		;;
	*) sed -n "s/^dual .*$2 \\([0-9]*\\).*/\\1/p; s/^$2 \\([0-9]*\\) of .*/\\1/p" "$out" ;;
	esac | head -n 1
}

# The time of the newest log line of a host that matches, in ms of CLOCK_BOOTTIME.
log_boot_time()
{
	echo $(($(log_time "$1" "$2") - $(boot_offset_us) / 1000))
}
