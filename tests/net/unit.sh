#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Checks of units against a real systemd, which is booted in a container on this machine's
# own files (an overlay: nothing of them changes) with a few units of ours and the bus: in
# each state, under names that the bus has to escape, as states change, and with a systemd
# or a bus that is frozen or gone. There is no Consul: checks go on without.
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
LICTOR_BUILD=$(realpath "${top_builddir:-.}")
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"
# shellcheck source=tests/lib/net.sh
. "$top/tests/lib/net.sh"
# shellcheck source=tests/lib/container.sh
. "$top/tests/lib/container.sh"

[ "${LICTOR_NET_TESTS:-yes}" = yes ] || tap_skip_all "LICTOR_NET_TESTS is $LICTOR_NET_TESTS"
impossible=$(container_impossible)
[ -z "$impossible" ] || tap_skip_all "$impossible"
grep -q HAVE_LIBSYSTEMD.1 "$LICTOR_BUILD/config.h" || tap_skip_all "built without libsystemd"

dir=$(mktemp -d /dev/shm/lictor.XXXXXX)
CONTAINER_DIR=$dir

finish()
{
	if [ $? != 0 ] || [ "$TAP_FAILED" != 0 ]; then
		tail -n 40 "$dir/boot.log" "$dir/lictord.log" 2>&1 | sed 's/^/# /' || true
	fi
	container_end
	wait
	rm -rf "$dir"
}

# put NAME LINE...: a service with these lines, and no dependency but what is said.
put()
{
	local name=$1
	shift
	printf '[Unit]\nDefaultDependencies=no\n[Service]\n' >"$dir/units/$name"
	printf '%s\n' "$@" >>"$dir/units/$name"
}

make_units()
{
	mkdir -p "$dir/units" "$dir/etc/services.d" "$dir/run" "$dir/state"
	put well.service 'ExecStart=/bin/sleep infinity'
	put well@.service 'ExecStart=/bin/sleep infinity'
	put broken.service 'ExecStart=/bin/false'
	put starting.service Type=notify TimeoutStartSec=infinity 'ExecStart=/bin/sleep infinity'
	put stopping.service TimeoutStopSec=infinity \
	    "ExecStart=/bin/sh -c 'trap : TERM; while :; do sleep 1; done'"
	put stopped.service 'ExecStart=/bin/sleep infinity'
	put unclear.service 'ExecStart=no/path'
	ln -s /dev/null "$dir/units/covered.service"
	cat >"$dir/units/lab.target" <<-'END'
		[Unit]
		DefaultDependencies=no
		Wants=dbus.service well.service well@a\x2db\x2fc.service broken.service
		Wants=starting.service stopping.service
	END
}

configuration()
{
	local name
	echo 'defaults { interval = 200ms timeout = 500ms fall = 1 rise = 1 }'
	for name in well 'well@a\x2db\x2fc' broken starting stopping stopped unclear \
	    covered missing; do
		echo "unit \"${name//[\\@]/-}\" { unit = '$name.service' }"
	done
}

lictord_inside()
{
	inside env RUNTIME_DIRECTORY=/lab/run STATE_DIRECTORY=/lab/state \
	    /build/lictord -c /lab/etc >>"$dir/lictord.log" 2>&1 </dev/null &
}

# shows NAME STATUS OUTPUT [REASON]
shows()
{
	"$LICTOR_BUILD/lictorctl" --socket "$dir/run/lictor.sock" --json status |
	    jq -e --arg name "$1" --arg status "$2" --arg output "$3" --arg reason "${4:-}" \
		'.checks[] | select(.name == $name and .status == $status and
		(.output | startswith($output)) and ($reason == "" or .reason == $reason))'
}

expect()
{
	check "$1 is $2: $3" wait_for 5 shows "$@"
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_units
container_boot --private-network || tap_skip_all "this machine does not let us boot a container: $(tail -n 1 "$dir/boot.log")"
check "systemd has booted, with a bus" wait_for 30 is dbus.service active
wait_for 10 is starting.service activating
wait_for 10 is stopping.service active
wait_for 10 is broken.service failed
inside systemctl stop --no-block stopping.service
configuration >"$dir/etc/lictor.conf"
lictord_inside

expect well passing 'well.service is active (running)' ok
expect 'well-a-x2db-x2fc' passing 'well@a\\x2db\\x2fc.service is active (running)' ok
expect broken critical 'broken.service is failed (failed)' state
expect starting critical 'starting.service is activating (start)' state
expect stopping critical 'stopping.service is deactivating (stop-sigterm)' state
expect stopped critical 'stopped.service is inactive (dead)' state
expect unclear critical 'unclear.service is inactive (dead), bad-setting' state
expect covered critical 'covered.service is inactive (dead), masked' state
expect missing critical 'there is no unit missing.service' state

inside systemctl stop well.service
expect well critical 'well.service is inactive (dead)' state
inside systemctl start well.service stopped.service
expect well passing 'well.service is active (running)'
expect stopped passing 'stopped.service is active (running)'

bus=$(inside systemctl show -P MainPID dbus.service)
inside kill -STOP "$bus"
expect well passing 'not done within 500ms' timeout
expect broken critical 'not done within 500ms' timeout
inside kill -CONT "$bus"
expect well passing 'well.service is active (running)' ok
kill -STOP "$CONTAINER_INIT"
expect well passing 'not done within 500ms' timeout
kill -CONT "$CONTAINER_INIT"
expect well passing 'well.service is active (running)' ok
inside systemctl stop dbus.service dbus.socket
expect well passing 'well.service: systemd cannot be asked: ' local
expect missing critical 'missing.service: systemd cannot be asked: ' local
inside systemctl start dbus.socket
expect well passing 'well.service is active (running)' ok
expect missing critical 'there is no unit missing.service' state
tap_end
