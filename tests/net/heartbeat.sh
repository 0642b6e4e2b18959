#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Heartbeats between real hosts: recordings of a dead master hold nobody up, another key and
# another version are refused and said, a firewall is found and named, a new key loses no
# answer, IPv4 and IPv6 alike. No address moves for any of it.
. "${top_srcdir:-.}/tests/net/setup.sh"

PARROT="$LICTOR_BUILD/tests/tools/parrot"

# peer HOST EXPRESSION: of the other host, in the status of HOST.
peer()
{
	lictorctl_at "$1" status --json |
	    jq -e ".roles[0].peers[] | select(.node == \"$(other_of "$1")\") | $2"
}

# Each has heard the other, and been answered.
in_touch()
{
	local host
	for host in $HOSTS; do
		quiet peer "$host" '.heard_ms < 6000 and .answered_ms < 6000 and .fact == ""'
	done
}

# members HOST...: the register's.
members_are()
{
	[ "$(register '.fence.members | sort | join(" ")')" = "$*" ]
}

said()
{
	grep -q -- "$2" "$LAB_DIR/$1/lictord.log"
}

times_said()
{
	grep -c -- "$2" "$LAB_DIR/$1/lictord.log" || true
}

fact()
{
	peer "$1" "(.fact | test(\"$2\"))"
}

secret_key()
{
	api server "/v1/kv/lictor/heartbeat-key?raw" | jq -r .sign
}

key_is_new()
{
	local now
	now=$(api server "/v1/kv/lictor/heartbeat-key?raw" | jq -r 'select(.rotating | not).sign')
	[ -n "$now" ] && [ "$now" != "$KEY" ]
}

refused()
{
	peer "$1" .refused
}

pair_start lictord_start
check "the hosts hear each other" wait_for 20 in_touch
check "the other host is a member" wait_for 10 members_are "$BACKUP"
observer_start

# another version
KEY=$(secret_key)
for _ in 1 2 3; do
	in_host client "$PARROT" version 2 "$BACKUP" "$KEY" "10.77.0.${ADDRESS[$MASTER]}" 8521
done
check "another version is said" \
    wait_for 5 said "$MASTER" "$BACKUP speaks version 2 of heartbeats, and this host version 1"
check "and over soon" wait_for 5 said "$MASTER" "$BACKUP is heard again"
check "it is said once" [ "$(times_said "$MASTER" "speaks version 2")" = 1 ]
check "it is heard again" wait_for 5 in_touch

# a new key; every answer on the way counts
check "a new key is begun" quiet lictorctl_at "$BACKUP" key rotate
check "it signs after a while" wait_for 20 key_is_new
check "the hosts hear each other with it" in_touch
check "nothing was refused for it" [ "$(refused "$MASTER") $(refused "$BACKUP")" = "0 0" ]
check "nor said" not said "$MASTER" "another key"
check "the member stays one" members_are "$BACKUP"
check "nobody moved" has_address "$MASTER"

# Consul is away, and the backup starts meanwhile, by what it has kept
consul_signal()
{
	local host
	for host in $SERVERS $HOSTS; do
		kill "-$1" "$(pid_of "$host" consul)"
	done
}

consul_signal STOP
check "Consul is away" wait_for 20 said "$MASTER" "does not answer"
# shellcheck disable=SC2046 # one argument each
kill -KILL $(lictord_pids "$BACKUP")
check "the backup is gone" wait_for 10 lictord_gone "$BACKUP"
lictord_start "$BACKUP"
check "started again, it knows its name" wait_for 10 said "$BACKUP" "it was $BACKUP before"
check "it hears the master" wait_for 10 peer "$BACKUP" '.heard_ms < 1000'
check "and answers" wait_for 10 peer "$MASTER" '.answered_ms < 300'
check "the master goes on by that" has_address "$MASTER"
consul_signal CONT
check "Consul is back" wait_for 20 said "$MASTER" "answers again"
check "nothing has changed for it" wait_for 20 settled
check "nobody moved in the outage" has_address "$MASTER"

# a firewall on the backup: nothing of the master gets in
in_host "$BACKUP" nft "table inet wall { chain in { type filter hook input priority 0; udp dport 8521 drop; }; }"
check "the firewalled host says what it misses" \
    wait_for 20 fact "$BACKUP" "^UDP 8521 from $MASTER not heard: a firewall[?]$"
check "the other that it gets no answer" \
    wait_for 20 fact "$MASTER" "^UDP 8521 to $BACKUP not answered: a firewall[?]$"
check "the master keeps the role without it" has_address "$MASTER"
in_host "$BACKUP" nft "delete table inet wall"
check "without the firewall they hear each other" wait_for 10 in_touch

# a recording of the master, played to the backup from when it is dead
in_host "$BACKUP" "$PARROT" hear eth0 8521 60 "$LAB_DIR/recording"
start client parrot "$PARROT" say eth0 "$LAB_DIR/recording" 1000
killed=$(now_ms)
# shellcheck disable=SC2046 # one argument each
kill -KILL $(lictord_pids "$MASTER")
check "a recording of a dead master keeps nobody waiting" \
    wait_for 15 has_address "$BACKUP"
diag "taken after $(($(now_ms) - killed)) ms"
check "the recording was heard, and refused" [ "$(refused "$BACKUP")" -gt 100 ]
stop client parrot # which speaks from the master's place on the wire

# another key, of a host that is started with it
echo "no key" >"$LAB_DIR/$MASTER/key"
secret "$LAB_DIR/$MASTER/key"
check "the old master is gone" wait_for 10 lictord_gone "$MASTER"
NODE_MORE="failover { key-file = \"$LAB_DIR/$MASTER/key\" }" host_files "$MASTER"
tested()
{
	# shellcheck disable=SC2069 # what it says is wrong, alone
	in_host "$MASTER" "$LICTOR_BUILD/lictord" -t -c "$LAB_DIR/$MASTER/etc" 2>&1 >/dev/null
}
check "lictord -t says that a file has no key" \
    grep -q "^warning: key-file .*: one or two keys" <(tested)
head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$LAB_DIR/$MASTER/key"
check "and nothing of one that has" not grep -q "key-file" <(tested)
lictord_start "$MASTER"
check "another key is said" \
    wait_for 20 said "$BACKUP" "$MASTER signs with another key"
check "by both" wait_for 20 said "$MASTER" "$BACKUP signs with another key"
secret_key >"$LAB_DIR/$MASTER/key.new"
secret "$LAB_DIR/$MASTER/key.new"
mv "$LAB_DIR/$MASTER/key.new" "$LAB_DIR/$MASTER/key"
check "with the right key in its file they hear each other" wait_for 20 in_touch

# IPv6
for host in $HOSTS; do
	stop "$host" lictord
	NODE_MORE="failover { address = \"fd77::${ADDRESS[$host]}\" }" host_files "$host"
	lictord_start "$host"
done
over_six()
{
	quiet peer web-1 ".address == \"fd77::${ADDRESS[web-2]}\"" &&
	    quiet peer web-2 ".address == \"fd77::${ADDRESS[web-1]}\"" && in_touch
}
check "by IPv6 they hear each other as well" wait_for 30 over_six
check "and one is master" wait_for 30 settled
pair_look
check "with the other as a member" wait_for 10 members_are "$BACKUP"
check "never two holders" never_two "$(observer_stop)"
tap_end
