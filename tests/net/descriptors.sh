#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Two hundred checks of every kind that needs descriptors, and 64 of them for each process.
# What they ask is frozen, so that those that have begun keep theirs: the others find none.
# That is nobody's failure: unknown, said once, over by itself, and Consul sees nothing of it,
# for lictor keeps some for Consul and for lictorctl.
. "${top_srcdir:-.}/tests/net/setup.sh"
command -v dnsmasq >/dev/null || tap_skip_all "Debian's dnsmasq-base is missing"

HOSTS=server # whose log is shown
dir=$LAB_DIR/server
etc=$dir/etc
ttl=3
total=200

# checks COUNT TYPE NAME OPTION...: so many of them, named with a number.
checks()
{
	local count=$1 type=$2 name=$3 i
	shift 3
	for ((i = 0; i < count; i++)); do
		echo "$type \"$name-$i\" { $* }"
	done
}

# A datagram of the dns check's own kind: who is kept.test (RFC 1035, 4.1).
question='\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04kept\x04test\x00\x00\x01\x00\x01'

configuration()
{
	host_folders server
	cat >"$etc/lictor.conf" <<-END
		consul { ttl = ${ttl}s }
		defaults { interval = 1s fast-interval = 500ms timeout = 60s fall = 1 rise = 1 }
		$(checks 50 http own 'url = "http://127.0.0.1:8080/"')
		$(checks 20 http followed 'url = "http://127.0.0.1:8080/" follow = true')
		$(checks 30 tcp spoken 'address = "127.0.0.1:8080"' \
		    "send = 'GET / HTTP/1.0\r\n\r\n' expect = 'node server'")
		$(checks 30 udp datagram 'address = "127.0.0.1:53"' "send = '$question'")
		$(checks 20 dns asked 'server = "127.0.0.1" name = "kept.test"')
		$(checks 50 script waits "command = {\"/usr/bin/flock\", \"-s\", \"$dir/gate\", \"true\"}")
	END
}

lictord_start_limited()
{
	daemon_of server
	# shellcheck disable=SC2016 # the inner shell's arguments
	start server lictord bash -c 'ulimit -n 64 && exec "$@"' limited "${DAEMON[@]}"
}

# count EXPRESSION: of the status' checks those of which it is true.
count()
{
	lictorctl_at server --json status | jq "[.checks[] | select($1)] | length"
}

all_are()
{
	[ "$(count "$1")" = $total ]
}

# lacks NAME: some of those checks could not be run.
lacks()
{
	[ "$(count "(.name | startswith(\"$1\")) and .reason == \"local\"")" -gt 0 ]
}

consul_passing()
{
	[ "$(api server /v1/agent/checks |
	    jq '[.[] | select(.Status == "passing")] | length')" = $((total + 1)) ]
}

# The time that the processes of lictord have used, in ms.
used()
{
	local pid sum=0
	for pid in $(lictord_pids server); do
		sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
	done
	echo $((sum * 1000 / $(getconf CLK_TCK)))
}

over_is_said()
{
	[ "$(log_count server 'enough descriptors again')" = 1 ] &&
	    [ "$(log_count server 'not named can be judged again')" = 1 ]
}

configuration
: >"$dir/gate"
chmod 644 "$dir/gate"
consul_start server
service_start server
start server names dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \
    --bind-interfaces --listen-address=127.0.0.1 --user=root --pid-file= --local=/test/ \
    --host-record=kept.test,127.0.0.1,3600
lictord_start_limited
check "all pass" wait_for 30 all_are '.status == "passing"'
check "in Consul too" wait_for 10 consul_passing
first=$(lictord_pids server)
changes=$(log_count server ' -> ')

exec {gate}>"$dir/gate"
flock -x $gate
kill -STOP "$(pid_of server webservice)" "$(pid_of server names)"
for name in own followed spoken datagram asked waits; do
	check "no descriptor for some of $name" wait_for 20 lacks $name
done
before=$(used)
sleep $((ttl + 1)) # the time that is looked at
cost=$((($(used) - before) / (ttl + 1)))
diag "without descriptors lictord takes $cost ms of each second"
check "it does not spin" at_most $cost 300
check "whoever finds none stays as it was" all_are '.status == "passing"'
check "Consul hears of nothing" consul_passing
check "the log says it once" [ "$(log_count server 'no descriptor is left for a conn')" = 1 ]
check "and names a few checks" at_most "$(log_count server 'it cannot be judged: ')" 5
check "of the others that there are some" [ "$(log_count server 'more checks stay')" = 1 ]

flock -u $gate
kill -CONT "$(pid_of server webservice)" "$(pid_of server names)"
check "all recover by themselves" wait_for 20 all_are '.status == "passing" and .reason == "ok"'
check "and the log says so" wait_for 60 over_is_said
check "nothing ever changed" [ "$(log_count server ' -> ')" = "$changes" ]
check "no process died" [ "$(lictord_pids server)" = "$first" ]
check "Consul heard of nothing" consul_passing
tap_end
