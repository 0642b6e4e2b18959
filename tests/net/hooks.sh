#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The operator's commands: promote runs before the address appears, demote before it goes,
# with their arguments and environment; notify hears of both; a promote that fails costs
# the host the role.
. "${top_srcdir:-.}/tests/net/setup.sh"

# hook HOST: what the hooks of that host do: a line "KIND ARGUMENTS | ENVIRONMENT | ADDRESS".
hook_file()
{
	install -m 666 /dev/null "$LAB_DIR/$1/hooks.out"
	cat >"$LAB_DIR/$1/hook" <<-END
		kind=\$1; shift
		address=\$(ip -4 -o address show dev eth0 to $VIP | wc -l)
		echo "\$kind \$* | \$LICTOR_ROLE \$LICTOR_STATE \$LICTOR_REASON \$LICTOR_TERM | \$address" \\
		    >>$LAB_DIR/$1/hooks.out
		[ ! -e $LAB_DIR/$1/fail-\$kind ]
	END
}

# told HOST REGULAR-EXPRESSION
told()
{
	grep -qE "$2" "$LAB_DIR/$1/hooks.out"
}

for host in $HOSTS; do
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

pair_look
touch "$LAB_DIR/$BACKUP/fail-promote"
lictorctl_at "$MASTER" switchover web >/dev/null || true
check "a promote that fails is said" wait_for 20 \
    grep -q 'promote failed' "$LAB_DIR/$BACKUP/lictord.log"
rm "$LAB_DIR/$BACKUP/fail-promote"
check "the role is settled afterwards" wait_for 40 settled
tap_end
