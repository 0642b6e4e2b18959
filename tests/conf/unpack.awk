# SPDX-License-Identifier: ISC
# Unpacks broken.table into one folder per case below OUT (awk -v out=OUT -f unpack.awk):
# the configuration in NUMBER/, with what else the case says in NUMBER.name, NUMBER.expect,
# NUMBER.environment and NUMBER.setup (to be run by sh inside the folder). Read by
# tests/conf/broken.sh and tests/unit/test_conf_broken.c.

function write(suffix, text)
{
	print text >> (dir suffix)
	close(dir suffix)
}

/^== / {
	dir = out "/" ++n
	system("mkdir -p -m 0755 '" dir "/services.d'")
	printf "" > (dir "/lictor.conf")
	close(dir "/lictor.conf")
	write(".name", substr($0, 4))
	file = ""
	next
}

/^-- / { file = "/" $2; printf "" > (dir file); close(dir file); next }
/^=> / { write(".expect", substr($0, 4)); file = ""; next }
/^@ /  { write(".environment", substr($0, 3)); next }
/^[$] / { write(".setup", substr($0, 3)); next }
file != "" { write(file, $0) }
