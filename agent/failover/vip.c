/* SPDX-License-Identifier: ISC */
#include "agent/failover/vip.h"
