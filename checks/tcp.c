/* SPDX-License-Identifier: ISC */
#include "checks/builtin.h"
