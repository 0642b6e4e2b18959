#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Two versions side by side: a stand-in for a newer lictord takes a role with a register that
# this version cannot read. It is said, and the address is let go; nothing is written and nobody
# claims anything, until that one gives the role back in words that are understood.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

KEY=/v1/kv/lictor/roles/web/register

# write_register JSON: as the newer one does, over whatever is there.
write_register()
{
	[ "$(api server "$KEY" -X PUT -d "$1")" = true ]
}

index_of_register()
{
	api server "$KEY" | jq '.[0].ModifyIndex'
}

says_version()
{
	grep -q 'its register in Consul is of a version that this lictord does not know' \
	    "$LAB_DIR/$1/lictord.log"
}

nobody_has_it()
{
	! holder
}

pair_start lictord_start
prober_start "$VIP"
rev=$(register .rev)
fence='{"node":"web-3","lease_ms":1010,"hold_ms":0,"members":[],"hb":true,"need":1}'
check "a newer lictord takes the role" write_register "{\"v\":2,\"rev\":$((rev + 1)),
    \"wid\":\"web-3.0000000000000001.OWN.0000000000000001\",\"holder\":\"web-3\",\"fence\":$fence}"
index=$(index_of_register)
for host in $HOSTS; do
	check "$host says that it cannot read the register" wait_for 10 says_version "$host"
done
check "the address is let go" wait_for 10 nobody_has_it
check "nobody takes it" not wait_for 4 holder
check "the register is as it was" test "$(index_of_register)" = "$index"
for host in $HOSTS; do
	check "$host has said so once" \
	    test "$(log_count "$host" 'of a version that this lictord does not know')" = 1
done
check "the newer one gives it back" write_register "{\"v\":1,\"rev\":$((rev + 2)),
    \"wid\":\"web-3.0000000000000001.GIVE.0000000000000002\",\"holder\":\"\",\"fence\":null}"
check "and it is taken again" wait_for 20 settled
prober_stop "$VIP"
check "never by two" test "$(prober_saw "$VIP" dual)" = 0
tap_end
