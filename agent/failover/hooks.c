/* SPDX-License-Identifier: ISC */
#include "agent/failover/hooks.h"
