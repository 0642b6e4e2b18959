/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FRAME_H
#define LICTOR_FRAME_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of each kind there is one size, of Ethernet's header and all. */
#define FRAME_ARP_SIZE 42
#define FRAME_NA_SIZE 86
#define FRAME_NS_SIZE 78
#define FRAME_MAX 96

/* What one host says to the others about an address. */
enum frame_kind {
	FRAME_ARP_REQUEST, /* gratuitous: sender and target are the same (RFC 5227) */
	FRAME_ARP_REPLY,   /* the same, and so is the target's MAC */
	FRAME_ARP_PROBE,   /* who has it? From nobody (RFC 5227 2.1.1) */
	FRAME_NA,	   /* to all nodes, override set (RFC 4861 7.2.6) */
	FRAME_NS_PROBE,	   /* who has it? From :: (RFC 4862 5.4.2) */
};

/* Writes it and returns its size; `router` counts for FRAME_NA alone. `address` has four
 * bytes in the first three, sixteen in the others. */
size_t frame_write(unsigned char frame[FRAME_MAX], enum frame_kind kind,
    const unsigned char mac[6], const unsigned char *address, bool router);

/* Somebody says that the address is his: sender of any ARP packet, or target of an
 * advertisement. Who only asks whether anybody has it does not. */
bool frame_claims(const unsigned char *frame, size_t len, int family,
    const unsigned char *address);

/* An address that a filter lets pass. */
struct frame_address {
	int family;
	const unsigned char *address;
};

/*
 * A classic BPF program for a raw packet socket that lets pass, of frames of that family, those
 * that claim one of the addresses, up to FRAME_SEEN bytes of each; if they are too many for
 * one program, those that claim any. Returns its length, at most FRAME_FILTER_MAX.
 */
#define FRAME_SEEN 128
#define FRAME_FILTER_MAX 2048
size_t frame_filter(struct sock_filter program[FRAME_FILTER_MAX], int family,
    const struct frame_address *list, size_t count);

#endif
