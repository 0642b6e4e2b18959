#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Policy: a role that has moved too often stays with a master that is not well, and goes on
# when it may again; a silent master is taken over from all the same. `explain` says why at each
# step. What a host tracks lowers its priority, and with preempt the role follows.
. "${top_srcdir:-.}/tests/net/setup.sh"

# said HOST WORDS: explain says so there.
said()
{
	grep -qF -- "$2" <(lictorctl_at "$1" explain web)
}

status_of()
{
	lictorctl_at "$1" --json status | jq -r ".roles[0].$2"
}

status_is()
{
	[ "$(status_of "$1" "$2")" = "$3" ]
}

# The service of the host with the address fails.
fail()
{
	stop "$1" webservice KILL
	wait_for 10 status_is "$1" ready no
}

# shellcheck disable=SC2034 # for the files
CHECK_MORE='flap-threshold = 0'
ROLE_MORE='limit = 2 within = 12s
  track { interface "eth1" { weight = -60 } }'
for host in $HOSTS; do
	ip -n "$LAB-$host" link add eth1 type veth peer name peer1
	ip -n "$LAB-$host" link set peer1 up
	ip -n "$LAB-$host" link set eth1 up
	host_files "$host"
done
pair_start lictord_start
first=$MASTER second=$BACKUP
check "$first is master: explain says so there" said "$first" "This host is master, term"
check "and what would move it" \
    wait_for 10 said "$first" "It goes to $second if this host is not ready"
check "$second names it" wait_for 10 said "$second" "$first has it."
diag "$(lictorctl_at "$second" explain web)"

fail "$first"
check "a failed service moves it" wait_for 10 has_address "$second"
service_start "$first"
check "$first is ready again" wait_for 10 status_is "$first" ready yes
moves=$(status_of "$second" moves)
diag "moves so far: $moves"
if [ "$moves" -lt 2 ]; then
	fail "$second"
	check "a second time" wait_for 10 has_address "$first"
	service_start "$second"
	check "$second is ready again" wait_for 10 status_is "$second" ready yes
fi
MASTER=$(holder) BACKUP=$(other_of "$(holder)")
fail "$MASTER"
check "a third time it stays, and explain says why" \
    wait_for 10 said "$MASTER" "It stays all the same, since it has moved too often."
check "the limit is said" said "$MASTER" "the limit is 2"
check "$MASTER has the address" has_address "$MASTER"
check "once those moves are long ago it goes" wait_for 40 has_address "$BACKUP"
service_start "$MASTER"
check "$MASTER is ready again" wait_for 10 status_is "$MASTER" ready yes

ip -n "$LAB-$MASTER" link set eth1 down
check "what is tracked takes from the priority" wait_for 5 status_is "$MASTER" priority 40
check "that is said" grep -q 'its priority here is 40 and was 100: interface eth1 is down' \
    "$LAB_DIR/$MASTER/lictord.log"
check "explain says so" said "$MASTER" "Its priority here is 40 instead of 100"
ip -n "$LAB-$MASTER" link set peer1 down
ip -n "$LAB-$MASTER" link set eth1 up
check "an interface without a carrier counts as down" status_is "$MASTER" priority 40
ip -n "$LAB-$MASTER" link set peer1 up
check "and up again it gives the priority back" wait_for 5 status_is "$MASTER" priority 100

for host in $HOSTS; do
	sed -i 's/limit = 2 within = 12s/limit = 0 preempt = true/' "$LAB_DIR/$host/etc/services.d/web.conf"
	lictorctl_at "$host" reload >/dev/null
done
MASTER=$(holder) BACKUP=$(other_of "$(holder)")
ip -n "$LAB-$MASTER" link set eth1 down
check "with preempt the role follows" wait_for 10 has_address "$BACKUP"
check "settled" wait_for 10 settled

steps=$(lictorctl_at "$BACKUP" --json switchover web 2>&1) || true
check "a switchover to a lower priority is still asked for, and shows its steps" \
    test "$(jq -r .step <<<"$steps" | head -n 1)" = asked
diag "$(tr '\n' ' ' <<<"$steps")"
tap_end
