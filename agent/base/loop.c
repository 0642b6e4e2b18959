/* SPDX-License-Identifier: ISC */
#include "agent/base/loop.h"
