/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ANNOUNCE_H
#define LICTOR_ANNOUNCE_H

#include <stddef.h>

/*
 * Tells the neighbours that an address has moved here: gratuitous ARP in request and in
 * reply form (RFC 5227, tha equal to sha in the reply), or an unsolicited neighbour
 * advertisement with the override flag (RFC 4861 7.2.6). One frame of each kind per call;
 * 0 or -errno. The interface needs no address of its own.
 */
int announce_send(unsigned int ifindex, int family, const unsigned char *address);

/* The frames themselves, for tests: returns the length. */
size_t announce_arp_frame(unsigned char frame[64], const unsigned char mac[6],
    const unsigned char address[4], int reply);
size_t announce_na_frame(unsigned char frame[128], const unsigned char mac[6],
    const unsigned char address[16]);

#endif
