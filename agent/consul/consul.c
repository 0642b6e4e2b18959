/* SPDX-License-Identifier: ISC */
#include "agent/consul/consul.h"
