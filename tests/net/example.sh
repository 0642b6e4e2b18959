#!/bin/bash
# SPDX-License-Identifier: ISC
#
# The example plugin, outside of our tree as its author would have it: built with what is
# installed, loaded from where it is installed, and right about a server that is well, old,
# silent, or gone.
. "${top_srcdir:-.}/tests/net/setup.sh"

root=$LAB_DIR/root
copy=$LAB_DIR/example
pkg_config="env PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$root/pc pkg-config"

# What others need is installed by itself: the rest may be under construction.
install_for_others()
{
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -C "$LICTOR_BUILD" DESTDIR="$root" \
	    install-pkgincludeHEADERS install-pkgconfigDATA install-dist_exampleDATA \
	    >"$LAB_DIR/install.log" 2>&1 || { sed 's/^/# /' "$LAB_DIR/install.log" && return 1; }
	mkdir "$root/pc"
	find "$root" -name lictor.pc -exec cp {} "$root/pc" \;
	cp -r "$(find "$root" -name example -type d)" "$copy"
}

make_example()
{
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -C "$copy" PKG_CONFIG="$pkg_config" \
	    CC="${CC:-cc}" CFLAGS="-Wall -Wextra -Werror -Wno-missing-field-initializers" \
	    "$@" >"$LAB_DIR/make.log" 2>&1 || { sed 's/^/# /' "$LAB_DIR/make.log" && return 1; }
}

# server ANSWER: a server whose every connection gets that answer to a line.
server()
{
	# shellcheck disable=SC2016 # perl's own
	start server memcached perl -MIO::Socket::INET -e '
		$l = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1:11211",
		    ReuseAddr => 1) or die;
		while ($c = $l->accept) { <$c>; print $c "$ARGV[0]\r\n"; close $c }' "$1"
}

status()
{
	lictorctl_at server status --json | jq -r '.. | objects |
	    select(.type? == "memcached") | "\(.status) \(.reason): \(.output)"'
}

says()
{
	grep -qx -- "$1" <(status)
}

check "what others need is installed" install_for_others
check "the example builds with it" make_example
check "it goes where plugins are" make_example DESTDIR="$LAB_DIR" plugindir=/plugins install

etc=$LAB_DIR/server/etc
host_folders server
cat >"$etc/lictor.conf" <<-END
	plugins = {"memcached"}
	plugin-directory = "$LAB_DIR/plugins"
END
check_of()
{
	cat >"$etc/services.d/cache.conf" <<-END
		service "cache" {
		  memcached "version" { host = "127.0.0.1" $1
		    interval = 100ms fast-interval = 50ms rise = 1 fall = 1 timeout = 1s }
		}
	END
}
check_of 'version = "new"'
daemon_of server
wrong=$("${DAEMON[@]}" -t 2>&1 || true)
check "it refuses a bad option with file and line" test "$wrong" = \
    "$etc/services.d/cache.conf:2: version: \"new\" is no version, expected one such as 1.6"
check_of 'version = "1.6"'
check "lictord -t takes a good one" "${DAEMON[@]}" -t

server "VERSION 1.6.18"
consul_start server
lictord_start server
check "a server that is well" wait_for 30 says "passing ok: version 1.6.18"
stop server memcached KILL
check "none" wait_for 10 says "critical refused: .*"
server "VERSION 1.5.22"
check "an old one" wait_for 10 says "warning body: version 1.5.22, expected 1.6"
stop server memcached KILL
server "ERROR"
check "another one" wait_for 10 says 'critical protocol: "ERROR" is no version'
tap_end
