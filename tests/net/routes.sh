#!/bin/bash
# SPDX-License-Identifier: ISC
#
# What goes with an address: its route and rule are on the master and nowhere else, over
# handovers and when all of lictord is killed; a connection to it ends on the host that it
# leaves, and the client has a new one at once.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

FAR=192.0.2.20 # behind the client
CLIENT=10.77.0.${ADDRESS[client]}
# shellcheck disable=SC2034 # for host_files
VIP_MORE="route = {\"192.0.2.0/24 via $CLIENT\", \"default via $CLIENT table 100\"}
    rule = {\"from $VIP table 100\"}"

# What our protocol number marks on that host, one a line.
marked()
{
	ip -n "$LAB-$1" -details route show table all proto 108
	ip -n "$LAB-$1" -details rule show | grep 'proto 108' || true
}

has_all()
{
	[ "$(marked "$1" | wc -l)" = 3 ] &&
	    grep -q "from $VIP lookup 100" <(ip -n "$LAB-$1" rule show) &&
	    grep -q "via $CLIENT.*src $VIP" <(ip -n "$LAB-$1" route get 192.0.2.77)
}

has_none()
{
	[ -z "$(marked "$1")" ]
}

# A client that connects, is silent until the file is there, and then asks.
connection_start()
{
	rm -f "$LAB_DIR/client"/connection.{out,log} "$LAB_DIR/client/go"
	# shellcheck disable=SC2016 # the inner shell's arguments
	start client connection bash -c 'exec 3<>"/dev/tcp/$1/8080" && echo open
		until [ -e "$2" ]; do sleep 0.02; done
		printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3' \
	    client "$VIP" "$LAB_DIR/client/go"
	wait_for 5 grep -q open "$LAB_DIR/client/connection.out"
}

# By the old master if it still could say so, otherwise by the new one, which is asked.
connection_fails()
{
	touch "$LAB_DIR/client/go"
	wait_for 5 grep -q 'reset by peer' "$LAB_DIR/client/connection.log"
}

# Connections of the service on that host to the address.
connections()
{
	in_host "$1" ss -Htn | grep -c "$VIP\]*:8080" || true
}

has_connections()
{
	[ "$(connections "$1")" = "$2" ]
}

can_end_sockets()
{
	local destroy
	destroy=$(zcat /proc/config.gz 2>/dev/null | grep INET_DIAG_DESTROY || true)
	[ "$destroy" != "# CONFIG_INET_DIAG_DESTROY is not set" ]
}

ip -n "$LAB-client" address add "$FAR/32" dev eth0
pair_start lictord_start
check "the master has the routes and the rule" wait_for 5 has_all "$MASTER"
check "the backup has none of them" has_none "$BACKUP"
check "the master reaches what is behind the route, from the address" \
    quiet in_host "$MASTER" ping -c 1 -W 2 -I "$VIP" "$FAR"

for round in 1 2; do
	connection_start
	check "$round: a connection is there" wait_for 5 has_connections "$MASTER" 1
	check "$round: switchover is accepted" quiet lictorctl_at "$MASTER" switchover web
	check "$round: the other host becomes master" \
	    wait_for 10 consul_shows master "$BACKUP"
	check "$round: it has the routes and the rule" wait_for 5 has_all "$BACKUP"
	check "$round: the old one has none of them" wait_for 5 has_none "$MASTER"
	if can_end_sockets; then
		check "$round: the old one has no connection" \
		    wait_for 5 has_connections "$MASTER" 0
		check "$round: its service listens on" \
		    quiet in_host "$MASTER" curl -sS -m 5 http://127.0.0.1:8080/
	fi
	check "$round: the client is told that it was reset" connection_fails
	check "$round: the client connects again at once" \
	    quiet in_host client curl -sS -m 1 "http://$VIP:8080/"
	check "$round: both are shown" wait_for 10 settled
	pair_look
done

# Nothing of ours came or went there but the rule.
only_the_rule_changed()
{
	stop "$MASTER" monitor
	[ "$(grep -c 'proto 108' "$LAB_DIR/$MASTER/monitor.out")" = 2 ] &&
	    [ "$(grep -c "from $VIP.*proto 108" "$LAB_DIR/$MASTER/monitor.out")" = 2 ]
}

start "$MASTER" monitor ip -details monitor route rule
warden=$(process_of "$MASTER" warden)
kill -KILL "$warden"
check "the warden alone is killed: another one runs" \
    wait_for 5 another_process "$MASTER" warden "$warden"
ip -n "$LAB-$MASTER" rule del from "$VIP"
check "a rule that somebody removes is put back by it" wait_for 10 has_all "$MASTER"
check "it has left all else as it was" only_the_rule_changed

lictord_kill_all "$MASTER"
check "all of lictord killed: the other host takes the address" \
    wait_for 40 has_address "$BACKUP"
check "it has the routes and the rule" wait_for 5 has_all "$BACKUP"
check "what is left on the dead host is marked" not has_none "$MASTER"
ip -n "$LAB-$MASTER" route add 198.51.100.0/24 dev eth0 proto 188
lictord_start "$MASTER"
check "lictord started again: nothing is left" wait_for 10 has_none "$MASTER"
check "somebody else's route is" \
    grep -q 198.51.100.0 <(ip -n "$LAB-$MASTER" route show)
check "the master has all" has_all "$BACKUP"
tap_end
