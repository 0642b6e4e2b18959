#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Which kind of fence it is. On one host bpf can be had; on the other somebody's plain ingress
# qdisc keeps it out, and it is lifetime, with a line that says why. Both work together. The
# kind stays through deaths and reloads; bpf demanded where it cannot be had is not ready.
. "${top_srcdir:-.}/tests/net/setup.sh"

log_of()
{
	echo "$LAB_DIR/$1/lictord.log"
}

# said HOST TEXT: the one line about its fence.
said()
{
	grep -qE " fence: $2\$" "$(log_of "$1")"
}

said_once()
{
	[ "$(grep -c ' fence: ' "$(log_of "$1")")" = 1 ]
}

# fence HOST EXPRESSION: of the status as JSON.
fence()
{
	lictorctl_at "$1" --json status | jq -r ".fence | $2"
}

# is HOST KIND: known and in place.
is()
{
	[ "$(fence "$1" '"\(.kind) \(.ok)"')" = "$2 true" ]
}

status_says()
{
	grep -qE "^fence: $2\$" <(lictorctl_at "$1" status)
}

ready()
{
	[ "$(lictorctl_at "$1" --json status | jq -r '.roles[0].ready')" = "$2" ]
}

replace_warden()
{
	local old
	old=$(process_of "$1" warden)
	kill -KILL "$old"
	wait_for 5 another_process "$1" warden "$old"
}

asks_for()
{
	sed -i "s/fence = [a-z]*/fence = $2/" "$LAB_DIR/$1/etc/lictor.conf"
}

# tested HOST TEXT: the line of lictord -t about the fence.
tested()
{
	grep -qE "^fence $2\$" \
	    <(in_host "$1" "$LICTOR_BUILD/lictord" -t -c "$LAB_DIR/$1/etc" 2>&1)
}

grep -q 'define HAVE_BPF 1' "$LICTOR_BUILD/config.h" ||
    tap_skip_all "this lictord was built without bpf"
for host in $HOSTS; do
	NODE_MORE='failover { fence = auto lease = 600ms }' host_files "$host"
done
check "lictord -t names both" tested web-1 \
    'auto: bpf .* 600 ms, else lifetime, with 2250 ms'
in_host web-2 tc qdisc add dev eth0 ingress
pair_start lictord_start

check "bpf is taken where it can be had" said web-1 'bpf, because this host can have it'
check "the status says so" status_says web-1 \
    'bpf, because this host can have it; lease 600 ms, at most 10 ms late'
check "lifetime where it cannot, with the reason and another lease" said web-2 \
    'lifetime, because .*eth0.*; the lease is 2250 ms, for 600 ms does not suit it'
check "its status says so" status_says web-2 \
    'lifetime, because .*eth0.*; lease 2250 ms, at most 1500 ms late'

observer_start
for round in 1 2; do
	check "$round: switchover is accepted" quiet lictorctl_at "$MASTER" switchover web
	check "$round: from one kind to the other" wait_for 10 consul_shows master "$BACKUP"
	check "$round: both are shown" wait_for 10 settled
	pair_look
done
in_host web-2 tc qdisc del dev eth0 ingress
for host in $HOSTS; do
	kind=$(fence "$host" .kind)
	check "$host: another warden" replace_warden "$host"
	check "$host: its kind is the same" wait_for 5 is "$host" "$kind"
	check "$host: one line was said" said_once "$host"
done
check "the role stayed or came back" wait_for 20 settled
check "never two holders" never_two "$(observer_stop)"

asks_for web-1 bpf
check "another kind needs a restart" not quiet lictorctl_at web-1 reload
check "the log says so" grep -q 'fence: it was changed, which needs a restart' \
    "$(log_of web-1)"
check "and it is what it was" is web-1 bpf

sed -i 's/lease = 600ms/lease = 700ms/' "$LAB_DIR/web-2/etc/lictor.conf"
check "a reload with another lease" quiet lictorctl_at web-2 reload
check "that does not suit it either, which is said" said web-2 \
    'lifetime; the lease is 2250 ms, for 700 ms does not suit it'

asks_for web-2 bpf
check "lictord -t names the one" tested web-2 'bpf: a lease of 700 ms'
stop web-2 lictord
in_host web-2 tc qdisc add dev eth0 ingress
lictord_start web-2
check "demanded where it cannot be had: not ready" wait_for 10 ready web-2 no
check "the status says why" status_says web-2 \
    'bpf cannot be had, no address can be held: .*eth0.*'
check "web-1 has the role" wait_for 20 has_address web-1
in_host web-2 tc qdisc del dev eth0 ingress
check "ready once it can" wait_for 10 ready web-2 yes
check "and it is bpf" is web-2 bpf
check "the log says that too" said web-2 'bpf, which can be had again'
tap_end
