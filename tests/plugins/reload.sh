#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A plugin that a reload brings is tried before anything depends on it, in a process that
# lictord waits for without standing still: what crashes or hangs there is the operator's line
# in the log, and nothing has changed.
# shellcheck source=tests/plugins/setup.sh
. "${top_srcdir:-.}/tests/plugins/setup.sh"

log=$work/log
export RUNTIME_DIRECTORY=$work/run STATE_DIRECTORY=$work/state
export CONSUL_HTTP_ADDR=http://127.0.0.1:1

# within SECONDS COMMAND...
within()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		read -rt 0.05 <> <(:) || true
	done
}

not()
{
	! "$@"
}

logged()
{
	grep -qE -- "$1" "$log"
}

# services WORD [FILE]: what the options of the plugin's check do.
services()
{
	cat >"$work/etc/services.d/a.conf" <<-END
		service "s" {
		  crashy "x" { file = "$work/${2:-word}" $1 }
		}
	END
}

agent_of()
{
	pgrep -P "$1" -f 'lictord: agent'
}

another_agent()
{
	local now
	now=$(agent_of "$lictord") && [ "$now" != "$1" ]
}

conf_of "$work/etc" 'node = "n1" plugins = {"crashy"}'
mkdir "$work/etc/services.d"
cp "$build/tests/plugins/crashy.so" "$work/etc"
"$build/lictord" -c "$work/etc" >"$log" 2>&1 </dev/null &
lictord=$!
trap '[ -z "$lictord" ] || kill -KILL "$lictord"; rm -rf "$work"' EXIT
within 10 agent_of "$lictord" >/dev/null

services ''
kill -HUP "$lictord"
check "one that is well is taken" within 10 logged 'reloaded: 1 service added, 1 check added'
services '' other
kill -HUP "$lictord"
check "what changes in its own options is said" within 10 logged 'reloaded: 1 check changed'
services 'prepare = "crash"'
kill -HUP "$lictord"
check "one that crashes is refused with its line" within 10 logged \
    'stays as it was: .*/services\.d/a\.conf:2: crashy "x": the plugin crashed with signal 11'
services 'prepare = "refuse"'
kill -HUP "$lictord"
check "its own judgement has the line of the option" within 10 logged \
    'stays as it was: .*/services\.d/a\.conf:2: prepare: it is refused, expected another word'
services ''
touch "$work/etc/crashy.so"
kill -HUP "$lictord"
check "code that was loaded is not replaced" within 10 logged \
    'stays as it was: .*/lictor\.conf: plugins: the file of "crashy" is another one now, which'
services 'prepare = "hang"'
kill -HUP "$lictord"
agent=$(agent_of "$lictord")
kill -KILL "$agent"
check "an agent that dies meanwhile is started again" within 5 another_agent "$agent"
check "it was still hanging" not logged 'did not return'
check "one that hangs is given up" within 20 logged \
    'stays as it was: .*/services\.d/a\.conf:2: crashy "x": the plugin did not return within 10 s'
kill -HUP "$lictord"
kill -TERM "$lictord"
check "a stop does not wait for it" wait "$lictord"
lictord=
check "nothing of it is left" not pgrep -f "$work/etc"

# --- before there is anything to be loaded anew ---

trial_of()
{
	trial=$(pgrep -P "$1")
}

"$build/lictord" -c "$work/etc" >"$log" 2>&1 </dev/null &
lictord=$!
within 10 trial_of "$lictord"
kill -HUP "$lictord" "$trial"
kill -KILL "$trial"
wait "$lictord" && status=0 || status=$?
lictord=
check "a hangup at the start does not end it" test "$status" = 1
check "nor what tries the plugins" logged 'the plugin crashed with signal 9'
tap_end
