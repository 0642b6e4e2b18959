/* SPDX-License-Identifier: ISC */
#include "agent/warden/announce.h"
