/* SPDX-License-Identifier: ISC */
#include "agent/conf/conf.h"
