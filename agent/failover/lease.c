/* SPDX-License-Identifier: ISC */
#include "agent/failover/lease.h"
