/* SPDX-License-Identifier: ISC */
#include "agent/base/json.h"
