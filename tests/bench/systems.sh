# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# The systems of the benchmark: for each, SYSTEM_files writes what it needs to check COUNT
# targets each INTERVAL ms (SYSTEM_why says in a few words if it cannot), SYSTEM_command
# sets the array COMMAND, and SYSTEM_ready waits for what must be there before it is
# steady. Each is set up as its users do: defaults, one process tree, a certificate
# verified where it can be. Check n (1 to COUNT) asks 127.1.0.0 + n, or runs "tick n".
#
# The caller sets KIND (http, tcp, https, script), COUNT, INTERVAL (ms), CELL (the folder
# of this run), BENCH_PROGRAMS, LICTOR_BUILD and CONSUL_BIN. See bench.sh.

PORT=8080

address_of()
{
	echo "127.1.$(($1 >> 8)).$(($1 & 255))"
}

# Milliseconds as seconds with a fraction.
seconds()
{
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

# --- the floor ---

floor_why()
{
	:
}

floor_files()
{
	:
}

floor_command()
{
	local what=$PORT
	[ "$KIND" != script ] || what=$CELL/tick
	COMMAND=("$BENCH_PROGRAMS/floor" "$KIND" "$COUNT" "$INTERVAL" "$what")
}

floor_ready()
{
	:
}

# --- lictor, with a Consul agent that is on nobody's account ---

lictor_why()
{
	:
}

lictor_check()
{
	local n=$1 address
	address=$(address_of "$n")
	case $KIND in
	http) echo "http \"c$n\" { url = \"http://$address:$PORT/\"" ;;
	tcp) echo "tcp \"c$n\" { address = \"$address:$PORT\"" ;;
	https) echo "http \"c$n\" { url = \"https://$address:$PORT/\"" \
	    "ca-file = \"$CELL/ca.pem\" server-name = \"target\"" ;;
	script) echo "script \"c$n\" { command = {\"$CELL/tick\", \"$n\"}" ;;
	esac
}

# Ten checks a service, or as many as the caller says.
lictor_files()
{
	local n each=${CHECKS_EACH:-10}
	mkdir -p "$CELL/etc/services.d" "$CELL/run" "$CELL/state"
	: >"$CELL/etc/lictor.conf"
	for ((n = 1; n <= COUNT; n++)); do
		[ $((n % each)) != 1 ] || echo "service \"s$((n / each))\" {"
		echo "$(lictor_check "$n") interval = ${INTERVAL}ms }"
		[ $((n % each)) != 0 ] && [ "$n" != "$COUNT" ] || echo "}"
	done >"$CELL/etc/services.d/bench.conf"
	start consul "$CONSUL_BIN" agent -dev -log-level=warn -node=bench
	wait_for 20 consul_leads || die "Consul did not start within 20 s: $CELL/consul.log"
}

consul_leads()
{
	[ -n "$(in_net curl -sf http://127.0.0.1:8500/v1/status/leader | tr -d '"')" ]
}

lictor_command()
{
	COMMAND=(env RUNTIME_DIRECTORY="$CELL/run" STATE_DIRECTORY="$CELL/state"
	    "$LICTOR_BUILD/lictord" -c "$CELL/etc")
}

consul_passing()
{
	[ "$(in_net curl -sf "http://127.0.0.1:8500/v1/health/state/passing" |
	    jq '[.[] | select(.CheckID | test(":c[0-9]+$"))] | length')" = "$COUNT" ]
}

lictor_ready()
{
	wait_for "${READY_SECONDS:-60}" consul_passing || complain "not all checks became passing in Consul"
}

# The process that checks: the child of the main process with most memory.
lictor_agent()
{
	pgrep -P "$1" | while read -r pid; do
		echo "$(anonymous_of "$pid") $pid"
	done | sort -rn | awk 'NR == 1 { print $2 }'
}

# --- HAProxy ---

haproxy_why()
{
	:
}

haproxy_files()
{
	local n mode=tcp
	[ "$KIND" != http ] && [ "$KIND" != https ] || mode=http
	{
		echo "global"
		echo "  maxconn 4000"
		[ "$KIND" != script ] || printf '  external-check\n  insecure-fork-wanted\n'
		printf 'defaults\n  mode %s\n' $mode
		printf '  timeout %s\n' "connect 2s" "check 2s" "server 2s" "client 2s"
		printf 'frontend none\n  bind 127.0.0.1:8404\n  default_backend bench\n'
		echo "backend bench"
		[ $mode != http ] || echo "  option httpchk GET /"
		[ "$KIND" != script ] ||
		    printf '  option external-check\n  external-check command %s\n' "$CELL/tick"
		for ((n = 1; n <= COUNT; n++)); do
			haproxy_server "$n"
		done
	} >"$CELL/haproxy.cfg"
}

haproxy_server()
{
	local n=$1 more=
	# the last argument of an external check is the server's port
	if [ "$KIND" = script ]; then
		echo "  server s$n 127.0.0.1:$n check inter ${INTERVAL}ms"
		return
	fi
	[ "$KIND" != https ] || more="ssl ca-file $CELL/ca.pem verify required verifyhost target sni str(target) check-ssl check-sni target"
	echo "  server s$n $(address_of "$n"):$PORT check inter ${INTERVAL}ms $more"
}

haproxy_command()
{
	COMMAND=(haproxy -W -db -f "$CELL/haproxy.cfg")
}

haproxy_ready()
{
	:
}

# --- keepalived ---

keepalived_why()
{
	[ "$KIND" != script ] || [ $((INTERVAL % 1000)) = 0 ] || echo "whole seconds only"
}

keepalived_real_server()
{
	printf '  real_server %s %d {\n    weight 1\n' "$(address_of "$1")" $PORT
	case $KIND in
	tcp) printf '    TCP_CHECK {\n' ;;
	http) printf '    HTTP_GET {\n' ;;
	https) printf '    SSL_GET {\n      enable_sni\n      virtualhost target\n' ;;
	esac
	[ "$KIND" = tcp ] || printf '      url {\n        path /\n        status_code 200\n      }\n'
	printf '      connect_timeout 2\n    }\n  }\n'
}

keepalived_servers()
{
	local n
	printf 'virtual_server 127.0.0.1 80 {\n  delay_loop %s\n' "$(seconds "$INTERVAL")"
	printf '  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n'
	for ((n = 1; n <= COUNT; n++)); do
		keepalived_real_server "$n"
	done
	echo "}"
}

keepalived_files()
{
	{
		printf 'global_defs {\n  router_id bench\n  script_user root\n'
		printf '  enable_script_security\n}\n'
		if [ "$KIND" = script ]; then keepalived_scripts; else keepalived_servers; fi
	} >"$CELL/keepalived.conf"
}

# Without IPVS in the kernel its checkers do not start, so they are told that there is one.
keepalived_command()
{
	COMMAND=(keepalived -n -l -f "$CELL/keepalived.conf" -p "$CELL/keepalived.pid")
	if [ "$KIND" = script ]; then
		COMMAND+=(--vrrp -r "$CELL/vrrp.pid")
		return
	fi
	COMMAND+=(--check -c "$CELL/checkers.pid")
	[ -e /proc/net/ip_vs ] ||
	    COMMAND=(env LD_PRELOAD="$BENCH_PROGRAMS/noipvs.so" "${COMMAND[@]}")
}

keepalived_scripts()
{
	local n
	for ((n = 1; n <= COUNT; n++)); do
		printf 'vrrp_script t%d {\n  script "%s %d"\n  interval %d\n}\n' "$n" \
		    "$CELL/tick" "$n" $((INTERVAL / 1000))
	done
	printf 'vrrp_instance bench {\n  interface bench0\n  virtual_router_id 8\n'
	printf '  priority 100\n  advert_int 10\n  virtual_ipaddress {\n    10.99.0.9\n  }\n'
	printf '  track_script {\n'
	seq -f '    t%g' "$COUNT"
	printf '  }\n}\n'
	in_net ip link add bench0 type veth peer name bench1
	in_net ip link set bench1 up
	in_net ip address add 10.99.0.1/24 dev bench0
	in_net ip link set bench0 up
}

keepalived_ready()
{
	:
}

# --- Consul's own checks ---

consul_why()
{
	[ "$INTERVAL" -ge 1000 ] || echo "1 s at least"
}

consul_check()
{
	local address
	address=$(address_of "$1")
	case $KIND in
	http) echo "\"http\": \"http://$address:$PORT/\"" ;;
	https) echo "\"http\": \"https://$address:$PORT/\", \"tls_skip_verify\": true" ;;
	tcp) echo "\"tcp\": \"$address:$PORT\"" ;;
	script) echo "\"args\": [\"$CELL/tick\", \"$1\"]" ;;
	esac
}

consul_files()
{
	local n comma=
	{
		echo '{ "enable_local_script_checks": true, "node_name": "bench",'
		echo '"services": [ { "name": "bench", "id": "bench", "checks": ['
		for ((n = 1; n <= COUNT; n++)); do
			echo "$comma{ \"id\": \"c$n\", \"name\": \"c$n\", $(consul_check "$n"),"
			echo "\"interval\": \"${INTERVAL}ms\", \"timeout\": \"2s\"," \
			    "\"status\": \"passing\" }"
			comma=,
		done
		echo '] } ] }'
	} >"$CELL/consul.json"
}

consul_command()
{
	COMMAND=("$CONSUL_BIN" agent -dev -log-level=warn -config-file="$CELL/consul.json")
}

consul_all()
{
	[ "$(in_net curl -sf "http://127.0.0.1:8500/v1/health/checks/bench?passing" |
	    jq length)" = "$COUNT" ]
}

consul_ready()
{
	wait_for 120 consul_all || complain "not all checks are in Consul's catalog"
}
