#!/bin/bash
# SPDX-License-Identifier: ISC
#
# register = false: checks in a service that somebody else registers. They come when the
# service does, follow what is measured, outlive its registrations, and nothing of it that
# is not ours is touched, be it by a reload that takes them away.
. "${top_srcdir:-.}/tests/net/setup.sh"

HOSTS=server # whose log is shown
etc=$LAB_DIR/server/etc
up=$LAB_DIR/server/up

configuration()
{
	host_folders server
	echo 'defaults { interval = 200ms fast-interval = 100ms fall = 1 rise = 1 }' \
	    >"$etc/lictor.conf"
	cat >"$etc/services.d/app.conf" <<-END
		service "app" {
		  register = false
		  script "up" { command = {"/usr/bin/test", "-e", "$up"} }
		}
	END
}

# owner PARAMETERS TAG
owner()
{
	api server "/v1/agent/service/register$1" -X PUT -d '{"ID": "app", "Name": "app",
	    "Port": 99, "Tags": ["'"$2"'"], "Checks": [{"CheckID": "own", "TTL": "10m",
	    "Status": "passing"}]}'
}

# Its checks and their states, on one line.
checks()
{
	api server /v1/agent/checks |
	    jq -r '.[] | select(.ServiceID == "app") | "\(.CheckID)=\(.Status)"' |
	    sort | paste -sd' ' -
}

checks_are()
{
	[ "$(checks)" = "$1" ]
}

tag_is()
{
	[ "$(api server /v1/agent/services | jq -r '.app | "\(.Tags[]) \(.Port)"')" = "$1 99" ]
}

# said NUMBER WORDS
said()
{
	[ "$(log_count server "$2")" = "$1" ]
}

all="app:lictor=passing app:up=passing own=passing"

touch "$up"
configuration
consul_start server
wait_for 30 api server /v1/catalog/node/server
lictord_start server
check "nobody has registered it: that is said" \
    wait_for 10 said 1 "service app is registered by nobody"
check "and nothing is there" checks_are ""

owner "" one
check "its checks are added, passing" wait_for 5 checks_are "$all"
check "its notes say whose they are" test "$(api server /v1/agent/checks |
    jq -r '."app:up".Notes')" = "lictor: app"
check "the service is its owner's" tag_is one
rm "$up"
check "a check that fails is shown" \
    wait_for 5 checks_are "app:lictor=passing app:up=warning own=passing"
touch "$up"
check "and its end" wait_for 5 checks_are "$all"

owner "" two
check "it is registered again: nothing is lost" checks_are "$all"
check "with what its owner says" tag_is two
owner "?replace-existing-checks=true" three
check "its checks are replaced: ours come back" wait_for 5 checks_are "$all"

api server /v1/agent/service/deregister/app -X PUT
check "its owner ends it: that is said" \
    wait_for 10 said 2 "service app is registered by nobody"
owner "" four
check "it is there again, and so are its checks" wait_for 5 checks_are "$all"

stop server lictord
lictord_start server
check "after a restart they are the same" wait_for 10 said 2 "lictord .* starts"
check "and nothing flapped" checks_are "$all"

rm "$etc/services.d/app.conf"
check "a reload without it" lictorctl_at server reload
check "takes ours away, and no other" wait_for 5 checks_are "own=passing"
check "the service stays its owner's" tag_is four
check "nothing was refused" said 0 '(warning|error) consul:'
tap_end
