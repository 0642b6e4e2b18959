#!/bin/bash
# SPDX-License-Identifier: ISC
#
# What Consul is told about a role, and when. In a planned handover the registration without the
# tag is sent before the write that gives the role away, which does not wait for its answer (here
# those come a second late); the new master's tag is sent as soon as it is master. The term is the
# same in Consul, for the hooks and for the operator.
. "${top_srcdir:-.}/tests/net/setup.sh"

HELD_MS=1000

# sent HOST FROM WHAT: of the requests of that host after line FROM the first that is WHAT; its
# time in microseconds. A register's content is in base64.
sent()
{
	awk -v from="$2" -v what="$3" '
	    NR <= from { next }
	    what != "GIVE" && $2 == "PUT" && index($3, "/v1/agent/service/register") == 1 &&
	    index($0, "\"Name\":\"web\"") && index($0, "\"" what "\"") {
		print $1; exit }
	    what == "GIVE" && $2 == "PUT" && index($3, "/v1/txn") == 1 { print $1, $0 }' \
	    "$LAB_DIR/$1/recorder.out" | while read -r time rest; do
		if [ "$3" != GIVE ] || [[ $(written_by "$rest") == *.GIVE.* ]]; then
			echo "$time"
			break
		fi
	done
}

# The wid of the register that a transaction writes.
written_by()
{
	sed -n 's/.*"Verb":"cas".*"Value":"\([A-Za-z0-9+/=]*\)".*/\1/p' <<<"$1" |
	    base64 -d 2>/dev/null | jq -r .wid 2>/dev/null || true
}

lines()
{
	wc -l <"$LAB_DIR/$1/recorder.out"
}

was_sent()
{
	[ -n "$(sent "$@")" ]
}

# All of its registrations have been answered: Consul is told one thing after the other.
quiet_now()
{
	local last
	last=$(grep -F 'PUT /v1/agent/service/register' "$LAB_DIR/$1/recorder.out" |
	    tail -n 1 | cut -d ' ' -f 1)
	[ $((${EPOCHREALTIME/[.,]/} - last)) -gt $((HELD_MS * 1000 + 300000)) ]
}

listens()
{
	in_host "$1" curl -sS --fail --max-time 1 "http://127.0.0.1:8501/v1/status/leader" \
	    >/dev/null 2>&1
}

# The term as Consul shows it of the host's service.
term_in_consul()
{
	api "$1" "/v1/agent/service/web" | jq -r .Meta.term
}

term_for_operator()
{
	lictorctl_at "$1" status --json | jq -r '.roles[0].term'
}

term_of_hook()
{
	tail -n 1 "$LAB_DIR/$1/term"
}

terms_agree()
{
	local term
	term=$(term_for_operator "$1")
	[ -n "$term" ] && [ "$(term_of_hook "$1")" = "$term" ] &&
	    [ "$(term_in_consul "$1")" = "$term" ]
}

# handed_over FROM TO: what is to be seen of it in the records, which are longer than before.
handed_over()
{
	local backup give master became
	backup=$(sent "$1" "$before_1" backup)
	give=$(sent "$1" "$before_1" GIVE)
	master=$(sent "$2" "$before_2" master)
	backup=${backup:-0} give=${give:-0} master=${master:-0}
	became=$(log_time "$2" ' -> master ')
	diag "registration $((give - backup)) us before the GIVE, tag $((master / 1000 - became)) ms after mastership"
	check "the old tag is taken back before the role is given away ($3)" \
	    test "$backup" -gt 0 -a "$backup" -lt "$give"
	check "which does not wait for Consul's answer ($3)" \
	    at_most $(((give - backup) / 1000)) $((HELD_MS / 2))
	check "the new one is sent at once ($3)" at_most $((master / 1000 - became)) 300
}

# move WHY COMMAND...: makes the other host master.
move()
{
	local why=$1 from=$MASTER to=$BACKUP
	shift
	wait_for 10 quiet_now "$from"
	wait_for 10 quiet_now "$to"
	before_1=$(lines "$from") before_2=$(lines "$to")
	"$@" >/dev/null
	check "the role moves ($why)" wait_for 20 has_address "$to"
	wait_for 10 was_sent "$from" "$before_1" GIVE || true
	wait_for 10 was_sent "$to" "$before_2" master || true
	handed_over "$from" "$to" "$why"
	check "Consul shows it ($why)" wait_for 20 consul_shows master "$to"
	check "the term is the same everywhere ($why)" wait_for 10 terms_agree "$to"
	MASTER=$to BACKUP=$from
}

# shellcheck disable=SC2034 # for the files
NODE_MORE='consul { address = "http://127.0.0.1:8501" }'
NODE_MORE="$NODE_MORE $PATIENT"
consul_cluster
for host in $HOSTS; do
	install -m 666 /dev/null "$LAB_DIR/$host/term"
	echo "echo \"\$LICTOR_TERM\" >>$LAB_DIR/$host/term" >"$LAB_DIR/$host/hook"
	# shellcheck disable=SC2034
	ROLE_MORE="hooks { promote = {\"/bin/sh\", \"$LAB_DIR/$host/hook\"} }" host_files "$host"
	start "$host" recorder "$LICTOR_BUILD/tests/tools/recorder" 8501 8500 \
	    /v1/agent/service/register "$HELD_MS"
	wait_for 10 listens "$host"
	service_start "$host"
	lictord_start "$host"
done
wait_for 60 settled || die "no host became master within 60 s"
pair_look

move switchover lictorctl_at "$MASTER" switchover web
wait_for 20 settled
move "service failed" stop "$MASTER" webservice
tap_end
