#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The plugins for databases against Debian's redis-server, PostgreSQL and MariaDB, each
# started from nothing in a folder of the lab: who may log in, which role a server has, what
# a query answers, a server that is stopped, frozen or not there. A plugin whose library or
# server is missing is left out.
. "${top_srcdir:-.}/tests/net/setup.sh"

HOSTS=server # whose log is shown
etc=$LAB_DIR/server/etc
data=$LAB_DIR/data
plugins=$LICTOR_BUILD/plugins
postgres=$(find /usr/lib/postgresql -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
declare -A EXPECTED=()
loaded=()
host_folders server
mkdir "$data"
chmod 755 "$LAB_DIR" "$data"

# is_loaded NAME PROGRAM
is_loaded()
{
	[ -e "$plugins/$1.so" ] && command -v "$2" >/dev/null
}

# probe TYPE NAME STATUS REASON OPTION...
probe()
{
	EXPECTED[$2]="$3 $4"
	echo "$1 \"$2\" { ${*:5} }" >>"$etc/services.d/checks.conf"
}

secret_of()
{
	echo "$2" >"$data/$1"
	secret "$data/$1"
}

redis()
{
	loaded+=(redis)
	cat >"$data/redis.conf" <<-END
		port 6379
		dir $data
		save ""
		requirepass sesame
		user guest on >guest ~* +ping
	END
	start server redis redis-server "$data/redis.conf"
	start server replica redis-server --port 6380 --dir "$data" --save '' \
	    --replicaof 127.0.0.1 6379 --masterauth sesame
	probe redis redis-in passing ok 'address = "127.0.0.1"' "password-file = '$data/sesame'"
	probe redis redis-out critical state 'address = "127.0.0.1"'
	probe redis redis-wrong critical state 'address = "127.0.0.1"' "password-file = '$data/wrong'"
	probe redis redis-user passing ok 'address = "localhost:6379" user = guest' \
	    "password-file = '$data/guest'"
	probe redis redis-master passing ok 'address = "127.0.0.1:6379" role = master' \
	    "password-file = '$data/sesame'"
	probe redis redis-no-replica critical state 'address = "127.0.0.1:6379" role = replica' \
	    "password-file = '$data/sesame'"
	probe redis redis-replica passing ok 'address = "127.0.0.1:6380" role = replica'
	probe redis redis-none critical refused 'address = "127.0.0.1:1"'
	probe redis redis-page critical protocol 'address = "127.0.0.1:8500"'
	probe redis redis-frozen critical timeout 'address = "127.0.0.1:6381" timeout = 500ms'
	# shellcheck disable=SC2016 # perl's
	start server endless-redis perl -MIO::Socket::INET -e '
		$s = IO::Socket::INET->new(LocalPort => 6390, Listen => 9, ReuseAddr => 1);
		while ($c = $s->accept) { push @all, $c; syswrite $c, "*400000000\r\n" }'
	probe redis redis-endless critical protocol 'address = "127.0.0.1:6390"'
	start server frozen-redis redis-server --port 6381 --dir "$data" --save ''
}

as_postgres()
{
	setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
}

pgsql()
{
	loaded+=(pgsql)
	install -d -o postgres -m 700 "$data/pg"
	as_postgres "$postgres/initdb" -D "$data/pg" -A scram-sha-256 -U keeper \
	    --no-sync --pwfile="$data/pg-password" >"$LAB_DIR/initdb.log"
	start server postgres setpriv --reuid=postgres --regid=postgres --clear-groups \
	    "$postgres/postgres" -D "$data/pg" -k "$data/pg" -c fsync=off \
	    -c listen_addresses=127.0.0.1
	local in="address = '127.0.0.1:5432' user = keeper password-file = '$data/sesame'"
	probe pgsql pgsql-in passing ok "$in"
	probe pgsql pgsql-primary passing ok "$in role = primary"
	probe pgsql pgsql-no-standby critical state "$in role = standby"
	probe pgsql pgsql-query passing ok "$in query = 'SELECT 6 * 7' expect = '42'"
	probe pgsql pgsql-other critical body "$in query = 'SELECT 6 * 9' expect = '42'"
	probe pgsql pgsql-error critical status "$in query = 'SELECT nothing'"
	probe pgsql pgsql-wrong critical status "address = localhost user = keeper" \
	    "password-file = '$data/wrong'"
	probe pgsql pgsql-none critical refused "address = '127.0.0.1:1' user = keeper"
	probe pgsql pgsql-slow critical timeout \
	    "$in query = 'SELECT pg_sleep(60)' timeout = 500ms"
	probe pgsql pgsql-wide critical protocol "$in query = 'SELECT repeat(chr(120), 100000000)'"
	probe pgsql pgsql-many passing ok \
	    "$in query = 'SELECT repeat(chr(120), 1000) FROM generate_series(1, 1000000)'"
}

mysql()
{
	loaded+=(mysql)
	install -d -o mysql -m 700 "$data/my"
	mariadb-install-db --user=mysql --datadir="$data/my" --skip-test-db \
	    --auth-root-authentication-method=normal >"$LAB_DIR/mariadb-install.log" 2>&1
	cat >"$data/init.sql" <<-END
		CREATE USER keeper@'%' IDENTIFIED BY 'sesame';
		CREATE DATABASE heap;
		CREATE TABLE heap.lines (line TEXT);
		GRANT ALL ON heap.* TO keeper@'%';
	END
	start server mariadbd mariadbd --no-defaults --user=mysql --datadir="$data/my" \
	    --socket="$data/my/sock" --bind-address=127.0.0.1 --skip-name-resolve \
	    --init-file="$data/init.sql"
	local in="address = '127.0.0.1:3306' user = keeper password-file = '$data/sesame'"
	probe mysql mysql-in passing ok "$in"
	probe mysql mysql-writable passing ok "$in role = writable"
	probe mysql mysql-no-replica critical state "$in role = read-only"
	probe mysql mysql-query passing ok "$in query = 'SELECT 6 * 7' expect = '42'"
	probe mysql mysql-other critical body "$in query = 'SELECT 6 * 9' expect = '42'"
	probe mysql mysql-error critical status "$in query = 'SELECT nothing'"
	probe mysql mysql-wrong critical status "address = localhost user = keeper" \
	    "password-file = '$data/wrong'"
	probe mysql mysql-none critical refused "address = '127.0.0.1:1' user = keeper"
	probe mysql mysql-many passing ok \
	    "$in query = 'SELECT REPEAT(\"x\", 1000) FROM heap.seq_1_to_1000000'"
	probe mysql mysql-file critical status \
	    "$in query = 'LOAD DATA LOCAL INFILE \"/etc/hostname\" INTO TABLE heap.lines'"
	probe mysql mysql-nothing passing ok "$in query = 'DO 1'"
	probe mysql mysql-empty critical body \
	    "$in query = 'SELECT line FROM heap.lines' expect = 'x'"
	probe mysql mysql-slow critical timeout "$in query = 'SELECT SLEEP(60)' timeout = 500ms"
}

# The status as one line for each check.
checks_now()
{
	lictorctl_at server --json status |
	    jq -r '.services[].checks[] | "\(.name) \(.status) \(.reason)"'
}

is_as_expected()
{
	[ "$(checks_now | awk -v name="$1" '$1 == name { print $2, $3 }')" = "$2" ]
}

agent_pid()
{
	local pid
	for pid in $(lictord_pids server); do
		! grep -q 'process agent' <(tr '\0' ' ' <"/proc/$pid/cmdline") || echo "$pid"
	done
}

agent_descriptors()
{
	find "/proc/$(agent_pid)/fd" -type l | wc -l
}

# The memory of the agent in KiB: VmRSS now, VmHWM the most ever.
agent_memory()
{
	awk -v name="$1:" '$1 == name { print $2 }' "/proc/$(agent_pid)/status"
}

at_most_descriptors()
{
	at_most "$(agent_descriptors)" "$1"
}

secret_of sesame sesame
secret_of wrong open
secret_of guest guest
install -m 644 "$data/sesame" "$data/pg-password"
consul_start server
service_start server
echo 'service "db" {' >"$etc/services.d/checks.conf"
! is_loaded redis redis-server || redis
! { [ -n "$postgres" ] && is_loaded pgsql "$postgres/postgres"; } || pgsql
! is_loaded mysql mariadbd || mysql
echo '}' >>"$etc/services.d/checks.conf"
[ "${#loaded[@]}" != 0 ] || tap_skip_all "there is no plugin whose server is installed"
diag "plugins: ${loaded[*]}"
printf -v list '"%s", ' "${loaded[@]}"
cat >"$etc/lictor.conf" <<-END
	plugins = {${list%, }}
	plugin-directory = "$plugins"
	defaults { interval = 400ms fast-interval = 100ms timeout = 5s fall = 1 rise = 1 }
END
[ ! -e "$LAB_DIR/server/frozen-redis.pid" ] || wait_for 10 in_host server redis-cli -p 6381 ping
[ ! -e "$LAB_DIR/server/frozen-redis.pid" ] || kill -STOP "$(pid_of server frozen-redis)"
check "the configuration is taken" quiet in_host server "$LICTOR_BUILD/lictord" -t -c "$etc"
lictord_start server
for name in "${!EXPECTED[@]}"; do
	check "$name: ${EXPECTED[$name]}" wait_for 15 is_as_expected "$name" "${EXPECTED[$name]}"
done
diag "the agent's memory: $(agent_memory VmRSS) kB, at most $(agent_memory VmHWM) kB"
grep -q 'define LICTOR_SANITIZED' "$LICTOR_BUILD/config.h" ||
    check "what servers send is not all kept" at_most "$(agent_memory VmHWM)" $((32 * 1024))
before=$(agent_descriptors)
for name in mariadbd postgres redis; do
	[ ! -e "$LAB_DIR/server/$name.pid" ] || stop server "$name" KILL
done
for name in "${!EXPECTED[@]}"; do
	case $name in
	*-in) check "$name: its server is gone" wait_for 20 is_as_expected "$name" "critical refused" ;;
	esac
done
check "no descriptor is left behind" wait_for 20 at_most_descriptors "$before"
tap_end
