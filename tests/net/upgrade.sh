#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Another version in the old one's place, by SIGUSR2: the process stays, the address answers
# all the time, nobody claims the role, what was known is known. A binary that is none, or that
# does not like the configuration, is refused and changes nothing.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

# The daemon's binary is one that may be replaced.
built=$LICTOR_BUILD LICTOR_BUILD="$LAB_DIR/build"
mkdir "$LICTOR_BUILD"
ln -s "$built/lictorctl" "$built/tests" "$LICTOR_BUILD"
cp "$built/lictord" "$LICTOR_BUILD/lictord"

# install_binary FILE: as a package does it.
install_binary()
{
	cp "$1" "$LICTOR_BUILD/lictord.new"
	mv "$LICTOR_BUILD/lictord.new" "$LICTOR_BUILD/lictord"
}

signal()
{
	kill -USR2 "$(pid_of "$1" lictord)"
}

# said HOST N REGULAR-EXPRESSION: as many lines of its log.
said()
{
	[ "$(log_count "$1" "$3")" -ge "$2" ]
}

# How many times a host became master.
masterships()
{
	log_count "$1" ' -> master '
}

# upgraded HOST N: that is master for the N-th time, and settled.
upgraded()
{
	said "$1" "$2" ' -> master ' && settled
}

agent_of()
{
	local pid
	for pid in $(ip netns pids "$LAB-$1"); do
		! grep -q '^lictord: agent' "/proc/$pid/cmdline" 2>/dev/null || echo "$pid"
	done
}

# refuses FILE REGULAR-EXPRESSION: it is tried in place of the master's, and stays outside.
refuses()
{
	local n agent
	agent=$(agent_of "$MASTER")
	n=$(log_count "$MASTER" 'not upgraded, this version stays')
	install_binary "$1"
	signal "$MASTER"
	wait_for 10 said "$MASTER" $((n + 1)) 'not upgraded, this version stays' &&
	    grep 'not upgraded' "$LAB_DIR/$MASTER/lictord.log" | tail -n 1 >"$LAB_DIR/said" &&
	    diag "$(cat "$LAB_DIR/said")" &&
	    grep -qE -- "$2" "$LAB_DIR/said" && [ "$(agent_of "$MASTER")" = "$agent" ]
}

# From its own word that it is upgraded to mastership again, in ms.
took()
{
	echo $(($(log_time "$1" ' -> master ') - $(log_time "$1" 'upgraded: .* takes over')))
}

pair_start lictord_start
lictorctl_at "$BACKUP" maintenance on web --for 1h --reason spare >/dev/null
lictorctl_at "$BACKUP" maintenance off web >/dev/null
prober_start "$VIP"
asker_start "$VIP"
pid=$(pid_of "$MASTER" lictord)
before=$(stat -L -c %i "/proc/$pid/exe")

# --- what is refused ---

check "a program that is no lictord is refused" refuses /bin/true 'is no lictord'
check "so is one that fails" refuses /bin/false '-t ends with status 1'
echo 'no program' >"$LAB_DIR/text"
chmod 755 "$LAB_DIR/text"
check "and a file that is no program" refuses "$LAB_DIR/text" 'cannot be executed'
echo 'service "broken" { port = many }' >"$LAB_DIR/$MASTER/etc/services.d/broken.conf"
check "a configuration that it does not like keeps it outside" \
    refuses "$built/lictord" 'broken\.conf:1: port'
rm "$LAB_DIR/$MASTER/etc/services.d/broken.conf"

# --- the master, again and again ---

rounds=${LICTOR_UPGRADES:-3} slowest=0
for ((i = 1; i <= rounds; i++)); do
	install_binary "$built/lictord"
	n=$(masterships "$MASTER")
	signal "$MASTER"
	wait_for 10 upgraded "$MASTER" $((n + 1)) || break
	ms=$(took "$MASTER")
	diag "upgrade $i: master again after $ms ms"
	[ "$ms" -le "$slowest" ] || slowest=$ms
done
check "$rounds upgrades of the master" test "$i" -gt "$rounds"
check "the process is the same" test "$(pid_of "$MASTER" lictord)" = "$pid"
check "it runs the new file" test "$(stat -L -c %i "/proc/$pid/exe")" != "$before"
check "under its name" test "$(cat "/proc/$pid/comm")" = lictord
check "the other host never claimed the role" \
    not grep -qE 'web: .* -> (waiting|master)' "$LAB_DIR/$BACKUP/lictord.log"
check "it was fast" at_most "$slowest" "${LICTOR_UPGRADE_MS:-1500}"

# --- by an operator ---

n=$(masterships "$MASTER")
lictorctl_at "$MASTER" upgrade >"$LAB_DIR/said" 2>&1 || true
diag "lictorctl: $(cat "$LAB_DIR/said")"
check "lictorctl is told what comes of it" grep -q 'takes over' "$LAB_DIR/said"
check "and so it comes" wait_for 10 upgraded "$MASTER" $((n + 1))
install_binary /bin/true
check "it is told of a refusal as well" not lictorctl_at "$MASTER" upgrade 2>"$LAB_DIR/said"
diag "lictorctl: $(cat "$LAB_DIR/said")"
check "with the reason" grep -q 'is no lictord' "$LAB_DIR/said"
install_binary "$built/lictord"

# --- the backup, and what is known ---

lictorctl_at "$BACKUP" maintenance on web --reason "new disk" >/dev/null
wait_for 10 said "$BACKUP" 1 'not ready for it'
n=$(log_count "$BACKUP" 'goes on from an earlier version')
signal "$BACKUP"
check "the backup is upgraded" \
    wait_for 10 said "$BACKUP" $((n + 1)) 'goes on from an earlier version'
in_maintenance()
{
	grep -q 'new disk' <(lictorctl_at "$BACKUP" status --json 2>/dev/null)
}
check "it knows of the maintenance" wait_for 10 in_maintenance
lictorctl_at "$BACKUP" maintenance off web >/dev/null
check "all is well" wait_for 20 settled

asker_stop >/dev/null
prober_stop "$VIP"
longest=$(prober_saw "$VIP" longest) pause=$(prober_saw "$VIP" pause)
diag "longest without an answer $longest ms, own pause $pause ms"
check "the address answered all the time" at_most "${longest%.*}" $((50 + ${pause%.*}))
check "by one host" test "$(prober_saw "$VIP" dual)" = 0
tap_end
