/* SPDX-License-Identifier: ISC */
/*
 * Messages of DNS: questions byte by byte, answers made here of every type of record, and
 * each of them cut and damaged at every place.
 */
#include "checks/dns_message.h"

#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

/* A message under way. */
struct made {
	unsigned char bytes[4096];
	size_t len;
};

static void
add(struct made *made, const void *bytes, size_t len)
{
	memcpy(made->bytes + made->len, bytes, len);
	made->len += len;
}

/* A record for the name of the question, with data as C has it. */
#define RECORD(made, type, data) add_record(made, type, data, sizeof(data) - 1)

static void
add_record(struct made *made, uint16_t type, const void *data, size_t len)
{
	unsigned char head[] = { 0xc0, 12, (unsigned char)(type >> 8),
		(unsigned char)type, 0, 1, 0, 0, 0, 60, (unsigned char)(len >> 8),
		(unsigned char)len };

	add(made, head, sizeof(head));
	add(made, data, len);
	made->bytes[7]++;
}

/* The answer to a question, without records yet. */
static void
answer(struct made *made, const struct dns_question *question)
{
	made->len = 0;
	add(made, question->bytes, question->len);
	made->bytes[2] = 0x81;
	made->bytes[3] = 0x80;
}

static void
test_questions(void)
{
	static const unsigned char expected[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00"
						"\x00\x00\x00\x03www\x04test\x00\x00"
						"\x1c\x00\x01";
	struct dns_question question;
	char name[300];

	CU_ASSERT_TRUE(dns_ask(&question, 0x1234, "www.test", ns_t_aaaa));
	CU_ASSERT_EQUAL(question.len, sizeof(expected) - 1);
	CU_ASSERT_EQUAL(memcmp(question.bytes, expected, question.len), 0);
	CU_ASSERT_TRUE(dns_ask(&question, 0x1234, "www.test.", ns_t_aaaa));
	CU_ASSERT_EQUAL(question.len, sizeof(expected) - 1);
	CU_ASSERT_TRUE(dns_ask(&question, 1, ".", ns_t_soa));
	CU_ASSERT_EQUAL(question.len, 12 + 1 + 4);
	CU_ASSERT_FALSE(dns_ask(&question, 1, "", ns_t_a));
	CU_ASSERT_FALSE(dns_ask(&question, 1, "a..b", ns_t_a));
	CU_ASSERT_FALSE(dns_ask(&question, 1, ".a", ns_t_a));
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	CU_ASSERT_TRUE(dns_ask(&question, 1, name, ns_t_a));
	name[63] = 'a';
	name[64] = '\0';
	CU_ASSERT_FALSE(dns_ask(&question, 1, name, ns_t_a));
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 50 == 49 ? '.' : 'a';
	for (size_t len = 240; len < 299; len++) {
		name[len] = '\0';
		bool fits = len <= 253 && name[len - 1] != '.';
		CU_ASSERT_EQUAL(dns_ask(&question, 1, name, ns_t_a),
		    fits || (name[len - 1] == '.' && len <= 254));
		name[len] = len % 50 == 49 ? '.' : 'a';
	}
}

/* Data of records; a name that is compressed leads to the question's "www.test". */
#define WWW "\xc0\x0c"
#define TEST "\xc0\x10"

static const struct {
	const char *type, *data;
	size_t len;
	const char *text, *host;
} records[] = {
#define ROW(type, data, text, host)                      \
	{                                                \
		type, data, sizeof(data) - 1, text, host \
	}
	ROW("A", "\xc0\x00\x02\x01", "192.0.2.1", ""),
	ROW("AAAA", "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", "2001:db8::1", ""),
	ROW("CNAME", WWW, "www.test", "www.test"),
	ROW("CNAME",
	    "\x03"
	    "far\x04"
	    "away\x00",
	    "far.away", "far.away"),
	ROW("CNAME", "\x02ns" TEST, "ns.test", "ns.test"),
	ROW("NS", "\x00", ".", "."),
	ROW("PTR", "\x04host" TEST, "host.test", "host.test"),
	ROW("MX", "\x00\x0a\x04mail" TEST, "10 mail.test", "mail.test"),
	ROW("MX", "\x00\x00\x00", "0 .", "."),
	ROW("SRV", "\0\0\0\5\x13\xc4\x03sip" TEST, "0 5 5060 sip.test", "sip.test"),
	ROW("SOA",
	    "\x02ns" TEST "\x01h" TEST "\x78\xbb\x9b\x01\0\0\x0e\x10\0\0\x02\x58\0\x09"
	    "\x3a\x80\0\0\1\x2c",
	    "ns.test h.test 2025560833 3600 600 604800 300", "ns.test"),
	ROW("TXT", "\x05hello", "hello", ""),
	ROW("TXT", "\x05hello\x01 \x06world\n", "hello world\\010", ""),
	ROW("TXT", "\x00", "", ""),
	ROW("TXT",
	    "\x03"
	    "a\0b",
	    "a\\000b", ""),
	ROW("TXT",
	    "\x03"
	    "a\\b",
	    "a\\b", ""),
#undef ROW
};

/* What the records of a message say, one a line; false: it is broken. */
static bool
read_all(const unsigned char *bytes, size_t len, const struct dns_question *question,
    enum dns_verdict *verdict, struct buf *out)
{
	/* of its own size, so that the sanitizers see a byte too far */
	AUTO_FREE unsigned char *exact = xcalloc(1, len > 0 ? len : 1);
	struct dns_value value;
	struct dns_reply reply;
	int more = 0;

	memcpy(exact, bytes, len);
	*verdict = dns_read(&reply, exact, len, question);
	while (*verdict == DNS_ANSWERED && (more = dns_next(&reply, &value)) > 0)
		buf_printf(out, "%s|%.*s\n", value.text,
		    value.host != NULL ? (int)value.host_len : 0,
		    value.host != NULL ? value.host : "");
	return more == 0;
}

static void
test_records(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(records); i++) {
		struct dns_question question;
		struct made made;
		struct buf out = { .limit = 10000 };
		uint16_t type = dns_type(records[i].type);
		enum dns_verdict verdict;
		CU_ASSERT_TRUE(dns_ask(&question, 7, "www.test", type));
		answer(&made, &question);
		RECORD(&made, 99, "\x01\x02\x03"); /* another type is left out */
		add_record(&made, type, records[i].data, records[i].len);
		add_record(&made, type, records[i].data, records[i].len);
		CU_ASSERT_TRUE(
		    read_all(made.bytes, made.len, &question, &verdict, &out));
		AUTO_FREE char *expected = xasprintf("%s|%s\n%s|%s\n", records[i].text,
		    records[i].host, records[i].text, records[i].host);
		CU_ASSERT_EQUAL(verdict, DNS_ANSWERED);
		CU_ASSERT_STRING_EQUAL(out.data, expected);
		if (strcmp(out.data, expected) != 0)
			printf("# %s, not %s", out.data, expected);
		buf_free(&out);
	}
	CU_ASSERT_EQUAL(dns_type("a"), 0);
	CU_ASSERT_EQUAL(dns_type("ANY"), 0);
	CU_ASSERT_EQUAL(dns_type(""), 0);
}

/* Shorter by any number of bytes: broken; with any byte another: some verdict, and no read
 * beyond the end, which the sanitizers see. */
static void
test_damage(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(records); i++) {
		struct dns_question question;
		struct made made;
		struct buf out = { .limit = 100 };
		enum dns_verdict verdict;
		dns_ask(&question, 7, "www.test", dns_type(records[i].type));
		answer(&made, &question);
		add_record(&made, question.type, records[i].data, records[i].len);
		for (size_t len = 0; len < made.len; len++) {
			read_all(made.bytes, len, &question, &verdict, &out);
			CU_ASSERT_EQUAL(verdict, DNS_GARBAGE);
		}
		for (size_t at = 0; at < made.len; at++)
			for (unsigned int byte = 0; byte < 256; byte++) {
				unsigned char was = made.bytes[at];
				made.bytes[at] = (unsigned char)byte;
				read_all(
				    made.bytes, made.len, &question, &verdict, &out);
				made.bytes[at] = was;
			}
		buf_free(&out);
		/* the data is a byte too long, or too short, for its type */
		answer(&made, &question);
		add_record(&made, question.type, records[i].data, records[i].len - 1);
		bool good = read_all(made.bytes, made.len, &question, &verdict, &out);
		CU_ASSERT_TRUE(verdict == DNS_GARBAGE || !good || records[i].len == 1);
		if (question.type != ns_t_txt) {
			answer(&made, &question);
			unsigned char longer[64];
			memcpy(longer, records[i].data, records[i].len);
			longer[records[i].len] = 0;
			add_record(&made, question.type, longer, records[i].len + 1);
			CU_ASSERT_FALSE(
			    read_all(made.bytes, made.len, &question, &verdict, &out));
		}
		buf_free(&out);
	}
}

/* A name that leads to itself, or forward. */
static void
test_loops(void)
{
	static const char behind_label[] = "\x01"
					   "a\xc0\x26";
	static const char *const names[] = { "\xc0\x1a", "\xc0\x26", "\xc0\xff",
		"\xff\xff", behind_label, "\x40" };
	struct dns_question question;
	struct made made;
	struct buf out = { .limit = 100 };
	enum dns_verdict verdict;

	dns_ask(&question, 7, "www.test", ns_t_ns);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		answer(&made, &question);
		add_record(&made, ns_t_ns, names[i], strlen(names[i]));
		bool good = read_all(made.bytes, made.len, &question, &verdict, &out);
		/* \xc0\x1a is the record's own name, which is that of the question */
		CU_ASSERT_EQUAL(good && verdict == DNS_ANSWERED, i == 0);
	}
	buf_free(&out);
}

static enum dns_verdict
verdict_of(struct made *made, const struct dns_question *question, size_t at,
    unsigned int mask, const char **why)
{
	struct dns_reply reply;
	unsigned char was = made->bytes[at];

	made->bytes[at] ^= (unsigned char)mask;
	enum dns_verdict verdict = dns_read(&reply, made->bytes, made->len, question);
	made->bytes[at] = was;
	*why = reply.why != NULL ? reply.why : "";
	return verdict;
}

static void
test_whose_answer(void)
{
	struct dns_question question, other;
	const char *why;
	struct made made;

	dns_ask(&question, 0x0708, "www.test", ns_t_a);
	answer(&made, &question);
	RECORD(&made, ns_t_a, "\x01\x02\x03\x04");
	CU_ASSERT_EQUAL(verdict_of(&made, &question, 0, 0, &why), DNS_ANSWERED);
	CU_ASSERT_EQUAL(verdict_of(&made, &question, 0, 1, &why), DNS_GARBAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "identifier"));
	CU_ASSERT_EQUAL(verdict_of(&made, &question, 1, 0x80, &why), DNS_GARBAGE);
	CU_ASSERT_EQUAL(verdict_of(&made, &question, 2, 0x80, &why), DNS_GARBAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "a question"));
	CU_ASSERT_EQUAL(verdict_of(&made, &question, 2, 0x02, &why), DNS_TRUNCATED);
	CU_ASSERT_EQUAL(verdict_of(&made, &question, 13, 0x20, &why), DNS_ANSWERED);
	CU_ASSERT_EQUAL(verdict_of(&made, &question, 13, 0x01, &why), DNS_GARBAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "another question"));
	CU_ASSERT_EQUAL(
	    verdict_of(&made, &question, question.len - 3, 3, &why), DNS_GARBAGE);
	CU_ASSERT_EQUAL(
	    verdict_of(&made, &question, question.len - 1, 2, &why), DNS_GARBAGE);
	dns_ask(&other, 0x0708, "www.test.other", ns_t_a);
	CU_ASSERT_EQUAL(verdict_of(&made, &other, 0, 0, &why), DNS_GARBAGE);
	for (unsigned int rcode = 1; rcode < 16; rcode++)
		CU_ASSERT_EQUAL(
		    verdict_of(&made, &question, 3, rcode, &why), DNS_FAILED);
}

/* A server that does not understand may send no more than a header; root asks for root. */
static void
test_bare(void)
{
	struct dns_question question;
	struct dns_reply reply;
	struct made made;
	char name[32];

	dns_ask(&question, 9, ".", ns_t_soa);
	answer(&made, &question);
	CU_ASSERT_EQUAL(
	    dns_read(&reply, made.bytes, made.len, &question), DNS_ANSWERED);
	made.bytes[3] = 0x81;
	made.bytes[5] = 0;
	CU_ASSERT_EQUAL(dns_read(&reply, made.bytes, 12, &question), DNS_FAILED);
	CU_ASSERT_EQUAL(reply.rcode, 1);
	made.bytes[3] = 0x80;
	CU_ASSERT_EQUAL(dns_read(&reply, made.bytes, 12, &question), DNS_GARBAGE);
	dns_rcode_name(3, name, sizeof(name));
	CU_ASSERT_STRING_EQUAL(name, "NXDOMAIN");
	dns_rcode_name(10, name, sizeof(name));
	CU_ASSERT_STRING_EQUAL(name, "NOTZONE");
	dns_rcode_name(11, name, sizeof(name));
	CU_ASSERT_STRING_EQUAL(name, "code 11");
}

static const struct tap_case cases[] = {
	{ "questions", test_questions },
	{ "records of every type", test_records },
	{ "damage at every place", test_damage },
	{ "names that lead to themselves", test_loops },
	{ "whose answer it is", test_whose_answer },
	{ "no more than a header", test_bare },
};

TAP_MAIN("dns_message", cases)
