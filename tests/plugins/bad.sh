#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Plugins that are bad on purpose, each a file in bad/ with the line it is refused with:
# what follows "plugins: ", an extended regular expression. Then what a good one's options
# are refused with, and where it crashes or hangs.
# shellcheck source=tests/plugins/setup.sh
. "${top_srcdir:-.}/tests/plugins/setup.sh"

expected_of()
{
	sed -n 's|^/\* => \(.*\) \*/$|\1|p' "$1"
}

# crashy_of DIR WORD: a check of the type crashy whose options do that.
crashy_of()
{
	conf_of "$1" 'plugins = {"crashy"}'
	mkdir "$1/services.d"
	cp "$build/tests/plugins/crashy.so" "$1"
	cat >"$1/services.d/a.conf" <<-END
		crashy "good" { file = "$1/word" interval = 1s }
		service "s" {
		  crashy "x" { file = "$1/word" $2 }
		}
	END
}

# in the meantime
crashy_of "$work/hangs" 'prepare = "hang"'
refused "$work/hangs" 'services\.d/a\.conf:3: crashy "x": the plugin did not return within 10 s while it looked at the options, expected it to judge them' >"$work/hangs.tap" &
hanging=$!

for source in "$top"/tests/plugins/bad/*.c; do
	name=$(basename "$source" .c)
	conf_of "$work/$name" "plugins = {\"$name\"}"
	compile "$source" "$work/$name/$name.so" -I"$top"
	check "$name is refused" \
	    refused "$work/$name" "lictor\.conf:2: plugins: $(expected_of "$source")"
done

crashy_of "$work/good" ''
check "a good one is taken" accepted "$work/good" '1 service, 2 checks, 0 roles'
crashy_of "$work/refuse" 'prepare = "refuse"'
check "its own judgement has the line of the option" refused "$work/refuse" \
    'services\.d/a\.conf:3: prepare: it is refused, expected another word'
crashy_of "$work/unknown" 'address = "1"'
check "an option that it does not have is refused" refused "$work/unknown" \
    'services\.d/a\.conf:3: unknown option "address" in crashy, expected .*, file, prepare'
crashy_of "$work/prepare" 'prepare = "crash"'
check "a crash in its judgement has the line of the check" refused "$work/prepare" \
    'services\.d/a\.conf:3: crashy "x": the plugin crashed with signal 11 \(Segmentation fault\) while it looked at the options, expected it to judge them'
crashy_of "$work/exit" 'prepare = "exit"'
check "so has the end of the process" refused "$work/exit" \
    'services\.d/a\.conf:3: crashy "x": the plugin ended the process with exit status 3 while .*'
crashy_of "$work/common" 'rise = 0'
check "what every check has is judged as ever" refused "$work/common" \
    'services\.d/a\.conf:3: rise: 0 is out of range, expected 1 to 1000'

check "one that hangs is given up" wait "$hanging"
cat "$work/hangs.tap"
tap_end
