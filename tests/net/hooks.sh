#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The operator's commands: promote runs before the address appears, demote before it goes,
# with their arguments and environment; notify hears of both; a promote that fails costs
# the host the role. A demote that takes its time costs nobody anything. What an agent's death has
# cut short is run again, never beside what still runs; where promote had ended well, the
# address does not wait for it again.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

# hook HOST: what the hooks of that host do: a line "KIND ARGUMENTS | ENVIRONMENT | ADDRESS".
hook_file()
{
	install -m 666 /dev/null "$LAB_DIR/$1/hooks.out"
	cat >"$LAB_DIR/$1/hook" <<-END
		kind=\$1; shift
		mkdir $LAB_DIR/$1/locks/one || echo "two at once" >>$LAB_DIR/$1/hooks.out
		address=\$(ip -4 -o address show dev eth0 to $VIP | wc -l)
		echo "\$kind \$* | \$LICTOR_ROLE \$LICTOR_STATE \$LICTOR_REASON \$LICTOR_TERM | \$address" \\
		    >>$LAB_DIR/$1/hooks.out
		[ ! -e $LAB_DIR/$1/slow-\$kind ] || sleep "\$(cat $LAB_DIR/$1/slow-\$kind)"
		rmdir $LAB_DIR/$1/locks/one
		[ ! -e $LAB_DIR/$1/fail-\$kind ]
	END
}

# told HOST REGULAR-EXPRESSION
told()
{
	grep -qE "$2" "$LAB_DIR/$1/hooks.out"
}

# ran HOST KIND: how often a hook was begun there.
ran()
{
	grep -c "^$2 " "$LAB_DIR/$1/hooks.out" || true
}

# has_run HOST KIND N
has_run()
{
	[ "$(ran "$1" "$2")" -ge "$3" ]
}

# said_more HOST N REGULAR-EXPRESSION: more lines of its log than N.
said_more()
{
	[ "$(log_count "$1" "$3")" -gt "$2" ]
}

kill_agent()
{
	kill -KILL "$(process_of "$1" agent)"
}

# slow HOST KIND SECONDS: from now on; 0: no longer.
slow()
{
	if [ "$3" = 0 ]; then rm "$LAB_DIR/$1/slow-$2"; else echo "$3" >"$LAB_DIR/$1/slow-$2"; fi
}

for host in $HOSTS; do
	install -d -m 777 "$LAB_DIR/$host/locks"
	hook_file "$host"
	sh="\"/bin/sh\", \"$LAB_DIR/$host/hook\""
	ROLE_MORE="hooks {
	    promote = {$sh, \"promote\"}
	    demote  = {$sh, \"demote\"}
	    notify  = {$sh, \"notify\"}
	  }" host_files "$host"
done
pair_start lictord_start
term=$(lictorctl_at "$MASTER" status --json | jq '.roles[0].term')
check "promote ran with role, state, reason and term, before the address was there" \
    told "$MASTER" "^promote web master [a-z-]+ $term \| web master [a-z-]+ $term \| 0$"
check "notify ran too" wait_for 5 told "$MASTER" '^notify web master '
check "the backup ran no promote" not told "$BACKUP" '^promote'

lictorctl_at "$MASTER" switchover web >/dev/null
check "the other host becomes master" wait_for 10 consul_shows master "$BACKUP"
check "demote ran on the old master while it still had the address" \
    told "$MASTER" "^demote web backup [a-z-]+ $term \| web backup [a-z-]+ $term \| 1$"
check "promote ran on the new one" wait_for 5 told "$BACKUP" '^promote web master '
newer=$(lictorctl_at "$BACKUP" status --json | jq '.roles[0].term')
diag "terms $term, $newer"
check "with a greater term" test "$newer" -gt "$term"
check "the old master's notify ran" wait_for 5 told "$MASTER" '^notify web backup '

# --- a demote that takes longer than the lease ---

pair_look
slow "$MASTER" demote 3
n=$(ran "$MASTER" demote)
prober_start "$VIP"
lictorctl_at "$MASTER" switchover web >/dev/null &
check "a slow demote begins" wait_for 10 has_run "$MASTER" demote $((n + 1))
kill -USR2 "$(pid_of "$MASTER" lictord)"
check "the role moves when it has ended" wait_for 20 has_address "$BACKUP"
wait
prober_stop "$VIP"
longest=$(prober_saw "$VIP" longest) pause=$(prober_saw "$VIP" pause)
diag "longest without an answer $longest ms, own pause $pause ms"
check "the address answered until then" at_most "${longest%.*}" $((500 + ${pause%.*}))
check "nobody had claimed the role" \
    not grep -q -- '-> waiting: .* is silent' "$LAB_DIR/$BACKUP/lictord.log"
check "an upgrade in place waits for the hook and for what follows it" wait_for 10 \
    said_more "$MASTER" 0 'goes on from an earlier version'
slow "$MASTER" demote 0
check "all is well again" wait_for 20 settled

# --- agents that die ---

pair_look
n=$(ran "$BACKUP" demote) m=$(log_count "$BACKUP" 'this host is ready for it')
kill_agent "$BACKUP"
check "a backup's agent starts again" wait_for 10 \
    said_more "$BACKUP" "$m" 'this host is ready for it'
check "settled" wait_for 20 settled
check "it runs no demote, for that had ended well" test "$(ran "$BACKUP" demote)" = "$n"

slow "$MASTER" promote 2
n=$(ran "$MASTER" promote) m=$(log_count "$MASTER" ' -> master ')
term=$(lictorctl_at "$MASTER" status --json | jq '.roles[0].term')
prober_start "$VIP"
kill_agent "$MASTER"
check "a master's agent starts again and is master" wait_for 10 \
    said_more "$MASTER" "$m" ' -> master '
check "it runs promote again" wait_for 10 has_run "$MASTER" promote $((n + 1))
newer=$(sed -n 's/^promote web master [a-z-]* \([0-9]*\) .*/\1/p' "$LAB_DIR/$MASTER/hooks.out" | tail -n 1)
diag "terms $term, $newer"
check "with the new term" test "$newer" -gt "$term"
m=$(log_count "$MASTER" ' -> master ')
kill_agent "$MASTER"
check "one that died in that hook as well" wait_for 10 \
    said_more "$MASTER" "$m" ' -> master '
check "it waits for the dead agent's, and runs it again" \
    wait_for 10 has_run "$MASTER" promote $((n + 2))
n=$(ran "$MASTER" promote)
kill -USR2 "$(pid_of "$MASTER" lictord)"
check "an upgrade in place waits for it too" wait_for 15 \
    said_more "$MASTER" 0 'goes on from an earlier version'
check "and runs it again" wait_for 10 has_run "$MASTER" promote $((n + 1))
check "never two at once" not told "$MASTER" 'two at once'
prober_stop "$VIP"
longest=$(prober_saw "$VIP" longest) pause=$(prober_saw "$VIP" pause)
diag "longest without an answer $longest ms, own pause $pause ms"
check "the address answered all the time" at_most "${longest%.*}" $((50 + ${pause%.*}))
check "the host has kept the role" consul_shows master "$MASTER"

# --- a promote that fails ---

pair_look
touch "$LAB_DIR/$BACKUP/fail-promote"
in_host "$MASTER" timeout 2 "$LICTOR_BUILD/lictorctl" \
    --socket "$LAB_DIR/$MASTER/run/lictor.sock" switchover web >/dev/null 2>&1 || true
check "a promote that fails is said" wait_for 20 \
    grep -q 'promote failed' "$LAB_DIR/$BACKUP/lictord.log"
rm "$LAB_DIR/$BACKUP/fail-promote"
check "the role is settled afterwards" wait_for 40 settled
tap_end
