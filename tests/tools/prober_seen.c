/* SPDX-License-Identifier: ISC */
/*
 * What prober saw: who answered which question, when first and last, and how often more
 * than one did. A late answer never counts for another question; one that came long after
 * its question may be of another holder than an early one, so two of that sort prove
 * nothing and are counted apart, as unclear.
 */
#include "tests/tools/prober.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

#define CLEAR_NS 2000000 /* a handover takes longer than this: two writes in Consul */
#define SILENT_NS 50000000 /* then a host counts as silent, for the events, */
#define SILENT_ASKED 20 /* if it was asked so many times meanwhile */

static const char *const kind_names[] = { "neighbour", "echo", "udp" };
_Static_assert(ARRAY_LENGTH(kind_names) == KINDS, "a kind has no name");

const char *
kind_name(enum kind kind)
{
	return kind_names[kind];
}

static double
in_ms(int64_t ns)
{
	return (double)ns / MS_NS;
}

static void
print_mac(const unsigned char mac[ETH_ALEN], char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
	    mac[3], mac[4], mac[5]);
}

static void
tell(const struct prober *p, unsigned int host, const char *what, int64_t at)
{
	char text[18];

	if (!p->events)
		return;
	print_mac(p->macs[host], text);
	printf("%.3f %s %s\n", in_ms(at), text, what);
	fflush(stdout);
}

static void
count_twice(struct prober *p, struct question *question, enum kind kind, int64_t at)
{
	unsigned int hosts = question->hosts[kind];
	bool clear = at - question->sent_at <= CLEAR_NS;

	if ((hosts & (hosts - 1)) == 0 || question->counted[kind] != 0)
		return;
	question->counted[kind] = 1;
	*(clear ? &p->dual : &p->unclear) += 1;
}

static void
take(struct prober *p, enum kind kind, unsigned int host, struct question *question,
    int64_t at)
{
	struct seen *seen = &p->seen[kind][host];

	question->hosts[kind] |= 1u << host;
	count_twice(p, question, kind, at);
	if (seen->answers++ == 0)
		seen->first = at;
	seen->last = at;
	if (!p->answering[host])
		tell(p, host, "answers", at);
	p->answering[host] = true;
	p->answered[host] = question->number;
	if (at - p->held_at > p->longest) {
		p->longest = at - p->held_at;
		p->longest_end = at;
	}
	if (at > p->held_at)
		p->held_at = at;
	if (p->holder != host && p->holder < p->n_macs)
		p->switches++;
	p->holder = host;
}

void
seen_frame(struct prober *p, const unsigned char *frame, size_t len, int64_t at)
{
	unsigned int number, host = 0;
	enum kind kind = len < 42 ? KINDS : frame_read(p, frame, len, &number);

	if (kind == KINDS)
		return;
	struct question *question = &p->ring[number % RING];
	while (host < p->n_macs && memcmp(frame + 6, p->macs[host], ETH_ALEN) != 0)
		host++;
	if (host < p->n_macs && (question->number & 0xffff) == number)
		take(p, kind, host, question, at);
}

void
seen_silence(struct prober *p, int64_t now)
{
	for (unsigned int i = 0; i < p->n_macs; i++) {
		int64_t last = 0;
		for (int kind = 0; kind < KINDS; kind++)
			if (p->seen[kind][i].last > last)
				last = p->seen[kind][i].last;
		if (!p->answering[i] || now - last < SILENT_NS ||
		    p->number - p->answered[i] < SILENT_ASKED)
			continue;
		p->answering[i] = false;
		tell(p, i, "is silent since", last);
	}
}

void
seen_report(const struct prober *p)
{
	int64_t silent = p->asked_at - p->held_at;
	bool still = silent > p->longest;
	char text[18];

	printf("dual %llu of %llu, unclear %llu, longest without any %.1f ms before "
	       "%.3f, own pause %.1f ms, switches %llu\n",
	    (unsigned long long)p->dual, (unsigned long long)(p->number - p->begun),
	    (unsigned long long)p->unclear, in_ms(still ? silent : p->longest),
	    in_ms(still ? p->asked_at : p->longest_end), in_ms(p->pause),
	    (unsigned long long)p->switches);
	for (int kind = 0; kind < KINDS; kind++)
		for (unsigned int i = 0; i < p->n_macs && p->asks[kind]; i++) {
			const struct seen *seen = &p->seen[kind][i];
			print_mac(p->macs[i], text);
			printf("%s %s: answers %llu, first %.3f, last %.3f\n",
			    kind_names[kind], text, (unsigned long long)seen->answers,
			    in_ms(seen->first), in_ms(seen->last));
		}
	fflush(stdout);
}

void
seen_begin(struct prober *p, int64_t now)
{
	memset(p->seen, 0, sizeof(p->seen));
	p->begun = p->number;
	p->held_at = now;
	p->longest = p->longest_end = p->pause = 0;
	p->dual = p->unclear = p->switches = 0;
}
