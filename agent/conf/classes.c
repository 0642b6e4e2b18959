/* SPDX-License-Identifier: ISC */
#include "agent/conf/classes.h"
