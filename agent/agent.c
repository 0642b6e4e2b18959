/* SPDX-License-Identifier: ISC */
#include "agent/agent.h"
