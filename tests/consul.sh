#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Prints the path of a consul program for the tests and the demonstration: $CONSUL, else
# consul on PATH, else the one in our cache. Where there is none, Debian 11's package is
# fetched with apt: from the mirror that this host uses, with a list of sources and state
# folders of its own, its signature checked as always, unpacked into the cache and never
# installed. What it does is said on standard error; the answer alone on standard output.
set -euo pipefail

suite=bullseye
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/lictor

say()
{
	echo "consul.sh: $*" >&2
}

fail()
{
	say "$*; set \$CONSUL to a consul program instead"
	exit 1
}

# The mirrors that this host takes its own release from, one a line.
mirrors()
{
	local codename
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	# shellcheck disable=SC2016 # apt expands these
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(SITE)' \
	    'Created-By: Packages' |
	    awk -v codename="$codename" \
		'$1 == codename && $2 == "main" && $3 ~ /:\// && !seen[$3]++ { print $3 }'
}

apt_here()
{
	apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
	    -o Dir::State="$work/state" -o Dir::State::status="$work/status" \
	    -o Dir::Cache="$work/cache" -o APT::Update::Post-Invoke::= \
	    -o APT::Update::Post-Invoke-Success::= -o Acquire::Languages=none \
	    -o APT::Get::List-Cleanup=false -o Acquire::Retries=3 "$@" >&2
}

# Into $work: what apt needs, then the package.
fetch_from()
{
	echo "deb [signed-by=$keyring] $1 $suite main" >"$work/sources.list"
	mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/deb"
	: >"$work/status"
	if [ "$(id -u)" = 0 ]; then
		chmod 755 "$work"
		chown -R _apt "$work" 2>/dev/null || true
	fi
	apt_here -o APT::Update::Error-Mode=any update || return 1
	(cd "$work/deb" && apt_here download consul)
}

unpack()
{
	local deb
	deb=$(find "$work/deb" -name 'consul_*.deb' | head -n 1)
	[ -n "$deb" ] || fail "apt brought no package of consul"
	dpkg-deb -x "$deb" "$work/root"
	"$work/root/usr/bin/consul" version >/dev/null || fail "the consul of Debian 11 does not run here"
	mv "$work/root/usr/bin/consul" "$cache/consul.new"
	mv "$cache/consul.new" "$cache/consul"
}

fetch()
{
	local site sites
	command -v apt-get >/dev/null || fail "no consul on PATH and no apt to fetch one with"
	[ -r $keyring ] || fail "the package debian-archive-keyring is missing: its $keyring checks the signature"
	sites=$(mirrors)
	[ -n "$sites" ] || fail "apt's configuration names no mirror of this Debian release"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	for site in $sites; do
		say "fetching consul from Debian 11 ($suite) at this host's mirror into $cache"
		if fetch_from "$site"; then
			unpack
			return
		fi
	done
	fail "this host's mirror does not offer Debian 11 ($suite) and its consul, which has perhaps moved to Debian's archive"
}

if [ -n "${CONSUL:-}" ]; then
	[ -x "$CONSUL" ] || fail "\$CONSUL is $CONSUL, which is no program"
	echo "$CONSUL"
	exit 0
fi
if command -v consul; then
	exit 0
fi
if [ ! -x "$cache/consul" ]; then
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
	[ -x "$cache/consul" ] || fetch
fi
echo "$cache/consul"
