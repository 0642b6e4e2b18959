/* SPDX-License-Identifier: ISC */
/*
 * Messages of DNS: a question made, an answer read. Names with their compression and the
 * bounds of records are the C library's to take apart (ns_initparse and dn_expand, as old as
 * DNS); what is here is what belongs to whom and the words for what a record says. Reads
 * only within the message, whatever that claims.
 */
#include "checks/dns_message.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/base/util.h"

#define HEADER 12 /* bytes before the question */

uint16_t
dns_type(const char *name)
{
	static const struct {
		const char *name;
		uint16_t type;
	} types[] = {
		{ "A", ns_t_a },
		{ "AAAA", ns_t_aaaa },
		{ "CNAME", ns_t_cname },
		{ "MX", ns_t_mx },
		{ "NS", ns_t_ns },
		{ "PTR", ns_t_ptr },
		{ "SOA", ns_t_soa },
		{ "SRV", ns_t_srv },
		{ "TXT", ns_t_txt },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	return 0;
}

static void
put16(unsigned char *out, unsigned int value)
{
	out[0] = (unsigned char)(value >> 8);
	out[1] = (unsigned char)value;
}

bool
dns_ask(
    struct dns_question *question, uint16_t identifier, const char *name, uint16_t type)
{
	unsigned char *out = question->bytes;
	int len = dn_comp(name, out + HEADER, NS_MAXCDNAME, NULL, NULL);

	if (len <= 0 || name[0] == '\0')
		return false;
	memset(out, 0, HEADER);
	put16(out, identifier);
	out[2] = 1; /* recursion is desired */
	put16(out + 4, 1);
	put16(out + HEADER + len, type);
	put16(out + HEADER + len + 2, ns_c_in);
	question->type = type;
	question->len = HEADER + (size_t)len + 4;
	return true;
}

/* Is it what was asked? The case of letters may differ. */
static bool
is_question(ns_msg *msg, const struct dns_question *question)
{
	char asked[NS_MAXDNAME];
	ns_rr rr;

	if (ns_msg_count(*msg, ns_s_qd) != 1 || ns_parserr(msg, ns_s_qd, 0, &rr) != 0)
		return false;
	if (dn_expand(question->bytes, question->bytes + question->len,
		question->bytes + HEADER, asked, sizeof(asked)) < 0)
		return false;
	/* dn_expand and ns_parserr differ in how they write the root */
	const char *name = strcmp(ns_rr_name(rr), ".") == 0 ? "" : ns_rr_name(rr);
	return strcasecmp(name, asked) == 0 && ns_rr_type(rr) == question->type &&
	    ns_rr_class(rr) == ns_c_in;
}

static enum dns_verdict
garbage(struct dns_reply *reply, const char *why)
{
	reply->why = why;
	return DNS_GARBAGE;
}

enum dns_verdict
dns_read(struct dns_reply *reply, const unsigned char *message, size_t len,
    const struct dns_question *question)
{
	*reply = (struct dns_reply){ .type = question->type };
	if (len < HEADER)
		return garbage(reply, "too short for DNS");
	if (memcmp(message, question->bytes, 2) != 0)
		return garbage(reply, "it answers another question: wrong identifier");
	if ((message[2] & 0x80) == 0)
		return garbage(reply, "a question, not an answer");
	reply->rcode = message[3] & 0x0f;
	bool truncated = (message[2] & 0x02) != 0;
	/* what is cut may be cut anywhere, and who does not understand may not repeat */
	bool bare = len == HEADER && message[4] == 0 && message[5] == 0;
	if (bare && reply->rcode != 0)
		return DNS_FAILED;
	if (truncated && reply->rcode == 0)
		return DNS_TRUNCATED;
	if (ns_initparse(message, (int)len, &reply->msg) != 0)
		return garbage(reply, "a broken message");
	if (!is_question(&reply->msg, question))
		return garbage(reply, "it answers another question");
	return reply->rcode != 0 ? DNS_FAILED : DNS_ANSWERED;
}

void
dns_rcode_name(unsigned int rcode, char *out, size_t size)
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL",
		"NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
		"NOTAUTH", "NOTZONE" };

	if (rcode < ARRAY_LENGTH(names))
		str_copy(out, size, names[rcode]);
	else
		snprintf(out, size, "code %u", rcode);
}

/* The data of one record while it is put in words. */
struct rdata {
	const unsigned char *message, *message_end, *at, *end;
	struct buf text;
};

static bool
add_numbers(struct rdata *data, size_t size, unsigned int count)
{
	if ((size_t)(data->end - data->at) < size * count)
		return false;
	for (; count > 0; count--) {
		uint32_t value = 0;
		for (size_t i = 0; i < size; i++)
			value = value << 8 | *data->at++;
		buf_printf(&data->text, data->text.len > 0 ? " %u" : "%u", value);
	}
	return true;
}

static bool
add_name(struct rdata *data)
{
	char name[NS_MAXDNAME];
	int len =
	    dn_expand(data->message, data->message_end, data->at, name, sizeof(name));

	if (len < 0 || len > data->end - data->at)
		return false;
	data->at += len;
	buf_printf(&data->text, data->text.len > 0 ? " %s" : "%s",
	    name[0] == '\0' ? "." : name);
	return true;
}

static bool
add_address(struct rdata *data, int family, ptrdiff_t size)
{
	char text[INET6_ADDRSTRLEN];

	if (data->end - data->at != size)
		return false;
	inet_ntop(family, data->at, text, sizeof(text));
	data->at += size;
	buf_printf(&data->text, "%s", text);
	return true;
}

/* The strings of a TXT are one text that was too long for one string. */
static bool
add_strings(struct rdata *data)
{
	while (data->at < data->end) {
		size_t len = *data->at++;
		if ((size_t)(data->end - data->at) < len)
			return false;
		for (; len > 0; len--, data->at++) {
			char c = (char)*data->at;
			if (*data->at < ' ' || *data->at == 0x7f)
				buf_printf(&data->text, "\\%03u", *data->at);
			else
				buf_add(&data->text, &c, 1);
		}
	}
	return true;
}

static bool
add_all(struct rdata *data, uint16_t type)
{
	switch (type) {
	case ns_t_a: return add_address(data, AF_INET, 4);
	case ns_t_aaaa: return add_address(data, AF_INET6, 16);
	case ns_t_mx: return add_numbers(data, 2, 1) && add_name(data);
	case ns_t_srv: return add_numbers(data, 2, 3) && add_name(data);
	case ns_t_soa:
		for (int i = 0; i < 2; i++)
			if (!add_name(data))
				return false;
		return add_numbers(data, 4, 5);
	case ns_t_txt: return add_strings(data);
	default: return add_name(data); /* CNAME, NS, PTR */
	}
}

static void
find_host(struct dns_value *value, uint16_t type)
{
	const char *space;

	value->host = NULL;
	switch (type) {
	case ns_t_a:
	case ns_t_aaaa:
	case ns_t_txt: return;
	case ns_t_soa:
		value->host = value->text;
		value->host_len = strcspn(value->text, " ");
		return;
	default:
		space = strrchr(value->text, ' ');
		value->host = space != NULL ? space + 1 : value->text;
		value->host_len = strlen(value->host);
	}
}

static bool
put_in_words(const struct dns_reply *reply, const ns_rr *rr, struct dns_value *value)
{
	struct rdata data = {
		.message = ns_msg_base(reply->msg),
		.message_end = ns_msg_end(reply->msg),
		.at = ns_rr_rdata(*rr),
		.end = ns_rr_rdata(*rr) + ns_rr_rdlen(*rr),
		.text = { .limit = sizeof(value->text) - 1 },
	};
	bool whole = add_all(&data, reply->type) && data.at == data.end;

	str_copy(value->text, sizeof(value->text),
	    data.text.data != NULL ? data.text.data : "");
	buf_free(&data.text);
	find_host(value, reply->type);
	return whole;
}

int
dns_next(struct dns_reply *reply, struct dns_value *value)
{
	ns_rr rr;

	while (reply->at < (int)ns_msg_count(reply->msg, ns_s_an)) {
		if (ns_parserr(&reply->msg, ns_s_an, reply->at++, &rr) != 0)
			return -1;
		if (ns_rr_type(rr) == reply->type && ns_rr_class(rr) == ns_c_in)
			return put_in_words(reply, &rr, value) ? 1 : -1;
	}
	return 0;
}
