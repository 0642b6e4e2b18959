#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Names: a real name server (dnsmasq) whose answers change, that is replaced, and that is
# frozen (SIGSTOP). Checks follow the answers within their time to live, and what needs no
# answer is never late.
. "${top_srcdir:-.}/tests/net/setup.sh"
command -v dnsmasq >/dev/null || tap_skip_all "Debian's dnsmasq-base is missing"

HOSTS=server # whose log is shown
dir=$LAB_DIR/server
etc=$dir/etc

configuration()
{
	host_folders server
	cat >"$etc/lictor.conf" <<-END
		defaults { interval = 200ms fast-interval = 200ms timeout = 1s fall = 1 rise = 1 }
		tcp "address" { address = "127.0.0.1:8080" }
		tcp "local" { address = "localhost:8080" }
		tcp "filed" { address = "filed:8080" }
		tcp "kept" { address = "kept.test:8080" }
		icmp "echo" { address = "kept.test" }
		tcp "brief" { address = "brief.test:8080" }
		tcp "patient" { address = "brief.test:8080" timeout = 15s }
		tcp "missing" { address = "missing.test:8080" }
		http "moving" { url = "http://moving.test:8080/" expect-body = "web-1" }
		http "followed" { url = "http://moving.test:8080/" expect-body = "web-1" follow = true }
		dns "asked" { server = "127.0.0.1" name = "kept.test" expect = {"127.0.0.1"} }
		dns "denied" { server = "127.0.0.1" name = "missing.test" }
	END
}

# name_server NAME ADDRESS: what moves is in the file NAME.hosts.
name_server()
{
	start server "$1" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv \
	    --no-hosts --bind-interfaces --listen-address="$2" --user=root --pid-file= \
	    --local=/test/ --local-ttl=1 --addn-hosts="$dir/$1.hosts" \
	    --host-record=kept.test,127.0.0.1,3600 --host-record=brief.test,127.0.0.1,1
}

# lictord with files of its own in place of the machine's, as ip-netns(8) would have it.
lictord_start_named()
{
	daemon_of server
	# shellcheck disable=SC2016 # the inner shell's arguments
	start server lictord bash -c 'for file in resolv.conf hosts; do
		mount --bind "$1/$file" "/etc/$file" || exit 1; done; shift; exec "$@"' \
	    names "$dir" "${DAEMON[@]}"
}

# look NAME EXPRESSION: one check of the status.
look()
{
	lictorctl_at server --json status |
	    jq -e ".checks[] | select(.name == \"$1\") | $2" >/dev/null
}

is()
{
	look "$1" ".status == \"$2\" and .reason == \"$3\""
}

all_are_well()
{
	[ "$(lictorctl_at server --json status |
	    jq -r '[.checks[] | select(.status != "passing") | .name] | sort | join(" ")')" = \
	    "denied missing" ]
}

runs()
{
	lictorctl_at server --json status | jq "[.checks[] | {(.name): .runs}] | add"
}

# late BEFORE AFTER LEAST NAME...: those of which fewer runs ended in between.
late()
{
	local before=$1 after=$2 least=$3 name count
	shift 3
	for name; do
		count=$(($(jq ".\"$name\"" <<<"$after") - $(jq ".\"$name\"" <<<"$before")))
		[ $count -ge "$least" ] || diag "$name: $count runs"
		[ $count -ge "$least" ] || echo "$name"
	done
}

configuration
echo "10.77.0.11 moving.test" >"$dir/first.hosts"
echo "10.77.0.10 moving.test" >"$dir/second.hosts"
echo "127.0.0.1 filed" >"$dir/hosts"
echo "nameserver 127.0.0.1" >"$dir/resolv.conf"

in_host server sh -c 'echo "1 0" >/proc/sys/net/ipv4/ping_group_range'
check "echoes that are forbidden: lictord -t warns" grep -q \
    '^warning: check echo: .*net.ipv4.ping_group_range' \
    <(in_host server "$LICTOR_BUILD/lictord" -t -c "$etc" 2>&1 >/dev/null)
in_host server sh -c 'echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range'
check "and not where they are not" test -z \
    "$(in_host server "$LICTOR_BUILD/lictord" -t -c "$etc" 2>&1 >/dev/null)"

service_start server
service_start web-1
name_server first 127.0.0.1
name_server second 127.0.0.2
lictord_start_named
check "all are well but what is not there" wait_for 10 all_are_well
check "no such name: reason resolve" is missing critical resolve
check "the name server says so itself: reason status" is denied critical status

echo "10.77.0.10 moving.test" >"$dir/first.hosts"
kill -HUP "$(pid_of server first)"
check "another answer is followed" wait_for 5 is moving critical body
check "by libcurl too" wait_for 5 is followed critical body
echo "10.77.0.11 moving.test" >"$dir/first.hosts"
kill -HUP "$(pid_of server first)"
check "and back" wait_for 5 all_are_well

echo "127.0.0.1 missing.test" >>"$dir/hosts"
check "a name new in the hosts file" wait_for 5 is missing passing ok
echo "127.0.0.1 filed" >"$dir/hosts"
check "and gone again" wait_for 5 is missing critical resolve

kill -STOP "$(pid_of server first)"
check "a frozen name server: what has expired fails in time" \
    wait_for 5 is brief critical timeout
check "the server itself too" wait_for 5 is asked critical timeout
before=$(runs)
sleep 3 # the time that is looked at
after=$(runs)
# of 15; whoever waited for the server would have 3
check "what needs no answer is never late" test -z \
    "$(late "$before" "$after" 10 address local filed kept echo)"
check "a run that waits keeps the next one" test -n \
    "$(late "$before" "$after" 6 brief)"
check "who waits long enough hears of it" wait_for 30 is patient critical resolve
check "what is known is used" is kept passing ok
kill -CONT "$(pid_of server first)"
check "it goes on by itself" wait_for 10 all_are_well

echo "nameserver 127.0.0.2" >"$dir/resolv.conf"
check "another server in resolv.conf is asked" wait_for 5 is moving critical body
check "for all" is kept passing ok
tap_end
