/* SPDX-License-Identifier: ISC */
#include "agent/health/health.h"
