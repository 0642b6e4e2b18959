/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as the answer of a name server: it is taken or refused, what is taken is put in
 * words that end, and nothing is read beyond the message. The first byte chooses the type
 * that was asked for; identifier and question are put where they belong, so that what comes
 * behind them is reached.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/dns_message.h"
#include "tests/fuzz/fuzz.h"

static void
read_answer(
    const unsigned char *message, size_t len, const struct dns_question *question)
{
	struct dns_reply reply;
	struct dns_value value;
	char name[32];

	switch (dns_read(&reply, message, len, question)) {
	case DNS_ANSWERED:
		while (dns_next(&reply, &value) > 0)
			if (memchr(value.text, '\0', sizeof(value.text)) == NULL ||
			    (value.host != NULL &&
				(value.host < value.text ||
				    value.host + value.host_len >
					value.text + strlen(value.text))))
				abort();
		break;
	case DNS_FAILED:
		dns_rcode_name(reply.rcode, name, sizeof(name));
		if (reply.rcode == 0 || name[0] == '\0')
			abort();
		break;
	case DNS_TRUNCATED: break;
	case DNS_GARBAGE:
		if (reply.why == NULL)
			abort();
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "A", "AAAA", "CNAME", "MX", "NS", "PTR",
		"SOA", "SRV", "TXT" };
	struct dns_question question;

	if (size < 1)
		return 0;
	const char *type = types[data[0] % ARRAY_LENGTH(types)];
	if (!dns_ask(&question, 0x1234, "www.test", dns_type(type)))
		abort();
	AUTO_FREE unsigned char *message = xcalloc(1, size > 1 ? size - 1 : 1);
	memcpy(message, data + 1, size - 1);
	read_answer(message, size - 1, &question);
	if (size - 1 < question.len)
		return 0;
	memcpy(message, question.bytes, 2);
	message[4] = 0;
	message[5] = 1;
	memcpy(message + 12, question.bytes + 12, question.len - 12);
	read_answer(message, size - 1, &question);
	return 0;
}
