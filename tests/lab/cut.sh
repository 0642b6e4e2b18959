# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# Cuts in the lab's network: rules of the bridge in the switch's own namespace, so that
# neither end hears of them. The observer's port is never cut: who is cut off from all
# others is still asked whether it answers for an address.

# Where the rules go; once for each lab.
cut_ready()
{
	in_host switch nft -f - <<-END
		table bridge lab {
			chain cuts { type filter hook forward priority 0; policy accept; }
		}
	END
}

# Reads what matches a lost frame, a line each; all at once in force.
cut_rules()
{
	sed 's/.*/add rule bridge lab cuts & drop/' | in_host switch nft -f -
}

cut_heal()
{
	in_host switch nft flush chain bridge lab cuts
}

# cut_out HOST [MATCH]: what the host sends is lost, all of it or what matches.
cut_out()
{
	echo "iifname $1 oifname != observer ${2:-}" | cut_rules
}

# cut_in HOST [MATCH]: what is sent to it.
cut_in()
{
	echo "oifname $1 iifname != observer ${2:-}" | cut_rules
}

# cut_off HOST: from all.
cut_off()
{
	printf '%s\n' "iifname $1 oifname != observer" "oifname $1 iifname != observer" | cut_rules
}

# cut_between A B...: A from each of the others, both ways.
cut_between()
{
	local a=$1 b
	shift
	for b in "$@"; do
		printf 'iifname %s oifname %s\n' "$a" "$b" "$b" "$a"
	done | cut_rules
}

# cut_one_way A B: what A sends to B.
cut_one_way()
{
	echo "iifname $1 oifname $2" | cut_rules
}

# cut_heartbeats: lictor's own datagrams, between all.
cut_heartbeats()
{
	printf 'ether type %s udp dport 8521\n' ip ip6 | cut_rules
}
