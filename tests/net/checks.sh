#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Checks that others measure: Debian's monitoring plugins as scripts, whose performance data
# become metrics in the status, and a job that reports its outcome with lictorctl, as
# Consul shows it.
. "${top_srcdir:-.}/tests/net/setup.sh"
plugins=/usr/lib/nagios/plugins
[ -x $plugins/check_http ] || tap_skip_all "Debian's monitoring-plugins-basic is missing"

HOSTS=server # whose log is shown
etc=$LAB_DIR/server/etc

configuration()
{
	host_folders server
	cat >"$etc/lictor.conf" <<-END
		defaults { interval = 300ms fast-interval = 100ms timeout = 5s fall = 1 rise = 1 }
		script "disk" { convention = nagios
		  command = {"$plugins/check_disk", "-w", "1%", "-c", "1%", "-p", "/"} }
		script "procs" { convention = nagios
		  command = {"$plugins/check_procs", "-w", "1:99999"} }
		script "load" { convention = nagios
		  command = {"$plugins/check_load", "-w", "999,999,999", "-c", "999,999,999"} }
		script "busy" { convention = nagios
		  command = {"$plugins/check_load", "-w", "0,0,0", "-c", "999,999,999"} }
		script "http" { convention = nagios
		  command = {"$plugins/check_http", "-H", "127.0.0.1", "-p", "8080"}
		  output-size = 20 }
		script "refused" { convention = nagios
		  command = {"$plugins/check_http", "-H", "127.0.0.1", "-p", "1"} }
		service "backup" {
		  ttl "job" { ttl = 1h }
		  ttl "silent" { ttl = 2s }
		}
	END
}

# One check of the status, as a jq expression says.
look()
{
	lictorctl_at server --json status |
	    jq -e "(.checks[], .services[].checks[]) | select(.name == \"$1\") | $2" >/dev/null
}

# is NAME STATUS: and how often it has run.
is()
{
	look "$1" ".status == \"$2\" and .runs > 1"
}

measures()
{
	look "$1" "[.metrics[] | select(.name == \"$2\" and .unit == \"$3\") | .value] |
	    length == 1 and .[0] >= 0"
}

# consul_says CHECK-ID STATUS
consul_says()
{
	[ "$(api server /v1/agent/checks | jq -r ".\"$1\".Status")" = "$2" ]
}

log_has()
{
	grep -q -- "$1" "$LAB_DIR/server/lictord.log"
}

configuration
consul_start server
service_start server
lictord_start server
for name in disk procs load http; do
	check "check_$name passes" wait_for 20 is $name passing
done
check "an idle host is busy to whoever says so" wait_for 20 is busy warning
check "check_http finds no server" wait_for 20 is refused critical
check "check_disk measures /" measures disk / B
check "check_procs measures procs" measures procs procs ""
check "check_load measures load1" measures load load1 ""
check "check_load measures load15" measures load load15 ""
check "check_http measures the time" measures http time s
check "check_http measures the size" measures http size B
check "a text that is kept short has all its figures" look http '.output | length == 20'
check "a figure is not part of the text" look disk '.output | contains("|") | not'

check "a job that has not reported is as it was" \
    look job '.status == "critical" and .known == false'
lictorctl_at server pass backup/job "all saved"
check "a report is seen at once" look job '.status == "passing" and .output == "all saved"'
check "Consul says so" wait_for 5 consul_says backup:job passing
lictorctl_at server warn backup/job "half saved"
check "a warning too" wait_for 5 consul_says backup:job warning
lictorctl_at server fail backup/job "nothing saved"
check "and a failure" wait_for 5 consul_says backup:job critical
lictorctl_at server pass backup/job
check "it is well again" wait_for 5 consul_says backup:job passing
lictorctl_at server pass backup/silent
check "a job that falls silent is critical" wait_for 10 consul_says backup:silent critical
check "for that reason" look silent '.reason == "timeout"'
check "the log says it" log_has \
    "backup/silent: passing -> critical, because timeout: nobody has reported within 2s"
check "a check that lictor runs cannot be reported" not lictorctl_at server pass disk
check "nor one that does not exist" not lictorctl_at server pass backup/other
tap_end
