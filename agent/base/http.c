/* SPDX-License-Identifier: ISC */
#include "agent/base/http.h"
