/* SPDX-License-Identifier: ISC */
#include "agent/runner/command.h"
