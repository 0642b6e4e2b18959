#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A Consul that wants a certificate of everybody (verify_incoming): lictor shows its own,
# says what is wrong with one that Consul does not take, and takes new files up while it
# runs, when the whole authority is replaced. Then the same Consul by its unix socket, as
# CONSUL_HTTP_ADDR names it.
. "${top_srcdir:-.}/tests/net/setup.sh"
command -v openssl >/dev/null || tap_skip_all "the program openssl is missing"

HOSTS=server # whose log is shown
tls=$LAB_DIR/tls
etc=$LAB_DIR/server/etc
socket=$LAB_DIR/server/http.sock
host_folders server
mkdir "$tls"

# certificate AUTHORITY NAME SUBJECTS
certificate()
{
	openssl req -newkey rsa:2048 -nodes -subj "/CN=$2" \
	    -keyout "$tls/$1-$2.key" -out "$tls/$2.csr"
	openssl x509 -req -in "$tls/$2.csr" -CA "$tls/$1.pem" -CAkey "$tls/$1.key" \
	    -CAcreateserial -days 2 -extfile <(echo "subjectAltName=$3") \
	    -out "$tls/$1-$2.pem"
}

# authority NAME: with a certificate for Consul and one for lictor.
authority()
{
	openssl req -x509 -newkey rsa:2048 -nodes -subj "/CN=$1" -days 2 \
	    -keyout "$tls/$1.key" -out "$tls/$1.pem"
	certificate "$1" consul DNS:server.dc1.consul,IP:127.0.0.1
	certificate "$1" lictor DNS:lictor
}

# give WHO AUTHORITY: its files, each replaced in one step.
give()
{
	local file
	for file in "$2.pem" "$2-$1.pem" "$2-$1.key"; do
		cp "$tls/$file" "$tls/new"
		if [[ $file == *.key ]]; then
			secret "$tls/new"
		else
			chmod 644 "$tls/new"
		fi
		mv "$tls/new" "$tls/$1-${file##*"$2"}"
	done
}

consul_tls()
{
	consul_conf server "\"server\": true, \"bootstrap_expect\": 1,
	    \"ports\": { \"https\": 8501 }, \"addresses\": { \"http\": \"unix://$socket\" },
	    \"unix_sockets\": { \"mode\": \"0666\" },
	    \"cert_file\": \"$tls/consul--consul.pem\",
	    \"key_file\": \"$tls/consul--consul.key\",
	    \"ca_file\": \"$tls/consul-.pem\", \"verify_incoming\": true" \
	    >"$LAB_DIR/server/consul.json"
	consul_start server
}

consul_again()
{
	stop server consul KILL
	consul_start server
}

# What Consul shows of web's check; by the socket, which wants no certificate.
shown()
{
	in_host server curl -sS --max-time 5 --unix-socket "$socket" \
	    http://localhost/v1/health/checks/web |
	    jq -r '.[] | select(.CheckID == "web:job").Status'
}

shows()
{
	[ "$(shown)" = "$1" ]
}

# report COMMAND STATUS: what is told here is shown there.
report()
{
	lictorctl_at server "$1" web/job && wait_for 10 shows "$2"
}

log_has()
{
	grep -qE -- "$1" "$LAB_DIR/server/lictord.log"
}

for name in first second; do
	authority "$name"
done 2>"$LAB_DIR/openssl.log"
give consul first
give lictor first
cat >"$etc/lictor.conf" <<-END
	consul {
	  address = "https://127.0.0.1:8501"
	  ca-file = "$tls/lictor-.pem"
	  cert-file = "$tls/lictor--lictor.pem"
	  key-file = "$tls/lictor--lictor.key"
	}
END
cat >"$etc/services.d/web.conf" <<-END
	service "web" { ttl "job" { ttl = 1h flap-threshold = 0 } }
END
consul_tls
lictord_start server
wait_for 10 lictorctl_at server pass web/job
check "a report passes by mutual TLS" wait_for 20 shows passing
descriptors=$(find /proc/"$(lictord_pids server | head -n 1)"/fd | wc -l)

# lictor's own certificate is one that Consul does not take: its connections go on
give lictor second
check "connections that stand go on" report warn warning
consul_again
check "what is wrong is said" wait_for 10 log_has \
    'consul: https://127.0.0.1:8501 (still )?does not answer.*certificate'
give lictor first
check "the files are read again" wait_for 20 log_has 'answers again'
check "and reports pass" report fail critical

# everybody gets new ones
give consul second
consul_again
give lictor second
check "a new authority is taken over" report pass passing
check "lictor was not restarted" test "$(log_count server 'lictord .* starts')" = 1
check "no descriptor is lost" at_most \
    "$(find /proc/"$(lictord_pids server | head -n 1)"/fd | wc -l)" "$descriptors"

stop server lictord
: >"$etc/lictor.conf"
export CONSUL_HTTP_ADDR="unix://$socket"
lictord_start server
unset CONSUL_HTTP_ADDR
wait_for 10 lictorctl_at server warn web/job
check "a report passes by the unix socket" wait_for 20 shows warning
consul_again
check "and by that of a new agent" report fail critical
check "which was gone in between" wait_for 10 log_has "$socket does not answer"
tap_end
