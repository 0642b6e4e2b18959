/* SPDX-License-Identifier: ISC */
#include "agent/base/util.h"
