#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A plugin that crashes on the master: the agent goes with it and comes back, and nobody
# outside notices. The address stays, Consul shows nothing critical, the log says whose
# fault it was. What crashed three times within a minute is left out.
# An agent that starts when the plugin is another one, or gone, does without it.
. "${top_srcdir:-.}/tests/net/setup.sh"

NODE_MORE=$PATIENT

crashed="agent died \(signal 11 \(Segmentation fault\)\) in the plugin crashy, in the check web/db"
left_out="the plugin crashy is left out: it crashed three times within a minute"

# Every state of a check of the service that Consul ever shows, as it changes.
watcher_start()
{
	# shellcheck disable=SC2016 # the inner shell's
	start server watcher bash -c '
		index=1
		while answer=$(curl -sS -i --fail "$1&index=$index&wait=10s"); do
			index=$(sed -n "s/^X-Consul-Index: \([0-9]*\).*/\1/p" <<<"$answer")
			sed "1,/^\r*$/d" <<<"$answer" |
			    jq -r ".[].Checks[] | \"\(.Node) \(.CheckID) \(.Status)\""
		done' watcher "http://127.0.0.1:8500/v1/health/service/web?"
	wait_for 10 grep -q passing "$LAB_DIR/server/watcher.out"
}

# The plugin's check on the master is passing with this output, in lictor's own words …
says()
{
	[[ "$(lictorctl_at "$MASTER" status --json |
	    jq -r '.. | objects | select(.type? == "crashy") | "\(.status): \(.output)"')" == \
	    "passing: "$1 ]]
}

# … and in Consul, which hears of an output alone when it is convenient.
shows()
{
	[[ "$(api server "/v1/health/node/$MASTER" |
	    jq -r '.[] | select(.CheckID == "web:db") | "\(.Status): \(.Output)"')" == \
	    "passing: "$1 ]]
}

logged_times()
{
	[ "$(log_count "$MASTER" "$1")" = "$2" ]
}

for host in $HOSTS; do
	SERVICE_MORE="crashy \"db\" { file = \"$LAB_DIR/$host/word\" }" host_files "$host"
	mkdir "$LAB_DIR/$host/plugins"
	cp "$LICTOR_BUILD/tests/plugins/crashy.so" "$LAB_DIR/$host/plugins"
	printf 'plugins = {"crashy"}\nplugin-directory = "%s"\n' "$LAB_DIR/$host/plugins" \
	    >>"$LAB_DIR/$host/etc/lictor.conf"
done
# the sanitizers' handlers would make an exit of a signal
export ASAN_OPTIONS=handle_segv=0
pair_start lictord_start
holder=$(register .holder)
check "the plugin's check passes" wait_for 10 says "well"
asker_start "$VIP"
observer_start
watcher_start

echo crash >"$LAB_DIR/$MASTER/word"
check "the log says whose fault it was" wait_for 10 logged_times "$crashed" 1
rm "$LAB_DIR/$MASTER/word"
check "the check is unknown, its state the same" wait_for 10 \
    says "unknown, until it runs again: *in the crashy check web/db"
check "it runs again" wait_for 10 says "well"

echo crash >"$LAB_DIR/$MASTER/word"
check "after three crashes it is left out" wait_for 30 logged_times "$left_out" 1
check "three, not more" logged_times "$crashed" 3
check "Consul shows why, and the state as it was" wait_for 30 shows "$left_out"
check "its runs have ended, the others go on" wait_for 10 settled

waited=$(asker_stop)
diag "the client waited $waited ms"
check "the address stayed" at_most "$waited" $((5 * slack))
check "the role stayed" test "$(register .holder)" = "$holder"
stop server watcher
check "Consul never showed anything critical" not grep -q critical "$LAB_DIR/server/watcher.out"

# agent_killed PATTERN: the backup's agent, after which its log has one more such line.
agent_killed()
{
	local count
	count=$(log_count "$BACKUP" "$1")
	kill -KILL "$(process_of "$BACKUP" agent)"
	wait_for 10 eval "[ \"\$(log_count $BACKUP '$1')\" -gt $count ]"
}

plugin=$LAB_DIR/$BACKUP/plugins/crashy.so
rm "$plugin"
check "without the file the agent leaves the plugin out" \
    agent_killed "the plugin crashy is left out: .* No such file or directory"
sed 's/"file"/"path"/' "$top/tests/plugins/crashy.c" |
    ${CC:-cc} -shared -fPIC -I"$top" -o "$plugin" -x c -
check "with another one that has other options too" \
    agent_killed "all plugins are left out, since one has changed: .*unknown option .file."
check "the other checks go on" wait_for 10 settled
summary=$(observer_stop)
check "never two holders" never_two "$summary"
check "the address never moved" grep -q 'switches 0$' <<<"$summary"
tap_end
