/* SPDX-License-Identifier: ISC */
#include "agent/runner/runner.h"
