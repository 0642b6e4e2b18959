#!/bin/bash
# SPDX-License-Identifier: ISC
#
# gRPC's health service, as Debian's gRPC library serves it: every status, a service that is
# not known, none at all, a call that fails, and a server that speaks no gRPC.
. "${top_srcdir:-.}/tests/net/setup.sh"
/usr/bin/python3 -c 'import grpc' 2>/dev/null || tap_skip_all "Debian's python3-grpcio is missing"

HOSTS=server # whose log is shown
etc=$LAB_DIR/server/etc
host_folders server
declare -A EXPECTED=()

# probe NAME STATUS REASON OPTION...
probe()
{
	EXPECTED[$1]="$2 $3"
	echo "grpc \"$1\" { ${*:4} }" >>"$etc/lictor.conf"
}

certificate()
{
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2 \
	    -addext subjectAltName=DNS:localhost -keyout "$LAB_DIR/key" -out "$LAB_DIR/pem"
}

# The service named s1 has the status 1, and so on; "fail" fails with UNAVAILABLE.
grpc_server()
{
	cat >"$LAB_DIR/server.py" <<-END
		import grpc, sys
		from concurrent import futures

		def check(request, context):
		    name = request[2:].decode()
		    if name == "fail":
		        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
		    if name and not name.startswith("s"):
		        context.abort(grpc.StatusCode.NOT_FOUND, "what is that?")
		    return bytes([8, int(name[1:] or 1)])

		class Health(grpc.GenericRpcHandler):
		    def service(self, call):
		        if call.method == "/grpc.health.v1.Health/Check":
		            return grpc.unary_unary_rpc_method_handler(check)

		handlers = () if len(sys.argv) > 1 and sys.argv[1] == "none" else (Health(),)
		server = grpc.server(futures.ThreadPoolExecutor(2), handlers=handlers)
		if len(sys.argv) > 1 and sys.argv[1] == "none":
		    server.add_insecure_port("127.0.0.1:50052")
		else:
		    pair = (open("$LAB_DIR/key", "rb").read(), open("$LAB_DIR/pem", "rb").read())
		    server.add_insecure_port("127.0.0.1:50051")
		    server.add_secure_port("localhost:50053", grpc.ssl_server_credentials([pair]))
		server.start()
		server.wait_for_termination()
	END
	start server grpc /usr/bin/python3 "$LAB_DIR/server.py"
	start server grpc-none /usr/bin/python3 "$LAB_DIR/server.py" none
}

is_as_expected()
{
	[ "$(lictorctl_at server --json status |
	    jq -r ".checks[] | select(.name == \"$1\") | \"\(.status) \(.reason)\"")" = "$2" ]
}

certificate 2>"$LAB_DIR/openssl.log"
cat >"$etc/lictor.conf" <<-END
	defaults { interval = 400ms fast-interval = 100ms fall = 1 rise = 1 }
END
probe whole passing ok "address = '127.0.0.1:50051'"
probe serving passing ok "address = '127.0.0.1:50051' service = s1"
probe unknown critical state "address = '127.0.0.1:50051' service = s0"
probe not-serving critical state "address = '127.0.0.1:50051' service = s2"
probe nonsense critical protocol "address = '127.0.0.1:50051' service = s9"
probe not-known critical state "address = '127.0.0.1:50051' service = other"
probe fails critical status "address = '127.0.0.1:50051' service = fail"
probe no-health critical status "address = '127.0.0.1:50052'"
probe no-server critical refused "address = '127.0.0.1:1'"
probe page critical closed "address = '127.0.0.1:8500'"
probe secure passing ok "address = 'localhost:50053' tls = true ca-file = '$LAB_DIR/pem'"
probe stranger critical tls "address = 'localhost:50053' tls = true"
consul_start server
service_start server
grpc_server
lictord_start server
for name in "${!EXPECTED[@]}"; do
	check "$name: ${EXPECTED[$name]}" wait_for 15 is_as_expected "$name" "${EXPECTED[$name]}"
done
tap_end
