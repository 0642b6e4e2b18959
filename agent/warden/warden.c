/* SPDX-License-Identifier: ISC */
#include "agent/warden/warden.h"
