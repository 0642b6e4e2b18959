/* SPDX-License-Identifier: ISC */
#include "agent/base/log.h"
