/* SPDX-License-Identifier: ISC */
#include "agent/status/status.h"
