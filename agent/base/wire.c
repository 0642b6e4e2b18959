/* SPDX-License-Identifier: ISC */
#include "agent/base/wire.h"
