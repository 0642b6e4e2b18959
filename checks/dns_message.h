/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_DNS_MESSAGE_H
#define LICTOR_DNS_MESSAGE_H

#include <arpa/nameser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One question of DNS (RFC 1035) and what is answered to it. */
struct dns_question {
	uint16_t type;
	size_t len;
	unsigned char bytes[512];	/* the message, with its identifier in front */
};

/* The number of a type of record that dns_next can put in words, by its name in capitals;
 * 0: it is not known. The names, for people, parted by commas. */
uint16_t dns_type(const char *name);
#define DNS_TYPES "A, AAAA, CNAME, MX, NS, PTR, SOA, SRV or TXT"

/* False: that is no name in DNS. */
bool dns_ask(
    struct dns_question *question, uint16_t identifier, const char *name, uint16_t type);

enum dns_verdict {
	DNS_ANSWERED,
	DNS_FAILED,	/* by the server's own word: `rcode` */
	DNS_TRUNCATED,	/* it did not fit: ask over TCP */
	DNS_GARBAGE,	/* no answer to this question: `why` */
};

/* Points into the message. */
struct dns_reply {
	unsigned int rcode;
	const char *why;
	/* for dns_next */
	ns_msg msg;
	uint16_t type;
	int at;
};
enum dns_verdict dns_read(struct dns_reply *reply, const unsigned char *message, size_t len,
    const struct dns_question *question);

/* "NXDOMAIN"; what is not known is "code 23". */
void dns_rcode_name(unsigned int rcode, char *out, size_t size);

/*
 * The next record of the answer that has the type that was asked for, in words: an address,
 * a name without its last dot, "10 mail.example.com", "0 5 5060 sip.example.com", what a
 * TXT says (what cannot be printed as \DDD), the seven words of a SOA. `host` is the part
 * that is a name: all of it, the last word, the first of a SOA, or NULL. 1; 0: there is
 * none; -1: the message is broken.
 */
struct dns_value {
	char text[4096];
	const char *host;
	size_t host_len;
};
int dns_next(struct dns_reply *reply, struct dns_value *value);

#endif
