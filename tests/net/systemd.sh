#!/bin/bash
# SPDX-License-Identifier: ISC
#
# lictord as its package installs it, under a real systemd: web-1 of the lab is a container
# with users, folders and units as they come, web-2 is as in every test. The three processes
# are who they should be, commands that need more than a sandbox gives them work, the socket
# knows its groups, whatever stands still is ended and started again, and a shutdown is a
# planned handover.
. "${top_srcdir:-.}/tests/net/setup.sh"
# shellcheck source=tests/lib/container.sh
. "$top/tests/lib/container.sh"
impossible=$(container_impossible)
[ -z "$impossible" ] || tap_skip_all "$impossible"

plugins=/usr/lib/nagios/plugins
[ -x $plugins/check_procs ] || tap_skip_all "Debian's monitoring-plugins-basic is missing"
CONTAINER_DIR=$LAB_DIR/web-1
container_finish()
{
	if [ $? != 0 ] || [ "$TAP_FAILED" != 0 ]; then
		logs_show
		tail -n 5 "$CONTAINER_DIR/boot.log" "$CONTAINER_DIR/install.log" 2>&1 | sed 's/^/# /'
	fi
	container_end
	lab_end
}

make_units()
{
	local unit
	mkdir -p "$CONTAINER_DIR/units"
	cat >"$CONTAINER_DIR/units/lab.target" <<-'END'
		[Unit]
		DefaultDependencies=no
		Wants=dbus.service systemd-journald.service
	END
	for unit in lictord lictor-handover; do
		mkdir "$CONTAINER_DIR/units/$unit.service.d"
		printf '[Service]\nStandardError=append:/lab/lictord.log\n' \
		    >"$CONTAINER_DIR/units/$unit.service.d/log.conf"
	done
}

make_files()
{
	NODE_MORE="script \"disk\" { convention = nagios
	    command = {\"$plugins/check_disk\", \"-w\", \"1%\", \"-c\", \"1%\", \"-p\", \"/\"} }
	  script \"procs\" { convention = nagios
	    command = {\"$plugins/check_procs\", \"-c\", \"1:\", \"-u\", \"root\"} }" \
	    ROLE_MORE='hooks { promote = {"/bin/sh", "-c", "id -un >/var/lib/web/promoted"} }' \
	    host_files web-1
	host_files web-2
}

# What "make install" and a package's scripts do, on a system that has never seen lictor.
# A real systemd lets nobody but root into the folder of bpf.
install_inside()
{
	local etc
	make -s -C "$LICTOR_BUILD" install DESTDIR="$CONTAINER_DIR/install" \
	    >"$CONTAINER_DIR/install.log" 2>&1
	etc=$(find "$CONTAINER_DIR/install" -path '*/etc/lictor/lictor.conf' -printf %h)
	cp -r "$CONTAINER_DIR/etc/." "$etc/"
	ETC=${etc#"$CONTAINER_DIR/install"}
	inside sh -c 'sed -i "/^lictor/d" /etc/passwd /etc/group /etc/shadow /etc/gshadow
	    tar -C /lab/install -c . | tar -C / -x --no-same-owner --keep-directory-symlink
	    chmod 700 /sys/fs/bpf
	    systemd-sysusers && systemd-tmpfiles --create lictor.conf &&
	    systemctl daemon-reload && install -d -o lictor-check /var/lib/web' \
	    >>"$CONTAINER_DIR/install.log" 2>&1
}

fence_inside()
{
	ctl_inside status | grep -i fence | grep -w "$1" >/dev/null
}

ctl_inside()
{
	inside lictorctl --socket /run/lictor/lictor.sock "$@"
}

# pid_inside PROCESS: the id of the agent or the warden, as the container counts.
pid_inside()
{
	inside pgrep -f "^lictord: $1"
}

main_pid()
{
	inside systemctl show -P MainPID lictord.service
}

# filters PID: how many it has beside those that the container puts on everybody.
filters()
{
	local all own
	all=$(inside sed -n 's/^Seccomp_filters:\s*//p' /proc/1/status)
	own=$(inside sed -n 's/^Seccomp_filters:\s*//p' "/proc/$1/status")
	echo $((own - all))
}

# runs_as PID USER CAPABILITIES: those that count, a pattern of hexadecimal digits.
runs_as()
{
	local is
	# shellcheck disable=SC2016 # awk's
	is="$(inside stat -c %U "/proc/$1") $(inside awk '/^CapEff:/ {
	    sub("^0*", "", $2); print $2 == "" ? 0 : $2 }' "/proc/$1/status")"
	[[ $is == $2\ $3 ]] || { diag "$is" && return 1; }
}

handed_over()
{
	[ "$(log_count web-2 'web-1 handed it over')" -gt "$1" ]
}

# passes CHECK: one of the node's checks.
passes()
{
	ctl_inside --json status | jq -e --arg name "$1" \
	    '.checks[] | select(.name == $name and .status == "passing")'
}

# may GROUP COMMAND...: a user who is in no other group than that.
may()
{
	local group=$1
	shift
	inside setpriv --reuid nobody --regid nogroup --groups "$group" \
	    lictorctl --socket /run/lictor/lictor.sock "$@" >/dev/null 2>&1
}

# another PROCESS PID: it runs under another number now.
another()
{
	local pid
	if [ "$1" = runner ]; then pid=$(main_pid); else pid=$(pid_inside "$1"); fi
	[ -n "$pid" ] && [ "$pid" != 0 ] && [ "$pid" != "$2" ]
}

bring_back()
{
	has_address web-1 || wait_for 10 quiet ctl_inside switchover web web-1
}

# --- as it is installed ---

make_files
make_units
trap container_finish EXIT
bpf=()
! mountpoint -q "$CONTAINER_DIR/run/bpf" || bpf=(--bind="$CONTAINER_DIR/run/bpf:/sys/fs/bpf")
container_boot --network-namespace-path="/run/netns/$LAB-web-1" \
    --capability=CAP_NET_ADMIN,CAP_NET_RAW,CAP_BPF,CAP_SYS_NICE --system-call-filter=bpf \
    "${bpf[@]}" ||
    tap_skip_all "this machine does not let us boot a container: $(tail -n 1 "$CONTAINER_DIR/boot.log")"
check "systemd has booted, with a bus" wait_for 30 is dbus.service active
check "accounts and folders are made" install_inside
consul_cluster
service_start web-1
service_start web-2
check "it starts, which is over when it is ready" inside systemctl start lictord.service
check "and with it what hands its roles over" wait_for 5 is lictor-handover.service active
check "it becomes master" wait_for 30 has_address web-1
lictord_start web-2
check "the other host is its backup" wait_for 30 settled
if [ "${#bpf[@]}" != 0 ]; then
	check "its fence is in the kernel" fence_inside bpf
fi

# --- who they are, and what commands may ---

check "the main process is lictor" runs_as "$(main_pid)" lictor '800[01]8031e0'
check "without a filter, which commands would have" test "$(filters "$(main_pid)")" = 0
check "the warden is lictor-warden, with three capabilities" \
    runs_as "$(pid_inside warden)" lictor-warden 8000003000
check "the agent is lictor, with none" runs_as "$(pid_inside agent)" lictor 0
if ! grep -q 'define LICTOR_SANITIZED' "$LICTOR_BUILD/config.h"; then
	check "the warden has filters of its own" test "$(filters "$(pid_inside warden)")" = 2
	check "and the agent one" test "$(filters "$(pid_inside agent)")" = 1
fi
check "a plugin that asks for the disks works" wait_for 5 quiet passes disk
check "one that asks for other users' processes works" wait_for 5 quiet passes procs
check "a hook wrote below /var/lib, as its user" \
    test "$(inside cat /var/lib/web/promoted)" = lictor-check
check "members of lictor-status may look" may lictor-status status
check "and not change" not may lictor-status handover off
check "members of lictor-admin may" may lictor-admin handover off
check "others may nothing" not may nogroup status

# --- reload and restart ---

echo 'ttl "told" { ttl = 1h }' |
    inside sh -c "cat >>$ETC/lictor.conf" && inside systemctl reload lictord.service
check "a reload takes what is new" quiet ctl_inside pass told
echo 'nonsense' | inside sh -c "cat >$ETC/services.d/more.conf"
check "a fault is refused" not inside systemctl reload lictord.service 2>/dev/null
check "and it goes on" is lictord.service active
inside rm "$ETC/services.d/more.conf"

# --- another version in its place, as a package asks for it ---

goes_on()
{
	[ "$(log_count web-1 'goes on from an earlier version')" = 1 ] &&
	    [ "$(log_count web-1 ' -> master ')" -gt "$1" ]
}

bring_back
pid=$(main_pid) n=$(log_count web-1 ' -> master ')
check "a package upgrades it in place" inside kill -USR2 "$pid"
check "it goes on as master" wait_for 20 goes_on "$n"
check "as the same process" test "$(main_pid)" = "$pid"
check "which is active" is lictord.service active
check "and what it was" runs_as "$pid" lictor '800[01]8031e0'
check "whose commands work" wait_for 10 quiet passes procs

warden=$(pid_inside warden)
inside kill -STOP "$warden"
check "a warden that stands still is ended, and another is there" \
    wait_for 20 another warden "$warden"
check "the unit went on" is lictord.service active

inside sh -c 'mkdir -p /run/systemd/system/lictord.service.d
    printf "[Service]\nWatchdogSec=3\n" >/run/systemd/system/lictord.service.d/short.conf
    systemctl daemon-reload; systemctl restart lictord.service'
check "a restart, as systemd does it" wait_for 20 settled
runner=$(main_pid)
inside kill -STOP "$runner"
check "a main process that stands still is ended by systemd's watchdog" \
    wait_for 15 another runner "$runner"
check "with the others" wait_for 20 settled
runner=$(main_pid)
inside kill -KILL "$runner"
check "one that is killed is there again" wait_for 5 another runner "$runner"
check "all is as before" wait_for 20 settled

# --- the end ---

check "it is master again" bring_back
wait_for 10 settled
given=$(log_count web-2 'web-1 handed it over')
asker_start "$VIP"
inside systemctl poweroff --no-block 2>/dev/null || true
check "a shutdown hands the role over" wait_for 10 has_address web-2
check "as it is planned" wait_for 5 handed_over "$given"
waited=$(asker_stop)
diag "the client waited $waited ms"
check "before anything else" grep -q 'this host hands its roles over' \
    "$CONTAINER_DIR/lictord.log"
check "the client waited at most $slack ms" at_most "$waited" "$slack"
check "the system stops" wait_for 30 not kill -0 "$CONTAINER_INIT"
tap_end
