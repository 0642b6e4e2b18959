#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A second lictord beside the master's, with folders of its own, so that no lock of a file
# stops it: it says so, and the first one hears nothing of it.
. "${top_srcdir:-.}/tests/net/setup.sh"

says_it_cannot()
{
	grep -q "the $1 does not start, for another one holds its lock" \
	    "$LAB_DIR/$MASTER/second.log"
}

pair_start lictord_start
observer_start
lines=$(wc -l <"$LAB_DIR/$MASTER/lictord.log")
mkdir "$LAB_DIR/$MASTER/second.run" "$LAB_DIR/$MASTER/second.state"
start "$MASTER" second env RUNTIME_DIRECTORY="$LAB_DIR/$MASTER/second.run" \
    STATE_DIRECTORY="$LAB_DIR/$MASTER/second.state" \
    "$LICTOR_BUILD/lictord" -c "$LAB_DIR/$MASTER/etc"
check "its agent does not start" wait_for 20 says_it_cannot agent
check "its warden does not start" wait_for 20 says_it_cannot warden
stop "$MASTER" second
check "the first one is settled" settled
check "it had nothing to say" test "$(wc -l <"$LAB_DIR/$MASTER/lictord.log")" = "$lines"
summary=$(observer_stop)
check "never two holders" never_two "$summary"
check "the address never moved" grep -q 'switches 0$' <<<"$summary"
tap_end
