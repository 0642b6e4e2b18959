/* SPDX-License-Identifier: ISC */
#include "agent/failover/roles.h"
