#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The bpf fence against who takes it away and who comes in by another door. It is torn down
# again and again while the lease runs and while it runs out: never is there an answer after the
# deadline. All of lictord frozen, the host is mute on every interface, though the address
# is there still. A backup, fenced itself, reaches the master all the time. An address that was
# taken out of the configuration meanwhile is not heard again.
. "${top_srcdir:-.}/tests/net/setup.sh"

command -v tc >/dev/null || tap_skip_all "the program tc is missing: install iproute2"

# How often it is torn down, and how often with a lease that runs out.
times=${LICTOR_TEARS:-10}
rounds=${LICTOR_FENCE_ROUNDS:-2}

lease=1000
late=30 # a deadline is 10 ms, /proc/uptime has another 10

boot_ms()
{
	echo $(($(now_ms) - offset))
}

fence_is()
{
	[ "$(lictorctl_at "$1" --json status | jq -r '.fence | "\(.kind) \(.ok)"')" = "bpf true" ]
}

# hooked HOST INTERFACE: both ways.
hooked()
{
	local way
	for way in ingress egress; do
		grep -q lictor <(in_host "$1" tc filter show dev "$2" "$way") || return 1
	done
}

# tear HOST: all that somebody else may remove.
tear()
{
	in_host "$1" tc qdisc del dev eth0 clsact
	! command -v nft >/dev/null || in_host "$1" nft flush ruleset
}

whole()
{
	hooked "$1" eth0 && has_address "$1"
}

# tear_often: each time until it is whole again; on the backup as well.
tear_often()
{
	local i
	for ((i = 1; i <= times; i++)); do
		tear "$MASTER"
		wait_for 5 whole "$MASTER" || return 1
		tear "$BACKUP"
		wait_for 5 hooked "$BACKUP" eth0 || return 1
	done
}

# The agent of the master does not run, its warden does; the fence is torn down until the
# lease is over, and a while longer. Then the agent, which nobody has relieved, goes on.
run_out()
{
	local agent frozen last until
	agent=$(process_of "$MASTER" agent)
	prober_start $VIP || return 1
	kill -STOP "$agent"
	frozen=$(boot_ms)
	until=$((frozen + lease + 500))
	while [ "$(boot_ms)" -lt "$until" ]; do
		tear "$MASTER" 2>/dev/null || true
	done
	prober_stop $VIP
	kill -CONT "$agent"
	last=$(prober_saw $VIP last "$MASTER")
	diag "last answer $(awk -v a="$last" -v b="$frozen" 'BEGIN { print a - b }') ms after its agent"
	awk -v a="$last" -v limit=$((frozen + lease + late)) 'BEGIN { exit !(a <= limit) }' &&
	    [ "$(prober_saw $VIP dual)" = 0 ] && wait_for 30 settled && pair_look
}

run_out_often()
{
	local i
	for ((i = 1; i <= rounds; i++)); do
		run_out || { diag "round $i failed" && return 1; }
	done
}

# cable HOST NAME: an interface of that host's own that the client has the other end of.
cable()
{
	ip link add "$2" netns "$LAB-$1" type veth peer name "$1-$2" netns "$LAB-client"
	ip -n "$LAB-$1" link set "$2" up
	ip -n "$LAB-client" link set "$1-$2" up
}

mac()
{
	in_host "$1" cat "/sys/class/net/$2/address"
}

# The ways into the master, "INTERFACE-OF-THE-CLIENT MAC WORDS".
ways=()

way()
{
	ways+=("$1 $(mac "$MASTER" "$2") $3")
}

# heard ADDRESS INTERFACE MAC
heard()
{
	local said
	said=$(in_host client "$LICTOR_BUILD/tests/tools/prober" --for 100 "$2" "$1" "$3") &&
	    ! grep -q ': answers 0' <<<"$said"
}

# each_way COMMAND...: with ADDRESS, and the interface and the MAC of each way behind it.
each_way()
{
	local way words
	for way in "${ways[@]}"; do
		read -r interface mac words <<<"$way"
		"$@" "$interface" "$mac" || { diag "$words: no" && return 1; }
	done
}

lictord_kill()
{
	local pid
	for pid in $(lictord_pids "$1"); do
		kill "-$2" "$pid" 2>/dev/null || true
	done
}

for host in $HOSTS; do
	cable "$host" eth1
	cable "$host" port
	ip -n "$LAB-$host" link add bridge type bridge forward_delay 0
	ip -n "$LAB-$host" link set port master bridge
	ip -n "$LAB-$host" link set bridge up
done
pair_start lictord_start
fence_is "$MASTER" || tap_skip_all "the bpf fence cannot be had here"
offset=$(($(boot_offset_us) / 1000))

# --- torn down ---

start "$BACKUP" asker "$LICTOR_BUILD/tests/tools/asker" $VIP 8080 5
check "the backup reaches the master" wait_for 5 grep -q "answered by $MASTER" \
    "$LAB_DIR/$BACKUP/asker.out"
rev=$(register .rev)
prober_start $VIP
check "$times times it is back, and the address behind it" tear_often
prober_stop $VIP
check "the role stays where it is" has_address "$MASTER"
check "never two holders" [ "$(prober_saw $VIP dual)" = 0 ]
diag "longest without an answer: $(prober_saw $VIP longest) ms"
check "the log says so" [ "$(log_count "$MASTER" 'fence: .* not in place on eth0')" -ge "$times" ]
check "the role has changed nothing" [ "$(register .rev)" = "$rev" ]
stop "$BACKUP" asker
silence=$(sed -n 's/^longest silence \([0-9]*\) ms.*/\1/p' "$LAB_DIR/$BACKUP/asker.out")
check "the backup reached the master all the time, but for $silence ms" at_most "$silence" \
    $((slack * 3))
check "$rounds times torn down while the lease ran out: no answer after it" run_out_often

# --- by another door ---

cable "$MASTER" late
way "$MASTER-eth1" eth1 "another interface"
way "$MASTER-port" bridge "a bridge"
way "$MASTER-late" late "an interface that came later"
check "an interface that comes later is hooked" wait_for 5 hooked "$MASTER" late
if ip -n "$LAB-$MASTER" link add macvlan link eth0 type macvlan mode bridge 2>/dev/null; then
	ip -n "$LAB-$MASTER" link set macvlan up
	way eth0 macvlan "a macvlan"
	check "a macvlan is hooked" wait_for 5 hooked "$MASTER" macvlan
else
	check "a macvlan # SKIP this kernel has none" true
fi
if ip -n "$LAB-$MASTER" link add vlan link eth1 type vlan id 5 2>/dev/null; then
	ip -n "$LAB-$MASTER" link set vlan up
	ip -n "$LAB-client" link add vlan link "$MASTER-eth1" type vlan id 5
	ip -n "$LAB-client" link set vlan up
	way vlan vlan "a VLAN"
else
	check "a VLAN # SKIP this kernel has none; tags of VID 0 are test_fence_wire's" true
fi
if ip -n "$LAB-$MASTER" link add bond type bond 2>/dev/null; then
	cable "$MASTER" leg
	ip -n "$LAB-$MASTER" link set leg down
	ip -n "$LAB-$MASTER" link set leg master bond
	ip -n "$LAB-$MASTER" link set bond up
	way "$MASTER-leg" bond "a bond"
else
	check "a bond # SKIP this kernel has none" true
fi
check "before, each of them answers" each_way heard $VIP
lictord_kill "$MASTER" STOP
frozen=$(boot_ms)
past()
{
	[ "$(boot_ms)" -gt $((frozen + lease + late)) ]
}
wait_for 5 past
not_heard()
{
	not heard "$@"
}
check "frozen, with the lease over, none does" each_way not_heard $VIP
check "though the address is there" has_address "$MASTER"
check "and each answers for the host's own" each_way heard "10.77.0.${ADDRESS[$MASTER]}"
lictord_kill "$MASTER" CONT
check "running again, one of both has the role" wait_for 30 settled
pair_look

# --- taken out ---

for host in $HOSTS; do
	lictord_kill "$host" KILL
done
check "killed, the master's address is there" has_address "$MASTER"
for host in $HOSTS; do
	wait_for 10 lictord_gone "$host"
	sed -i "s/vip \"$VIP\"/vip \"10.77.0.101\"/" "$LAB_DIR/$host/etc/services.d/web.conf"
	: >"$LAB_DIR/$host/lictord.log"
	lictord_start "$host"
done
fenced()
{
	[ "$(log_count "$1" 'fence: bpf')" -gt 0 ]
}
check "with another address in the configuration" wait_for 10 fenced "$MASTER"
check "it is removed" not has_address "$MASTER"
check "and not heard again" not heard $VIP eth0 "$(mac_of "$MASTER")"
check "the log says so" [ "$(log_count "$MASTER" "$VIP removed: an earlier lictord left it")" = 1 ]
VIP=10.77.0.101
check "the other address is served" wait_for 30 settled
tap_end
