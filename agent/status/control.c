/* SPDX-License-Identifier: ISC */
#include "agent/status/control.h"
