#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Reloads of real daemons. What an edit does not touch does not notice: checks go on with
# their counters, registrations are not written, the address answers all the time. What is
# wrong leaves everything as it was and is said with file and line; what is taken away is
# given to the other host first. And many edits, one after the other, end where a fresh start
# of the same files does (LICTOR_RELOADS of them; `make check-long` takes 200).
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

reloads=${LICTOR_RELOADS:-20}
SECOND=10.77.0.101

# reload HOST: what lictorctl says of it, on either output.
reload()
{
	lictorctl_at "$1" reload 2>&1
}

reload_says()
{
	local said
	said=$(reload "$1") || true
	diag "$said"
	# shellcheck disable=SC2053 # a pattern
	[[ $said == $2 ]]
}

reload_fails()
{
	! reload "$1" >"$LAB_DIR/said" || return 1
	diag "$(cat "$LAB_DIR/said")"
	grep -qE "$2" "$LAB_DIR/said"
}

# state_of HOST EXPRESSION: of the status.
state_of()
{
	lictorctl_at "$1" status --json | jq -cr "$2"
}

runs_of()
{
	state_of "$1" '[.services[] | select(.name == "web") | .checks[] | .runs][0]'
}

# What Consul has written of the service and its checks, so far.
written()
{
	api "$1" "/v1/health/service/web" | jq -c --arg node "$1" \
	    '[.[] | select(.Node.Node == $node) | [.Service.ModifyIndex,
	     ([.Checks[] | select(.ServiceID != "") | [.CheckID, .ModifyIndex]] | sort)]]'
}

# The descriptors of all three processes.
descriptors()
{
	local pid
	for pid in $(lictord_pids "$1"); do
		ls "/proc/$pid/fd"
	done | wc -l
}

# What a fresh start of the same files would show: names and states, no counters.
essence()
{
	state_of "$1" '[.services[] | [.name, .status, ([.checks[] | [.name, .status]] | sort)]] | sort'
}

shows_service()
{
	api "$1" "/v1/agent/services" | jq -e --arg id "$2" 'has($id)' >/dev/null
}

all_passing()
{
	essence "$1" | jq -e 'all(.[]; .[1] == "passing")' >/dev/null
}

in_consul()
{
	[ "$(api "$1" /v1/agent/services | jq -c 'keys - ["consul"] | sort')" = \
	    "$(state_of "$1" '[.services[].name] + ["lictor"] | sort')" ]
}

extra()
{
	cat >"$LAB_DIR/$1/etc/services.d/extra.conf"
}

# shellcheck disable=SC2034 # for the files
ROLE_MORE="vip \"$SECOND\" { interface = \"eth0\" }"
pair_start lictord_start
observer_start
asker_start "$VIP"
start "$MASTER" monitor ip -o monitor address

# --- what an edit does not touch ---

wait_for 10 all_passing "$MASTER"
watched="$LAB_DIR/$BACKUP/watcher.out"
start "$BACKUP" watcher "$LICTOR_BUILD/tests/tools/watcher" 127.0.0.1 8500 \
    "/v1/health/node/$MASTER"
wait_for 10 grep -q " web:page - passing" "$watched"
pids=$(lictord_pids "$MASTER" | sort)
before=$(written "$MASTER") runs=$(runs_of "$MASTER")
extra "$MASTER" <<-END
	service "extra" { port = 9 script "yes" { command = {"/bin/true"} interval = 300ms } }
END
check "a service is added" reload_says "$MASTER" "reloaded: 1 service added, 1 check added"
check "Consul shows it" wait_for 5 shows_service "$MASTER" extra
check "it is well" wait_for 5 all_passing "$MASTER"
check "the other check has gone on counting" test "$(runs_of "$MASTER")" -ge "$runs"
extra "$MASTER" <<-END
	service "extra" { port = 10 script "yes" { command = {"/bin/true"} interval = 200ms } }
END
check "it is changed" reload_says "$MASTER" "reloaded: 1 service changed, 1 check changed"
check "nothing more is to be done" reload_says "$MASTER" "nothing has changed"
kill -HUP "$(pid_of "$MASTER" lictord)"
rm "$LAB_DIR/$MASTER/etc/services.d/extra.conf"
check "it is removed" wait_for 5 reload_says "$MASTER" "*nothing has changed"
check "Consul shows it no more" wait_for 5 not shows_service "$MASTER" extra
check "the first service was not written in Consul" test "$(written "$MASTER")" = "$before"
check "nor were its processes replaced" test "$(lictord_pids "$MASTER" | sort)" = "$pids"

# --- what is wrong ---

echo 'service "broken" { port = many }' | extra "$MASTER"
essence=$(essence "$MASTER")
check "a fault is refused with its place" \
    reload_fails "$MASTER" 'extra\.conf:1: port: "many" is not a number'
check "the rest is as it was" test "$(essence "$MASTER")" = "$essence"
rm "$LAB_DIR/$MASTER/etc/services.d/extra.conf"
sed -i '1i node = "another"' "$LAB_DIR/$MASTER/etc/lictor.conf"
check "another node needs a restart" reload_fails "$MASTER" 'node: .*needs a restart'
sed -i 1d "$LAB_DIR/$MASTER/etc/lictor.conf"

# --- the lease, while it runs ---

lease_is()
{
	[ "$(register .fence.lease_ms)" = $(($1 + $(state_of "$MASTER" .fence.late_ms))) ]
}

conf="$LAB_DIR/$MASTER/etc/lictor.conf"
cp "$conf" "$LAB_DIR/conf"
usual=$(state_of "$MASTER" .fence.lease_ms)
sed -i 's/lease = 3250ms/lease = 5250ms/' "$conf"
check "a longer lease" reload_says "$MASTER" "reloaded: the lease changed"
check "it is published" wait_for 5 lease_is 5250
cp "$LAB_DIR/conf" "$conf"
check "a shorter lease" reload_says "$MASTER" "reloaded: the lease changed"
check "it is published once the warden holds by it" wait_for 5 lease_is "$usual"

# --- many edits ---

service_text()
{
	local i n=$((RANDOM % 4)) interval
	echo "service \"extra-$1\" { port = $((1000 + RANDOM % 5))"
	for ((i = 0; i < n; i++)); do
		interval="interval = $((200 + 100 * (RANDOM % 3)))ms"
		case $((RANDOM % 4)) in
		0) echo "script \"c$i\" { command = {\"/bin/sh\", \"-c\", \"exit 0\"} $interval }" ;;
		1) echo "http \"c$i\" { url = \"http://localhost:8080/\" keep-alive = true $interval }" ;;
		2) echo "tcp \"c$i\" { address = \"localhost:8080\" $interval }" ;;
		3) echo "file \"c$i\" { path = \"/proc/self/status\" $interval }" ;;
		esac
	done
	echo "}"
}

edit()
{
	local i
	for ((i = 0; i < 6; i++)); do
		((RANDOM % 3 == 0)) || service_text "$i"
	done | extra "$MASTER"
}

edit
reload "$MASTER" >/dev/null
wait_for 10 all_passing "$MASTER"
open=$(descriptors "$MASTER") runs=$(runs_of "$MASTER") failed=0
for ((round = 0; round < reloads; round++)); do
	edit
	reload "$MASTER" >/dev/null || failed=$((failed + 1))
	now=$(runs_of "$MASTER")
	[ "$now" -ge "$runs" ] || failed=$((failed + 1))
	runs=$now
done
check "$reloads edits are taken, and no counter is lost" test "$failed" = 0
check "all are well" wait_for 10 all_passing "$MASTER"
check "Consul shows what there is" wait_for 10 in_consul "$MASTER"
check "the first service was still not written" test "$(written "$MASTER")" = "$before"
essence=$(essence "$MASTER")
silence=$(asker_stop)
diag "the client waited for $silence ms"
check "the address was there all the time" at_most "$silence" 1000
stop "$MASTER" monitor
check "it was never taken away" not grep -q "^Deleted" "$LAB_DIR/$MASTER/monitor.out"
few_descriptors()
{
	diag "$(descriptors "$MASTER") descriptors, $open before"
	[ "$(descriptors "$MASTER")" -le $((open + 8)) ]
}
check "no descriptors are left over" wait_for 10 few_descriptors

stop "$BACKUP" watcher
check "a watcher on the other host saw nothing fail" \
    test -z "$(awk '$5 == "critical" || $5 == "warning"' "$watched")"
check "and of the first service nothing at all" \
    test "$(grep -c " web:" "$watched")" = 2

# --- what is taken away is given away ---

asker_start "$VIP"
sed -i "/$SECOND/d" "$LAB_DIR/$MASTER/etc/services.d/web.conf"
check "an address less is a vip removed" \
    reload_says "$MASTER" "reloaded: 1 role changed, 1 vip removed"
check "the role has moved" has_address "$BACKUP"
check "with both addresses" wait_for 1 has_address "$BACKUP" "$SECOND"
check "the first host has none" not has_address "$MASTER"
pair_look
rm "$LAB_DIR/$MASTER/etc/services.d/web.conf"
check "a role less" reload_says "$MASTER" "reloaded: *1 role removed, 2 vips removed"
check "it has moved back" wait_for 5 has_address "$BACKUP"
check "the other host does not stand any more" \
    wait_for 5 not api server "/v1/kv/lictor/roles/web/candidates/$MASTER"
host_files "$MASTER"
sed -i "/$SECOND/d" "$LAB_DIR/$MASTER/etc/services.d/web.conf"
check "a role more" reload_says "$MASTER" "reloaded: *1 role added, 1 vip added"
check "it stands again" wait_for 5 settled
silence=$(asker_stop)
diag "the client waited for $silence ms"
check "the client waited for no more than two handovers" at_most "$silence" 1000

# --- a fresh start of the same files ---

check "never two holders" never_two "$(observer_stop)"
pair_look
edited=$(ls "$LAB_DIR"/*/etc/services.d/extra.conf)
edited=${edited#"$LAB_DIR/"} edited=${edited%%/*}
essence=$(essence "$edited")
stop "$edited" lictord
lictord_start "$edited"
same_essence()
{
	[ "$(essence "$edited")" = "$essence" ]
}
check "a fresh start comes to the same" wait_for 20 same_essence

# --- the first role of a host ---

stands()
{
	api server "/v1/kv/lictor/roles/web/candidates/$edited" >/dev/null
}

stop "$edited" lictord
rm "$LAB_DIR/$edited/etc/services.d/"*.conf
lictord_start "$edited"
check "a host without a role" wait_for 10 shows_service "$edited" lictor
MASTER=$edited
wait_for 10 reload_says "$edited" "nothing has changed"
host_files "$edited"
sed -i "/$SECOND/d" "$LAB_DIR/$edited/etc/services.d/web.conf"
for i in {0..9}; do
	service_text "$i"
done | extra "$edited"
pids=$(lictord_pids "$edited" | sort)
check "gets its first one" reload_says "$edited" "reloaded: 11 services added, *1 role added, 1 vip added"
check "and stands for it" wait_for 10 stands
check "with the processes that it had" \
    test "$(comm -13 <(lictord_pids "$edited" | sort) <(echo "$pids"))" = ""
tap_end
