#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Two hosts under Consul's default policy "deny", with etc/lictor-policy.hcl and no more:
# everything works and nothing is said of permissions. Then each rule of it is taken away:
# one warning names it, and another line tells that it is back. web-1 has a check of the
# node, and web-2 has not, nor the rule for one.
. "${top_srcdir:-.}/tests/net/setup.sh"

CONSUL_MORE=$CONSUL_ACL
SERVICE_MORE='ttl "job" { ttl = 1h flap-threshold = 0 }'

# What is said of the rule when it is missing (with it) and when it is back. Which call meets
# the refusal first is chance: a registration or a report.
declare -A MISSING=(
	[agent]='the name of this node is not told .* lacks agent read for this node'
	[service-lictor]='(registering lictor|the heartbeat) is denied .* lacks service "lictor" write'
	[service-web]='(registering web|reporting web:[a-z]*) is denied .* lacks service "web" write'
	[node]='lictor:disk is denied .* lacks node "NODE" write'
	[node_prefix]='shows nothing of the node NODE: .* lacks node_prefix "" read'
	[session]='refuses this host a session, .* needs session "NODE" write'
	[key_prefix]='use the keys of the role: .* needs key_prefix "lictor/roles/web/" write'
	[key]=''
)
declare -A BACK=(
	[agent]='web: this host is ready for it'
	[service-lictor]='(registering lictor|the heartbeat) works again'
	[service-web]='(registering web|reporting web:[a-z]*) works again'
	[node]='lictor:disk works again'
	[node_prefix]='shows the node NODE again'
	[session]='gives this host a session again'
	[key_prefix]="lets this host use the role's keys again"
	[key]=''
)

# nudge HOST COMMAND: something to tell, of the service, of the role and of the node.
nudge()
{
	lictorctl_at "$1" "$2" web/job && { [ "$1" = web-2 ] || lictorctl_at "$1" "$2" disk; }
}

# The rules of a host.
rules_of()
{
	if [ "$1" = web-2 ]; then acl_rules "$1" | grep -v '^node '; else acl_rules "$1"; fi
}

# What is refused once is tried again with what is to be told next.
nudged_back()
{
	nudge "$1" warn && nudge "$1" pass && said "$1" "$2"
}

prepare()
{
	local host=$1
	local more="consul { ttl = 3s token-file = \"$LAB_DIR/$host/token\" }"
	[ "$host" = web-2 ] || more+=' ttl "disk" { ttl = 1h flap-threshold = 0 }'
	NODE_MORE=$more host_files "$host"
	POLICY[$host]=$(rules_of "$host" | acl_policy "$host")
	acl_token "$host"
}

# The name by which the tables know a rule.
rule_name()
{
	sed -E 's/^(service) "([^"]*)".*/\1-\2/; s/ .*//' <<<"$1"
}

# said HOST PATTERN: on a line that was logged since log_mark.
log_mark()
{
	MARK=$(wc -l <"$LAB_DIR/$1/lictord.log")
}

log_new()
{
	tail -n +$((MARK + 1)) "$LAB_DIR/$1/lictord.log"
}

said()
{
	grep -qE -- "${2//NODE/$1}" <(log_new "$1")
}

complaints()
{
	log_new "$1" | grep -E '^[^ ]+ [^ ]+ (warning|error) (consul|role)' || true
}

# Whatever needs the rule says so, and nothing twice.
said_once()
{
	local said
	said=$(complaints "$1" | cut -d ' ' -f 3-)
	[ -n "$said" ] && [ -z "$(sort <<<"$said" | uniq -d)" ] &&
	    ! grep -qvE -- "${2//NODE/$1}" <<<"$said"
}

# without HOST RULE: that rule is taken away until it is said, and given back until that is.
without()
{
	local host=$1 rule=$2 name
	name=$(rule_name "$rule")
	log_mark "$host"
	[ "$name" != agent ] || stop "$host" lictord
	rules_of "$host" | grep -vxF -- "$rule" | acl_policy "$host" "${POLICY[$host]}" >/dev/null
	[ "$name" != agent ] || lictord_start "$host"
	wait_for 10 nudge "$host" fail
	wait_for 15 said "$host" "${MISSING[$name]}" || diag "$rule: nothing is said"
	rules_of "$host" | acl_policy "$host" "${POLICY[$host]}" >/dev/null
	check "$rule: its return is said" wait_for 15 nudged_back "$host" "${BACK[$name]}"
	if [ -z "${MISSING[$name]}" ]; then
		check "$rule: its absence is not felt" test -z "$(complaints "$host")"
	else
		check "$rule: its absence is said once" said_once "$host" "${MISSING[$name]}"
	fi
	complaints "$host" | sed 's/^/# /'
}

declare -A POLICY=()
consul_cluster
for host in $HOSTS; do
	prepare "$host"
	service_start "$host"
	lictord_start "$host"
	wait_for 10 nudge "$host" pass
done
check "with the least policy one host becomes master" wait_for 30 settled
pair_look
MARK=0
until [ "$MASTER" = web-2 ] && [ "$TAP_COUNT" -gt 1 ]; do
	check "a switchover to $BACKUP is carried out" \
	    quiet lictorctl_at "$MASTER" switchover web "$BACKUP"
	check "Consul shows it" wait_for 10 settled
	pair_look
done
wait_for 5 nudge "$BACKUP" warn
for host in $HOSTS; do
	check "$host has nothing to complain of" test -z "$(complaints "$host")"
done
nudge "$BACKUP" pass
mapfile -t rules < <(acl_rules web-1)
check "the policy has the rules that are looked at here" \
    test "${#rules[@]}" = "${#MISSING[@]}"
for rule in "${rules[@]}"; do
	if [[ $rule = node_prefix* ]]; then
		# who may write the node sees it in any case
		without web-2 "$rule"
	else
		without web-1 "$rule"
	fi
done
check "both hosts are as they were" wait_for 10 settled

# a token that is revoked, and given back when the TTL has run out
token_revoke()
{
	local id
	id=$(api server /v1/acl/tokens |
	    jq -er --arg name "$1" '.[] | select(any(.Policies[]?; .Name == $name)) | .AccessorID') &&
	    api server "/v1/acl/token/$id" -X DELETE >/dev/null
}

token_return()
{
	jq -n --arg name "$1" --rawfile token "$LAB_DIR/$1/token" \
	    '{ SecretID: $token | rtrimstr("\n"), Policies: [{ Name: $name }] }' |
	    api server /v1/acl/token -X PUT -d @- >/dev/null
}

# shows CHECK STATUS: on the backup.
shows()
{
	api server "/v1/health/node/$BACKUP" | jq -e --arg id "$1" --arg status "$2" \
	    'any(.[]; .CheckID == $id and .Status == $status)' >/dev/null
}

shows_truth()
{
	shows service:lictor passing && shows web:job warning && shows web:lictor passing
}

# What the agent itself shows: it tells the servers by the token that is revoked.
agent_shows_critical()
{
	api "$BACKUP" /v1/agent/checks |
	    jq -e '."service:lictor".Status == "critical"' >/dev/null
}

pair_look
check "a token is revoked" token_revoke "$BACKUP"
check "its host is vouched for no more" wait_for 10 agent_shows_critical
lictorctl_at "$BACKUP" warn web/job
check "the token is given back" token_return "$BACKUP"
check "what is true then is shown within two seconds" wait_for 2 shows_truth
lictorctl_at "$BACKUP" pass web/job
check "both hosts are as they were after that, too" wait_for 10 settled

# a Consul that wants a permission of its own for lists, and takes policies only some time
# after it was started
allow_lists()
{
	{ rules_of "$1" && echo 'key_prefix "lictor/roles/" { policy = "list" }'; } |
	    acl_policy "$1" "${POLICY[$1]}"
}

log_mark web-1
sed -i 's/"policy_ttl"/"enable_key_list_policy": true, "policy_ttl"/' \
    "$LAB_DIR/server/consul.json"
stop server consul KILL
consul_start server
check "a list that is refused is said" wait_for 20 said web-1 \
    'does not list .* key_prefix "lictor/roles/" list'
for host in $HOSTS; do
	wait_for 10 allow_lists "$host"
done
check "so is its return" wait_for 10 said web-1 "lists the roles' keys again"
check "all is well" wait_for 20 settled
tap_end
