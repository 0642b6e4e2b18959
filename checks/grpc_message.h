/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_GRPC_MESSAGE_H
#define LICTOR_GRPC_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The two messages of grpc.health.v1 (health.proto) in the frame that gRPC puts around
 * them (gRPC over HTTP/2, "Length-Prefixed-Message"). Pure.
 */

#define GRPC_SERVICE_MAX 256

/* HealthCheckResponse.ServingStatus */
enum grpc_serving {
	GRPC_UNKNOWN,
	GRPC_SERVING,
	GRPC_NOT_SERVING,
	GRPC_SERVICE_UNKNOWN,
	GRPC_SERVINGS
};

/* A HealthCheckRequest for a service of at most GRPC_SERVICE_MAX bytes ("": the server as a
 * whole); its length. `out` has room for GRPC_SERVICE_MAX + 8 bytes. */
size_t grpc_request(const char *service, uint8_t *out);

/* The status of a HealthCheckResponse; -1 with `why`: it is none. */
int grpc_response(const void *data, size_t len, const char **why);

#endif
