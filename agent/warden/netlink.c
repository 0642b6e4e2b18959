/* SPDX-License-Identifier: ISC */
#include "agent/warden/netlink.h"
