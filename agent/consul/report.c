/* SPDX-License-Identifier: ISC */
#include "agent/consul/report.h"
