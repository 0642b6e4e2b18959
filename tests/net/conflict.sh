#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A host that knows nothing of lictor has the address too. While the master holds it the
# address is announced against the other, reported, and given away if the configuration
# says so; a host that is to take it looks first, and does not take what another has. In a
# planned handover nobody looks.
. "${top_srcdir:-.}/tests/net/setup.sh"

VIP6=fd77::100

# of HOST ADDRESS NAME: how often, as its lictorctl says.
of()
{
	lictorctl_at "$1" status --json |
	    jq -e --arg vip "$2" ".roles[0].vips[] | select(.address == \$vip) | .$3"
}

more_than()
{
	[ "$(of "$1" "$2" "$3")" -gt "$4" ]
}

# The client claims an address so many times, a little more than a second apart.
claim()
{
	in_host client "$LICTOR_BUILD/tests/tools/prober" --claim "$2" --every 1100000 eth0 "$1"
}

# Where the server believes the address to be.
believed()
{
	[ "$(ip -n "$LAB-server" -j neigh show "$1" dev eth0 | jq -r '.[0].lladdr')" = "$2" ]
}

ready()
{
	[ "$(lictorctl_at "$1" status --json | jq -r '.roles[0].ready')" = "$2" ]
}

asked()
{
	in_host server ping -c 1 -W 1 "$1"
}

ROLE_MORE="vip \"$VIP6\" { interface = \"eth0\" }"
pair_start lictord_start
check "the master has looked for the address" more_than "$MASTER" "$VIP" probes 0
check "and for the other one" more_than "$MASTER" "$VIP6" probes 0

probes="$(of "$BACKUP" "$VIP" probes) $(of "$BACKUP" "$VIP6" probes)"
quiet lictorctl_at "$MASTER" switchover web
check "a planned handover" wait_for 10 consul_shows master "$BACKUP"
check "in which nobody looked" [ "$probes" = \
    "$(of "$BACKUP" "$VIP" probes) $(of "$BACKUP" "$VIP6" probes)" ]
check "both are shown" wait_for 10 settled
pair_look

for vip in $VIP $VIP6; do
	check "$vip: the server reaches the master" wait_for 5 asked "$vip"
	claim "$vip" 1
	check "$vip: the claim is seen" wait_for 5 more_than "$MASTER" "$vip" claimed 0
	check "$vip: who it was" [ "$(of "$MASTER" "$vip" last.mac)" = "\"$(mac_of client)\"" ]
	check "$vip: the server believes the master" \
	    wait_for 5 believed "$vip" "$(mac_of "$MASTER")"
	check "$vip: the log says so" grep -q "claims $vip on eth0" "$LAB_DIR/$MASTER/lictord.log"
done
check "the backup has seen nothing" [ "$(of "$BACKUP" "$VIP" claimed)" = 0 ]

claim "$VIP" 3
check "again and again" wait_for 5 grep -q "claims $VIP on eth0 again and again" \
    "$LAB_DIR/$MASTER/lictord.log"
check "it is defended" has_address "$MASTER"
check "the server believes the master still" wait_for 5 believed "$VIP" "$(mac_of "$MASTER")"

for host in $HOSTS; do
	sed -i "s/vip \"$VIP\" {/& on-conflict = yield/" "$LAB_DIR/$host/etc/services.d/web.conf"
	check "$host: on-conflict = yield" quiet lictorctl_at "$host" reload
done
claim "$VIP" 2 # the first may be part of the last one of before
check "the role is given away" wait_for 10 consul_shows master "$BACKUP"
check "the old master is not ready for it" ready "$MASTER" no
check "lictorctl status says why" \
    grep -q "$VIP on eth0: claimed by another host: .*, last by $(mac_of client)" \
    <<<"$(lictorctl_at "$MASTER" status)"

for host in $MASTER $BACKUP; do
	stop "$host" lictord
done
check "nobody has the address" not holder
foreign=("$VIP/32")
for host in $HOSTS; do
	vip=${foreign[0]%/*}
	ip -n "$LAB-client" address add "${foreign[@]}" dev eth0
	lictord_start "$host"
	check "$host: $vip is found at another host" \
	    wait_for 20 more_than "$host" "$vip" found 0
	check "$host: it is not ready for the role" wait_for 5 ready "$host" no
	check "$host: none of its addresses is taken" not has_address "$host"
	check "$host: the log says so" \
	    grep -q "$vip is not taken on eth0: another host, $(mac_of client)" \
	    "$LAB_DIR/$host/lictord.log"
	ip -n "$LAB-client" address del "${foreign[0]}" dev eth0
	foreign=("$VIP6/128" nodad)
done
stop "$BACKUP" lictord
lictord_start "$BACKUP"
check "who looks again finds nobody, and takes it" wait_for 20 has_address "$BACKUP"
tap_end
