/* SPDX-License-Identifier: ISC */
#include "agent/consul/watch.h"
