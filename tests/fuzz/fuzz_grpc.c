/* SPDX-License-Identifier: ISC */
/* Any answer of a gRPC server: a status that there is, or a reason why not. */
#include <stdlib.h>

#include "checks/grpc_message.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	int status = grpc_response(data, size, &why);

	if (status >= GRPC_SERVINGS || (status < 0 && why == NULL))
		abort();
	return 0;
}
