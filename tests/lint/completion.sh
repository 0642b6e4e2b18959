#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The completions of the two programs: every command is offered, names come from the status,
# options from the help.
set -euo pipefail
top=$(realpath "${top_srcdir:-.}")
build=$(realpath "${top_builddir:-.}")
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/lictorctl" <<EOF
#!/bin/sh
case "\$*" in *status*) cat "$work/status" ;; *) exec "$build/lictorctl" "\$@" ;; esac
EOF
chmod 755 "$work/lictorctl"
cat >"$work/status" <<'EOF'
lictor 1 on web-1: Consul at http://127.0.0.1:8500 answers and is being told

ROLE  STATE   READY  TERM  WHY      MASTER  CANDIDATES              ADDRESSES
web   master  yes    17    elected  web-1   web-1 100, web-2 50     -
db    backup  yes    -     start    web-2   -                       -
web: paused by bob: new switch

ROLE  PEER   ADDRESS        MEMBER  HEARD      ANSWERED  TRIP
web   web-2  10.0.0.2 8521  yes     0.4 s ago  2 h ago   0.3 ms
db    web-3  -              no      never      never     -
UDP 8521 from web-3 not heard: a firewall?

SERVICE  STATUS   CHECK  TYPE  STATUS   REASON  RUNS  OUTPUT
idle     passing  -      -     -        -       -     -
EOF
PATH=$work:$build:$PATH
for program in lictorctl lictord; do
	# shellcheck source=/dev/null
	. "$top/etc/bash-completion/$program"
done

# offered WORDS...: what is offered for the last of them, on one line.
offered()
{
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	"_$1"
	echo "${COMPREPLY[*]}"
}

# is EXPECTED WORDS...
is()
{
	local expected=$1 got
	got=$(offered "${@:2}")
	[ "$got" = "$expected" ] || { echo "# ${*:2}: $got" && return 1; }
}

commands=$("$build/lictorctl" --help | sed -nE 's/^  ([a-z]+).*/\1/p' | xargs)
check "every command" is "$commands" lictorctl ""
check "a beginning" is "pause pass" lictorctl pa
for command in switchover pause resume explain init failover; do
	check "roles for $command" is "db web" lictorctl "$command" ""
done
check "nodes to switch to" is "web-2 web-3" lictorctl switchover web ""
check "nodes to fence" is "web-2 web-3" lictorctl failover web web-2 --i-have-fenced ""
check "options do not count as words" is "db web" lictorctl --json -s x pause ""
check "services in maintenance" is "idle" lictorctl maintenance on ""
check "a key is rotated" is "rotate" lictorctl key ""
check "options" is "--json" lictorctl --j
check "options of the daemon" is "--test" lictord --t
check "subjects" is "peer" lictord -d pe
tap_end
