/* SPDX-License-Identifier: ISC */
/*
 * What somebody on the wire could do to heartbeats.
 *
 * parrot hear INTERFACE PORT COUNT FILE: keeps so many frames with UDP by IPv4 to that port
 * that arrive there, as they are, but for the checksum, which a virtual wire leaves open:
 * they have none.
 * parrot say INTERFACE FILE TIMES: sends them all again, with the addresses they had, so
 * often, a thousand a second.
 * parrot version NUMBER NODE KEY ADDRESS PORT: sends one message of NODE in another version
 * of the protocol, signed with the key (64 hexadecimal digits) as every version is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/mac.h"
#include "agent/base/util.h"

#define FRAME_MAX 512

struct frame {
	uint16_t len;
	uint8_t data[FRAME_MAX];
};

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "parrot: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t
number(const char *text, uint64_t max)
{
	uint64_t value;

	errno = EINVAL;
	if (parse_uint(text, 0, max, &value) != 0)
		fail(text);
	return value;
}

static int
open_wire(const char *interface)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	if (fd < 0 || at.sll_ifindex == 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		fail(interface);
	return fd;
}

#define UDP (ETH_HLEN + 20)
#define UDP_END (UDP + 8)

/* Without IP options, as lictor's have none. */
static bool
is_udp_to(const struct frame *frame, uint64_t port)
{
	return frame->len >= UDP_END && frame->data[12] == ETH_P_IP >> 8 &&
	    frame->data[13] == (ETH_P_IP & 0xff) && frame->data[23] == IPPROTO_UDP &&
	    ((uint64_t)frame->data[UDP + 2] << 8 | frame->data[UDP + 3]) == port;
}

static void
hear(const char *interface, uint64_t port, uint64_t count, const char *path)
{
	AUTO_FCLOSE FILE *file = fopen(path, "we");
	AUTO_CLOSE int fd = open_wire(interface);
	struct sockaddr_ll from;
	struct frame frame;

	if (file == NULL)
		fail(path);
	while (count > 0) {
		socklen_t size = sizeof(from);
		ssize_t len = recvfrom(fd, frame.data, sizeof(frame.data), 0,
		    (struct sockaddr *)&from, &size);

		frame.len = (uint16_t)len;
		if (len < 14 || from.sll_pkttype == PACKET_OUTGOING ||
		    !is_udp_to(&frame, port))
			continue;
		memset(frame.data + UDP + 6, 0, 2);
		if (fwrite(&frame, sizeof(frame), 1, file) != 1)
			fail(path);
		count--;
	}
}

static void
say(const char *interface, const char *path, uint64_t times)
{
	static const struct timespec pause = { 0, 1000000 };
	AUTO_FCLOSE FILE *file = fopen(path, "re");
	AUTO_CLOSE int fd = open_wire(interface);
	struct frame frame;

	if (file == NULL)
		fail(path);
	for (uint64_t i = 0; i < times; i++) {
		rewind(file);
		while (fread(&frame, sizeof(frame), 1, file) == 1) {
			if (send(fd, frame.data, frame.len, 0) < 0)
				fail(interface);
			nanosleep(&pause, NULL);
		}
	}
}

static struct mac *
read_key(const char *text)
{
	uint8_t key[MAC_KEY_SIZE];
	char pair[3] = "", *end;

	errno = EINVAL;
	for (size_t i = 0; i < MAC_KEY_SIZE; i++) {
		if (strlen(text) < 2 * i + 2)
			fail("the key");
		memcpy(pair, text + 2 * i, 2);
		key[i] = (uint8_t)strtoul(pair, &end, 16);
		if (end != pair + 2)
			fail("the key");
	}
	return mac_new(key, sizeof(key));
}

/* The part that all versions have in common: magic, version, type, key, flags, name; code. */
static size_t
write_message(uint8_t *out, uint64_t version, const char *node, struct mac *mac)
{
	static const char id[] = "lictor heartbeat key";
	uint8_t code[MAC_SIZE];
	size_t len = strlen(node);

	mac_sign(mac, id, sizeof(id) - 1, code);
	memset(out, 0, 100);
	out[0] = 'L';
	out[1] = 'I';
	out[2] = (uint8_t)version;
	memcpy(out + 4, code, 2);
	out[7] = (uint8_t)len;
	for (size_t i = 0; i < len; i++)
		out[8 + i] = (uint8_t)node[i];
	mac_sign(mac, out, 100, out + 100);
	return 100 + MAC_SIZE;
}

static void
speak(uint64_t version, const char *node, const char *key, const char *address,
    const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_DGRAM };
	struct addrinfo *to;
	struct mac *mac = read_key(key);
	uint8_t message[200];
	size_t len = write_message(message, version, node, mac);

	if (strlen(node) > 63 || getaddrinfo(address, port, &hints, &to) != 0)
		fail(address);
	AUTO_CLOSE int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sendto(fd, message, len, 0, to->ai_addr, to->ai_addrlen) < 0)
		fail(address);
	freeaddrinfo(to);
	mac_free(mac);
}

int
main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "hear") == 0)
		hear(argv[2], number(argv[3], UINT16_MAX), number(argv[4], 1000000),
		    argv[5]);
	else if (argc == 5 && strcmp(argv[1], "say") == 0)
		say(argv[2], argv[3], number(argv[4], 1000000));
	else if (argc == 7 && strcmp(argv[1], "version") == 0)
		speak(number(argv[2], UINT8_MAX), argv[3], argv[4], argv[5], argv[6]);
	else
		return 2;
	return 0;
}
