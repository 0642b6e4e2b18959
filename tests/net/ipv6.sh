#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A role with an IPv4 and an IPv6 address: both move together, the neighbours follow the
# unsolicited advertisement, and the host never uses the address for its own connections.
. "${top_srcdir:-.}/tests/net/setup.sh"

vip6=fd77::100

both_at()
{
	has_address "$1" && has_address "$1" $vip6
}

any_at()
{
	has_address "$1" || has_address "$1" $vip6
}

source_of()
{
	ip -n "$LAB-$1" -json route get fd77::20 | jq -r '.[0].prefsrc'
}

for host in $HOSTS; do
	ROLE_MORE="vip \"$vip6\" { interface = \"eth0\" }" host_files "$host"
done
pair_start lictord_start
check "the master has both addresses" both_at "$MASTER"
check "its own connections keep its own address" \
    test "$(source_of "$MASTER")" = "fd77::${ADDRESS[$MASTER]}"

asker_start $vip6
lictorctl_at "$MASTER" switchover web >/dev/null
check "the other host has both" wait_for 10 both_at "$BACKUP"
check "the old master has neither" not any_at "$MASTER"
check "the client is answered by it" wait_for 5 grep -q "answered by $BACKUP" \
    "$LAB_DIR/client/asker.out"
waited=$(asker_stop)
diag "the client waited $waited ms"
check "the client waited at most $((5 * slack)) ms" at_most "$waited" $((5 * slack))
check "both hosts are shown" wait_for 10 settled
tap_end
