/* SPDX-License-Identifier: ISC */
#include "agent/failover/role.h"
