#!/bin/bash
# SPDX-License-Identifier: ISC
#
# HTTPS: checks against servers of OpenSSL with certificates of our own authority, each with
# the reason that an operator would look for, and a Consul that speaks nothing but HTTPS
# and wants a certificate of its clients.
. "${top_srcdir:-.}/tests/net/setup.sh"
command -v openssl >/dev/null || tap_skip_all "the program openssl is missing"

HOSTS=server # whose log is shown
tls=$LAB_DIR/tls
etc=$LAB_DIR/server/etc
host_folders server
mkdir "$tls"

# certificate NAME SUBJECTS DAYS: signed by our authority.
certificate()
{
	openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" \
	    -keyout "$tls/$1.key" -out "$tls/$1.csr"
	openssl x509 -req -in "$tls/$1.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" \
	    -CAcreateserial -days "$3" -extfile <(echo "subjectAltName=$2") \
	    -out "$tls/$1.pem"
}

certificates()
{
	local key
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=authority -days 2 \
	    -keyout "$tls/ca.key" -out "$tls/ca.pem"
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=stranger -days 2 \
	    -addext subjectAltName=IP:127.0.0.1 \
	    -keyout "$tls/stranger.key" -out "$tls/stranger.pem"
	certificate good DNS:web.example,IP:127.0.0.1 2
	certificate other DNS:other.example 2
	certificate old IP:127.0.0.1 -1
	certificate client DNS:client 2
	certificate consul DNS:server.dc1.consul,DNS:localhost 2
	openssl rsa -aes128 -passout pass:secret -in "$tls/client.key" \
	    -out "$tls/locked.key"
	echo nonsense >"$tls/nonsense.pem"
	for key in client stranger locked; do
		secret "$tls/$key.key"
	done
}

# server PORT CERTIFICATE OPTION...
server()
{
	local port=$1 name=$2
	shift 2
	start server "tls-$port" openssl s_server -quiet -www -accept "127.0.0.1:$port" \
	    -cert "$tls/$name.pem" -key "$tls/$name.key" "$@"
}

# What is expected of each check; the file is made of the same table.
declare -A EXPECTED=()

# page NAME PORT STATUS REASON OPTION...
page()
{
	EXPECTED[$1]="$3 $4"
	echo "http \"$1\" { url = \"https://127.0.0.1:$2/\" ${*:5} }" >>"$etc/lictor.conf"
}

pages()
{
	local ca="ca-file = '$tls/ca.pem'"
	local asks="-Verify 1 -CAfile $tls/ca.pem -verify_return_error"
	server 9001 good
	server 9002 other
	server 9003 old
	server 9004 stranger
	# shellcheck disable=SC2086 # one argument each
	server 9005 good $asks -tls1_3
	# shellcheck disable=SC2086
	server 9006 good $asks -tls1_2
	page trusted 9001 passing ok "$ca"
	page no-authority 9001 critical tls
	page no-verify 9001 passing ok "verify = false"
	page server-name 9001 passing ok "$ca server-name = web.example"
	page wrong-name 9001 critical tls "$ca server-name = wrong.example"
	page other-host 9002 critical tls "$ca"
	page other-host-named 9002 passing ok "$ca server-name = other.example"
	page out-of-date 9003 critical tls "$ca"
	page stranger 9004 critical tls "$ca"
	page stranger-trusted 9004 passing ok "ca-file = '$tls/stranger.pem'"
	local client="cert-file = '$tls/client.pem' key-file = '$tls/client.key'"
	local wrong="cert-file = '$tls/stranger.pem' key-file = '$tls/stranger.key'"
	page asked-1.3 9005 critical tls "$ca"
	page asked-1.2 9006 critical tls "$ca"
	page shown-1.3 9005 passing ok "$ca $client"
	page shown-1.2 9006 passing ok "$ca $client"
	page refused-1.3 9005 critical tls "$ca $wrong"
	page refused-1.2 9006 critical tls "$ca $wrong"
	# files of ours that are of no use say nothing of the server
	page locked-key 9005 unknown local \
	    "$ca cert-file = '$tls/client.pem' key-file = '$tls/locked.key'"
	page other-key 9005 unknown local \
	    "$ca cert-file = '$tls/client.pem' key-file = '$tls/stranger.key'"
	page no-certificates 9001 unknown local "ca-file = '$tls/nonsense.pem'"
}

consul_https()
{
	consul_conf server "\"server\": true, \"bootstrap_expect\": 1,
	    \"ports\": { \"http\": -1, \"https\": 8501 },
	    \"cert_file\": \"$tls/consul.pem\", \"key_file\": \"$tls/consul.key\",
	    \"ca_file\": \"$tls/ca.pem\", \"verify_incoming_https\": true" \
	    >"$LAB_DIR/server/consul.json"
	consul_start server
	cat >"$etc/lictor.conf" <<-END
		consul {
		  address = "https://127.0.0.1:8501"
		  ca-file = "$tls/ca.pem"
		  cert-file = "$tls/client.pem"
		  key-file = "$tls/client.key"
		  server-name = server.dc1.consul
		}
		defaults { interval = 500ms fast-interval = 100ms fall = 1 }
		service "web" {}
	END
}

# The status as one line for each check: name, status, reason, how often it has run.
checks_now()
{
	lictorctl_at server --json status |
	    jq -r '.checks[] | "\(.name) \(.status) \(.reason) \(.runs)"'
}

all_ran()
{
	[ "$(checks_now | awk '$4 > 1' | wc -l)" = "${#EXPECTED[@]}" ]
}

is_as_expected()
{
	[ "$(checks_now | awk -v name="$1" '$1 == name { print $2, $3 }')" = "$2" ]
}

log_has()
{
	grep -q -- "$1" "$LAB_DIR/server/lictord.log"
}

consul_has_web()
{
	in_host server curl -sS --fail --cacert "$tls/ca.pem" --cert "$tls/client.pem" \
	    --key "$tls/client.key" --connect-to ::127.0.0.1: \
	    "https://server.dc1.consul:8501/v1/health/service/web" |
	    jq -e 'length == 1'
}

certificates 2>"$LAB_DIR/openssl.log"
consul_https
pages
check "the configuration is taken" quiet in_host server "$LICTOR_BUILD/lictord" -t -c "$etc"
lictord_start server
check "the log says what starts" wait_for 5 log_has "starts: 1 service, ${#EXPECTED[@]} checks, 0 roles"
check "every check runs" wait_for 20 all_ran
for name in "${!EXPECTED[@]}"; do
	if [ "${EXPECTED[$name]}" = "unknown local" ]; then
		check "$name: it cannot be judged, and that is said" \
		    log_has "warning check: $name: stays critical, because it cannot be judged"
	else
		check "$name: ${EXPECTED[$name]}" is_as_expected "$name" "${EXPECTED[$name]}"
	fi
done
check "nobody is asked for a pass phrase" not log_has "pass phrase"
check "Consul is told over HTTPS" wait_for 20 quiet consul_has_web
tap_end
