#!/bin/bash
# SPDX-License-Identifier: ISC
#
# What Consul lost comes back: a service that somebody deregistered, everything after the
# agent's folder was wiped, and nothing that is not ours is touched.
. "${top_srcdir:-.}/tests/net/setup.sh"

# The ids of a host's checks in the catalog, on one line.
checks_of()
{
	api server "/v1/health/node/$1" | jq -r '.[].CheckID' | sort | paste -sd' ' -
}

checks_are()
{
	[ "$(checks_of "$1")" = "$2" ]
}

pair_start lictord_start
all=$(checks_of "$BACKUP")
diag "checks of a host: $all"

api "$BACKUP" /v1/agent/service/deregister/web -X PUT
check "a deregistered service is registered again" wait_for 10 checks_are "$BACKUP" "$all"
api "$BACKUP" /v1/agent/check/deregister/web:page -X PUT
check "a deregistered check is registered again" wait_for 10 checks_are "$BACKUP" "$all"
check "Consul shows both hosts" wait_for 10 settled

api "$BACKUP" /v1/agent/service/register -X PUT -d '{"Name":"foreign","Port":1}'
stop "$BACKUP" consul KILL
rm -rf "$LAB_DIR/$BACKUP/consul"
consul_start "$BACKUP"
check "an agent that lost all is told all" wait_for 40 checks_are "$BACKUP" "$all"
check "Consul shows both hosts again" wait_for 20 settled

api "$MASTER" /v1/agent/service/register -X PUT -d '{"Name":"foreign","Port":1}'
stop "$MASTER" consul KILL
consul_start "$MASTER"
check "the master's agent restarted: both hosts are shown" wait_for 40 settled
check "what is not ours is not touched" \
    test "$(api "$MASTER" /v1/agent/services | jq -r '.foreign.Service')" = foreign

# In one step, so that nobody sees it missing; by hand an operator takes two.
anew()
{
	local kv='"Key": "lictor/roles/web/register"' value
	value=$(api server /v1/kv/lictor/roles/web/register | jq -r '.[0].Value')
	api server /v1/txn -X PUT -d "[{\"KV\": {\"Verb\": \"delete\", $kv}},
		{\"KV\": {\"Verb\": \"set\", $kv, \"Value\": \"$value\"}}]"
}

pair_look
check "the register is written anew, as it was" quiet anew
check "a switchover goes on from that" quiet lictorctl_at "$MASTER" switchover web
check "and both hosts are shown" wait_for 10 settled
tap_end
