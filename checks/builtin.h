/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CHECKS_BUILTIN_H
#define LICTOR_CHECKS_BUILTIN_H

struct check_class;

/* The types built into lictord, by their names in the configuration. */
extern const struct check_class check_dns_class;
extern const struct check_class check_file_class;
extern const struct check_class check_grpc_class;
extern const struct check_class check_http_class;
extern const struct check_class check_icmp_class;
extern const struct check_class check_process_class;
extern const struct check_class check_script_class;
extern const struct check_class check_tcp_class;
extern const struct check_class check_ttl_class;
extern const struct check_class check_udp_class;
extern const struct check_class check_unit_class;

#endif
