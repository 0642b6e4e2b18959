#!/bin/bash
# SPDX-License-Identifier: ISC
#
# lictord without root: checks and reporting need none. No right is asked for, no user looked
# for, and the agent's calls are filtered all the same.
. "${top_srcdir:-.}/tests/net/setup.sh"

HOSTS=server # whose log is shown
etc=$LAB_DIR/server/etc
user=65534 # nobody's

configuration()
{
	host_folders server
	cat >"$etc/lictor.conf" <<-END
		defaults { interval = 300ms fast-interval = 100ms fall = 1 rise = 1 }
		script "who" { command = {"/bin/sh", "-c", "echo user \$(id -u)"} }
		service "web" {
		  port = 8080
		  http "page" { url = "http://127.0.0.1:8080/" }
		}
	END
	chown "$user" "$LAB_DIR/server/run" "$LAB_DIR/server/state"
}

# The field of each process of lictord, as the kernel tells it.
fields()
{
	local pid
	for pid in $(lictord_pids server); do
		sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"
	done | sort | paste -sd' ' -
}

# one CHECK NAME VALUE: what the status says of it
one()
{
	lictorctl_at server --json status |
	    jq -e "(.checks[], .services[].checks[]) | select(.name == \"$1\") |
	        .$2 == \"$3\"" >/dev/null
}

consul_says()
{
	[ "$(api server /v1/agent/checks | jq -r ".\"$1\".Status")" = "$2" ]
}

configuration
consul_start server
service_start server
daemon_of server
start server lictord setpriv --reuid="$user" --regid="$user" --clear-groups \
    --bounding-set=-all --inh-caps=-all "${DAEMON[@]}"
check "a service's check reaches Consul" wait_for 30 consul_says web:page passing
check "a command runs as who started lictord" wait_for 10 one who output "user $user"
stop server webservice
check "what fails reaches Consul" wait_for 10 consul_says web:page critical
check "there are two processes, both that user's" \
    test "$(fields Uid | tr '\t' ' ')" = "$user $user $user $user $user $user $user $user"
check "none has a capability" test "$(fields CapPrm)" = "$(printf '%016d %016d' 0 0)"
check "the agent alone can gain nothing" test "$(fields NoNewPrivs)" = "0 1"
check "users that are not looked for are not missed" \
    test "$(log_count server 'warning runner|error')" = 0
check "it ends when told" stop server lictord

echo 'role "web" { services = {"web"} vip "10.77.0.100" { interface = "eth0" } }' \
    >>"$etc/lictor.conf"
start server lictord setpriv --reuid="$user" --regid="$user" --clear-groups \
    --bounding-set=-all --inh-caps=-all "${DAEMON[@]}"
check "an address that it may not set is said" \
    wait_for 10 grep -q 'no address can be set here' "$LAB_DIR/server/lictord.log"
service_start server
check "what needs no right goes on" wait_for 10 consul_says web:page passing
check "it was said once, and nothing died of it" \
    test "$(log_count server 'no address can be set|died')" = 1
stop server lictord
tap_end
