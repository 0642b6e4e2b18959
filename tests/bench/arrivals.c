/* SPDX-License-Identifier: ISC */
/*
 * When each check came to the target. A connection is noted by a program in the kernel on
 * the listening socket at its first packet: a prober that never completes the handshake
 * (HAProxy's TCP check acknowledges nothing and resets) is seen like any other, and the
 * time is not delayed by how busy the target is. It costs the prober a tenth of a
 * microsecond, and nobody is woken: the target empties the buffer when it likes, at least
 * each RING_SIZE / 24 connections.
 */
#include "tests/bench/arrivals.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/util.h"

#define RING_SIZE (1U << 20)

struct tap {
	int ring, program;
	size_t page;
	uint64_t *consumed; /* the page that is ours to write */
	const unsigned char
	    *produced; /* the kernel's: a counter, then the data twice */
};

void
arrivals_add(struct arrivals *arrivals, const struct arrival *arrival)
{
	if (arrivals->count == arrivals->size) {
		arrivals->size = arrivals->size == 0 ? 16384 : arrivals->size * 2;
		arrivals->list =
		    xrealloc(arrivals->list, arrivals->size, sizeof(*arrivals->list));
	}
	arrivals->list[arrivals->count++] = *arrival;
}

void
arrivals_free(struct arrivals *arrivals)
{
	free(arrivals->list);
	*arrivals = (struct arrivals){ 0 };
}

static int
bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int
ring_new(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_RINGBUF,
		.max_entries = RING_SIZE,
	};
	return bpf(BPF_MAP_CREATE, &attr);
}

#define INSN(c, d, s, o, i)                                                         \
	(struct bpf_insn)                                                           \
	{                                                                           \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) \
	}

/* The packet begins at its TCP header; a struct arrival is put together on the stack. */
static int
program_new(int ring)
{
	enum { SYN = 0x02, ACK = 0x10, FLAGS = 13, IP_TO = 16, ALL = 0x7fffffff };
	const struct bpf_insn code[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
		INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, FLAGS),
		INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, SYN | ACK),
		INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 12, SYN),
		INSN(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, SKF_NET_OFF + IP_TO),
		INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, 0xffff),
		INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_0, -8, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns),
		INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_0, -16, 0),
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, ring),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -16),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0,
		    (int)sizeof(struct arrival)),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, BPF_RB_NO_WAKEUP),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, ALL),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uint64_t)(uintptr_t)code,
		.insn_cnt = ARRAY_LENGTH(code),
		/* the clock is only for programs whose licence goes with the kernel's */
		.license = (uint64_t)(uintptr_t) "Dual MIT/GPL",
	};
	return bpf(BPF_PROG_LOAD, &attr);
}

static bool
ring_map(struct tap *tap)
{
	void *ours =
	    mmap(NULL, tap->page, PROT_READ | PROT_WRITE, MAP_SHARED, tap->ring, 0);
	if (ours == MAP_FAILED)
		return false;
	tap->consumed = ours;
	void *theirs = mmap(NULL, tap->page + 2 * (size_t)RING_SIZE, PROT_READ,
	    MAP_SHARED, tap->ring, (off_t)tap->page);
	if (theirs == MAP_FAILED)
		return false;
	tap->produced = theirs;
	return true;
}

struct tap *
tap_new(int listener)
{
	struct tap *tap = xcalloc(1, sizeof(*tap));
	tap->page = (size_t)sysconf(_SC_PAGESIZE);
	tap->program = -1;
	tap->ring = ring_new();
	if (tap->ring >= 0)
		tap->program = program_new(tap->ring);
	if (tap->program >= 0 && ring_map(tap) &&
	    setsockopt(listener, SOL_SOCKET, SO_ATTACH_BPF, &tap->program,
		sizeof(tap->program)) == 0)
		return tap;
	int error = errno;
	tap_free(tap);
	errno = error;
	return NULL;
}

void
tap_free(struct tap *tap)
{
	if (tap == NULL)
		return;
	if (tap->produced != NULL)
		munmap((void *)(uintptr_t)tap->produced,
		    tap->page + 2 * (size_t)RING_SIZE);
	if (tap->consumed != NULL)
		munmap(tap->consumed, tap->page);
	if (tap->program >= 0)
		close(tap->program);
	if (tap->ring >= 0)
		close(tap->ring);
	free(tap);
}

void
tap_drain(struct tap *tap, struct arrivals *arrivals)
{
	const unsigned char *data = tap->produced + tap->page;
	uint64_t end = __atomic_load_n(
	    (const uint64_t *)(const void *)tap->produced, __ATOMIC_ACQUIRE);
	uint64_t at = *tap->consumed;

	while (at < end) {
		const uint32_t *head = (const void *)(data + (at & (RING_SIZE - 1)));
		uint32_t len = __atomic_load_n(head, __ATOMIC_ACQUIRE);
		if (len & BPF_RINGBUF_BUSY_BIT)
			break;
		if (arrivals != NULL && len == sizeof(struct arrival)) {
			struct arrival arrival;
			memcpy(&arrival, head + 2, sizeof(arrival));
			arrivals_add(arrivals, &arrival);
		}
		at += BPF_RINGBUF_HDR_SZ + (len + 7) / 8 * 8;
	}
	__atomic_store_n(tap->consumed, at, __ATOMIC_RELEASE);
}
