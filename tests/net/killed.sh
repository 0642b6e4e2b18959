#!/bin/bash
# SPDX-License-Identifier: ISC
#
# All of lictord killed with SIGKILL on the master and not started again: with the fence
# lifetime the kernel takes the address away within the lease (2.25 s) and the fence's
# lateness (1.5 s), the other host holds it after a silence (0.6 s) and the wait for the lease
# (4.1 s), and there are never two holders.
. "${top_srcdir:-.}/tests/net/setup.sh"

seconds_since()
{
	echo "$((($(now_ms) - $1) / 1000)).$(printf %03d $((($(now_ms) - $1) % 1000)))"
}

# shellcheck disable=SC2034 # for the files
NODE_MORE='failover { fence = lifetime }'
pair_start lictord_start
observer_start
asker_start "$VIP"
killed=$(now_ms)
lictord_kill_all "$MASTER"
check "the address leaves the dead host" wait_for 10 not has_address "$MASTER"
gone=$(($(now_ms) - killed))
check "it does within lease and lateness, 3750 ms" at_most $gone 3750
check "the other host takes it" wait_for 10 has_address "$BACKUP"
taken=$(($(now_ms) - killed))
diag "address gone after $gone ms, taken after $taken ms"
limit=$((4700 + 8 * slack))
check "it does within $limit ms" at_most $taken $limit
check "Consul shows it as master" wait_for 5 consul_shows master "$BACKUP"
check "the client is answered by it" wait_for 5 grep -q "answered by $BACKUP" \
    "$LAB_DIR/client/asker.out"
diag "the client waited $(asker_stop) ms"
lictord_start "$MASTER"
check "started again, the old master is backup" \
    wait_for 30 consul_shows backup "$MASTER"
check "the address stays where it is" has_address "$BACKUP"
check "never two holders" never_two "$(observer_stop)"
tap_end
