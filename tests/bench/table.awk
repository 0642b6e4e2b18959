# SPDX-License-Identifier: ISC
#
# From the measurements of bench.sh, a line of name=value words each, to the tables that
# people read: medians over the rounds, lictor's ratios to the others, and whether they
# meet the targets.

function median(key,    n, i, j, held, value)
{
	n = split(values[key], value, " ")
	for (i = 2; i <= n; i++) {
		held = value[i] + 0
		for (j = i - 1; j > 0 && value[j] + 0 > held; j--)
			value[j + 1] = value[j]
		value[j + 1] = held
	}
	return n == 0 ? "" : n % 2 ? value[(n + 1) / 2] : (value[n / 2] + value[n / 2 + 1]) / 2
}

function put(name, value)
{
	values[cell SUBSEP name] = values[cell SUBSEP name] " " value
}

function get(kind, size, who, name)
{
	return median(kind SUBSEP size SUBSEP who SUBSEP name)
}

function figure(kind, size, who, name, form,    value)
{
	value = get(kind, size, who, name)
	return value == "" ? "–" : sprintf(form, value) marked[kind, size, who]
}

# lictor's share of another's, and whether it is small enough; a limit of "" judges nothing.
function ratio(kind, size, who, name, limit,    ours, theirs, share)
{
	ours = get(kind, size, "lictor", name)
	theirs = get(kind, size, who, name)
	if (ours == "" || theirs == "" || theirs == 0)
		return "–"
	share = ours / theirs
	return sprintf("%.2f", share) verdict(share, limit)
}

function verdict(value, limit)
{
	return limit == "" ? "" : (value <= limit ? " meets " : " **misses** ") limit
}

function head(first, rest,    i)
{
	printf "| %s |", first
	for (i = 1; i <= systems; i++)
		printf " %s |", title[system_at[i]]
	printf "%s\n|---|", rest
	for (i = 1; i <= systems; i++)
		printf "---|"
	gsub(/[^|]+/, "---", rest)
	printf "%s\n", rest
}

function row_begin(kind, size)
{
	printf "| %s, %d |", toupper(kind), size
}

function cpu_table(    k, s, i, kind, size)
{
	print "CPU per check, in microseconds, of all processes and children:\n"
	head("checks", " lictor/HAProxy | lictor/Consul | lictor/floor |")
	for (k = 1; k <= kinds; k++)
		for (s = 1; s <= sizes; s++) {
			kind = kind_at[k]
			size = size_at[s]
			row_begin(kind, size)
			for (i = 1; i <= systems; i++)
				printf " %s |", figure(kind, size, system_at[i], "cpu", "%.0f")
			printf " %s | %s | %s |\n", ratio(kind, size, "haproxy", "cpu", limit[kind, "haproxy"]),
			    ratio(kind, size, "consul", "cpu", limit[kind, "consul"]),
			    ratio(kind, size, "floor", "cpu", limit[kind, "floor"])
		}
}

function plain_table(words, name, form,    k, s, i)
{
	printf "\n%s\n\n", words
	head("checks", "")
	for (k = 1; k <= kinds; k++)
		for (s = 1; s <= sizes; s++) {
			row_begin(kind_at[k], size_at[s])
			for (i = 1; i <= systems; i++)
				printf " %s |", figure(kind_at[k], size_at[s], system_at[i], name, form)
			print ""
		}
}

function judge(words, value, limit, form)
{
	if (value != "")
		printf "| %s | %s | %s |\n", words, sprintf(form, value),
		    (value <= limit ? "meets " : "**misses** ") limit
}

function share(kind, size, who, name,    theirs)
{
	theirs = get(kind, size, who, name)
	return theirs == "" || get(kind, size, "lictor", name) == "" ? "" :
	    get(kind, size, "lictor", name) / theirs
}

function slope(name, from, to,    a, b)
{
	a = get("http", from, "lictor", name)
	b = get("http", to, "lictor", name)
	return a == "" || b == "" ? "" : (b - a) / (to - from)
}

# Each kind's cost with most checks against its cost with fewest: 1 is no growth.
function growth(    k, a, b)
{
	for (k = 1; k <= kinds; k++) {
		a = get(kind_at[k], size_at[1], "lictor", "cpu")
		b = get(kind_at[k], size_at[sizes], "lictor", "cpu")
		if (sizes > 1 && a != "" && b != "")
			printf "| CPU per %s check at %d against %d checks | %.2f | |\n",
			    toupper(kind_at[k]), size_at[sizes], size_at[1], b / a
	}
}

function targets()
{
	print "\n| lictor, other targets | measured | target |\n|---|---|---|"
	judge("anonymous memory of the agent, 1000 HTTP checks, kB", get("http", 1000, "lictor", "agent"), 4096, "%d")
	judge("PSS of all processes, 1000 HTTP checks, kB", get("http", 1000, "lictor", "pss"), 16384, "%d")
	judge("the same, share of HAProxy's", share("http", 1000, "haproxy", "pss"), 0.5, "%.2f")
	judge("anonymous memory for each further HTTP check, kB", slope("agent", 1000, 5000), 1, "%.2f")
	judge("wake-ups a second, 1000 HTTP checks a second", get("http", 1000, "lictor", "wakeups"), 150, "%d")
	judge("wake-ups a second, 1000 TCP checks a second", get("tcp", 1000, "lictor", "wakeups"), 150, "%d")
	judge("lateness of an HTTP check, p99, ms", get("http", 1000, "lictor", "p99"), 20, "%.1f")
	judge("lateness of an HTTP check, longest, ms", get("http", 1000, "lictor", "max"), 200, "%.1f")
	growth()
}

BEGIN {
	split("floor lictor haproxy keepalived consul", names, " ")
	title["floor"] = "floor"
	title["lictor"] = "lictor"
	title["haproxy"] = "HAProxy"
	title["keepalived"] = "keepalived"
	title["consul"] = "Consul"
	limit["http", "haproxy"] = 0.70
	limit["http", "consul"] = 0.25
	limit["http", "floor"] = 1.25
	limit["tcp", "haproxy"] = 0.80
	limit["tcp", "floor"] = 1.25
	limit["script", "consul"] = 0.70
	limit["script", "floor"] = 1.20
	limit["https", "haproxy"] = 0.75
	limit["https", "floor"] = 1.15
}

{
	delete word
	for (i = 1; i <= NF; i++)
		word[substr($i, 1, index($i, "=") - 1)] = substr($i, index($i, "=") + 1)
	if (!(word["kind"] in known))
		kind_at[++kinds] = word["kind"]
	known[word["kind"]]
	if (!(word["size"] in known))
		size_at[++sizes] = word["size"]
	known[word["size"]]
	seen[word["system"]]
}

!("cannot" in word) {
	cell = word["kind"] SUBSEP word["size"] SUBSEP word["system"]
	if (word["count"] > 0)
		put("cpu", word["cpu_ns"] / word["count"] / 1000)
	put("runs", 100 * word["count"] / word["expected"])
	put("anonymous", word["anonymous"])
	put("agent", word["agent"])
	put("pss", word["pss"])
	put("wakeups", word["switches"] * 1000 / word["window_ms"])
	if (word["late_p99_us"] >= 0) {
		put("p99", word["late_p99_us"] / 1000)
		put("max", word["late_max_us"] / 1000)
	}
	if (word["resumed"] > 0)
		put("resumed", 100 * word["resumed"] / word["count"])
	if (word["trouble"] > 0)
		marked[word["kind"], word["size"], word["system"]] = " (!)"
}

END {
	for (i = 1; i in names; i++)
		if (names[i] in seen)
			system_at[++systems] = names[i]
	cpu_table()
	targets()
	plain_table("Memory, PSS of all processes, in kB:", "pss", "%d")
	plain_table("Memory, anonymous, of all processes, in kB:", "anonymous", "%d")
	plain_table("Wake-ups a second (of the processes, without the children of script checks):", "wakeups", "%d")
	plain_table("Lateness of runs against their schedule, p99 in ms (– with less than two runs of a check):", "p99", "%.1f")
	plain_table("The same, the longest, in ms:", "max", "%.1f")
	plain_table("Runs that the target counted, in % of those that should have been:", "runs", "%.1f")
	if ("https" in known)
		plain_table("Connections that resumed a TLS session, in %:", "resumed", "%.0f")
	print "\n– : the system cannot do such an interval, or there is nothing to say. (!) : states changed or the rate was not right."
}
