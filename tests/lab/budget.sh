# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# How long a fault may cost, in ms.

# budget FAULT
budget()
{
	local lease=1000
	[ -z "$LEASE" ] || lease=600
	local wait=$(((lease + 10) * 10940 / 10000 + 1))
	case $1 in
	none | held | spent) echo 0 ;;
	planned) echo 15 ;;
	service) echo 20 ;;
	crash) echo $((300 + wait + 100)) ;;
	taker) echo $((300 + wait + 300 + wait + 200)) ;;
	reboot) echo 30000 ;;
	*) return 1 ;;
	esac
}
