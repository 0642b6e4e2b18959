/* SPDX-License-Identifier: ISC */
#include "agent/health/sched.h"
