# SPDX-License-Identifier: ISC
# Reads the table, then lines "FILE INCLUDED" where INCLUDED is a path of ours, or "<" and
# a header from elsewhere; prints each that the table does not allow.

function fits(name, module)
{
	return name == module || index(name, module "/") == 1
}

# The row that speaks for a file: the longest name that fits it.
function row_of(name,    module, best)
{
	best = ""
	for (module in row)
		if (fits(name, module) && length(module) > length(best))
			best = module
	return best
}

function allowed(name, list,    n, part, i)
{
	n = split(list, part, " ")
	for (i = 1; i <= n; i++)
		if (fits(name, part[i]))
			return 1
	return 0
}

FNR == NR {
	sub(/#.*/, "")
	if (NF == 0)
		next
	n = split(substr($0, 1, index($0, ":") - 1), left, " ")
	for (i = 1; i <= n; i++)
		row[left[i]] = substr($0, index($0, ":") + 1)
	next
}

{
	file = $1
	name = file
	sub(/\.[ch]$/, "", name)
	if ($2 ~ /^</) {
		for (module in row)
			if (module ~ /^</ && index($2, module) == 1 && !allowed(name, row[module]))
				print file ": " $2 "> belongs to" row[module] " alone"
		next
	}
	what = $2
	sub(/\.[ch]$/, "", what)
	module = row_of(name)
	if (module == "")
		print file ": no row of the table speaks for this file"
	else if (!allowed(what, row[module]))
		print file ": " module " may not include " $2
}
