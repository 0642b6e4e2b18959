# SPDX-License-Identifier: ISC
#
# Tables of the lab's results, in Markdown: awk -f table.awk -v titles="$SCENARIOS" FILE.
# One row for each scenario: what lictor came to, and keepalived where it knows that fault.

function number(value)
{
	return value ~ /^[0-9.]+$/
}

# Sorted into `sorted`; how many.
function sort(list, sorted, n,    i, j, v)
{
	for (i = 1; i <= n; i++) {
		v = list[i]
		for (j = i - 1; j > 0 && sorted[j] > v; j--)
			sorted[j + 1] = sorted[j]
		sorted[j + 1] = v
	}
	return n
}

function span(value)
{
	return value >= 10 || value == 0 ? sprintf("%.0f", value) : sprintf("%.1f", value)
}

# "min / median / max" and "dual" of a system's runs of a scenario.
function figures(whose, name,    key, n, i, list, sorted)
{
	key = whose SUBSEP name
	n = runs[key]
	if (!n)
		return "| |"
	for (i = 1; i <= n; i++)
		list[i] = gap[key, i]
	sort(list, sorted, n)
	return "| " span(sorted[1]) " / " span(sorted[int((n + 1) / 2)]) " / " span(sorted[n]) \
	    " | " dual[key] + 0
}

function verdict(name,    key)
{
	key = "lictor" SUBSEP name
	if (!tried[key])
		return "| | |"
	return "| " least[key] (most[key] > least[key] ? " to " most[key] : "") " | " tried[key] - failed[key] + 0 " of " tried[key] " |"
}

BEGIN {
	FS = "\t"
	n_titles = split(titles, lines, "\n")
}

{
	key = $1 SUBSEP $2
	tried[key]++
	if ($8 == "FAILED")
		failed[key]++
	if (!number($4))
		next
	gap[key, ++runs[key]] = $4 + 0
	if ($5 > dual[key] + 0)
		dual[key] = $5
	if (!number($7))
		next
	if (!(key in least) || $7 + 0 < least[key])
		least[key] = $7 + 0
	if ($7 + 0 > most[key] + 0)
		most[key] = $7 + 0
}

END {
	print "| | fault | lictor, ms: min / median / max | two holders, ms | budget, ms | as it must be | keepalived 1 s | two holders, ms | keepalived 100 ms | two holders, ms |"
	print "|---|---|---|---|---|---|---|---|---|---|"
	for (i = 1; i <= n_titles; i++) {
		split(lines[i], word, " +")
		name = word[1]
		if (name == "" || !(tried["lictor", name] + tried["keepalived-1s", name]))
			continue
		title = lines[i]
		sub(/^([^ ]+ +){6}/, "", title)
		print "| " name " | " title " " figures("lictor", name) " " verdict(name) \
		    substr(figures("keepalived-1s", name), 2) " " \
		    figures("keepalived-100ms", name) " |"
	}
}
