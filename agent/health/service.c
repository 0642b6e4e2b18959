/* SPDX-License-Identifier: ISC */
#include "agent/health/service.h"
