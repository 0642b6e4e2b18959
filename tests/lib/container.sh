# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# A real systemd, booted in a container on this machine's own files: an overlay, so nothing
# of them changes. The caller makes the folder CONTAINER_DIR, which is /lab inside, with the
# units of the boot in its folder units (lab.target is what is booted), sets a trap and calls
# container_end in it.

CONTAINER_DIR=
CONTAINER_INIT=
container_pid=

# One sentence where no container can be; nothing if it may.
container_impossible()
{
	if [ "$(id -u)" != 0 ]; then
		echo "a container needs root"
	elif ! command -v systemd-nspawn >/dev/null; then
		echo "Debian's systemd-container is missing"
	fi
}

# container_boot OPTION...: options are systemd-nspawn's. In a mount namespace of its own,
# since the root itself cannot be taken.
container_boot()
{
	# shellcheck disable=SC2016 # the inner shell's arguments
	unshare -m bash -c '
		dir=$1 build=$2
		shift 2
		mkdir -p "$dir/root" /run/systemd/nspawn &&
		mount -t tmpfs none /run/systemd/nspawn && mount --bind / "$dir/root" &&
		exec systemd-nspawn -q -D "$dir/root" -M "lictor-$$" \
		    --volatile=overlay --register=no --keep-unit --bind="$dir:/lab" \
		    --bind-ro="$build:/build" \
		    --bind-ro="$dir/units:/usr/local/lib/systemd/system" \
		    --kill-signal=SIGKILL "$@" -b systemd.unit=lab.target
	' boot "$CONTAINER_DIR" "$LICTOR_BUILD" "$@" >"$CONTAINER_DIR/boot.log" 2>&1 \
	    </dev/null &
	container_pid=$!
	wait_for 20 container_found
}

# The first process of the container: of those below ours the one that is number 1 in it.
container_found()
{
	local pid
	for pid in $(ps -o pid= --ppid "$container_pid"); do
		if [ "$(awk '/^NSpid:/ { print $NF }' "/proc/$pid/status")" = 1 ]; then
			CONTAINER_INIT=$pid
			return
		fi
	done
	return 1
}

# inside COMMAND...
inside()
{
	nsenter -t "$CONTAINER_INIT" -m -u -i -n -p "$@"
}

# is UNIT STATE
is()
{
	[ "$(inside systemctl is-active "$1")" = "$2" ]
}

# The container is a namespace of processes: they go with the first one.
container_end()
{
	[ -z "$CONTAINER_INIT" ] || kill -KILL "$CONTAINER_INIT" 2>/dev/null || true
	[ -z "$container_pid" ] || wait "$container_pid" || true
}
