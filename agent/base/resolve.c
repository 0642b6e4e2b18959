/* SPDX-License-Identifier: ISC */
#include "agent/base/resolve.h"
