/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device side of a split virtqueue (virtio 1.2, 2.7). All of it lies in memory that the driver may
 * change at any time: each shared word is read once into a local, checked there and used from
 * there; each walk is bounded. A vq keeps no position: who owns a queue keeps its own (port.c,
 * rx.c), so that several CPUs may read chains of one vq.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vswitch/gmem.h"
#include "vswitch/switch.h"

/* Most descriptors, and most pieces, of one chain. A direct chain ends at the queue size besides;
 * 2.7.5.3.1 says so of all chains, but Linux gives small queues longer indirect tables, and they do
 * no harm. */
#define VQ_MAX_CHAIN 1024u

/* A piece of a buffer, translated. */
struct seg {
	uint8_t *ptr;
	uint32_t len; /* never 0 */
};

/* Rules a driver can break, with the sentence for the log. */
#define VQ_FAULT_TABLE(X)                                                                          \
	X(AVAIL_IDX, "available index is ahead by more than the queue size")                       \
	X(HEAD, "available ring names a descriptor beyond the queue size")                         \
	X(NEXT, "descriptor's next field is beyond its table")                                     \
	X(LOOP, "descriptor chain is a loop or longer than its table")                             \
	X(LONG, "descriptor chain has more than 1024 descriptors or pieces")                       \
	X(NOT_RAM, "buffer is not in the VM's memory")                                             \
	X(DIRECTION, "buffer has the wrong direction for this queue")                              \
	X(INDIRECT_OFF, "indirect descriptor without the feature negotiated")                      \
	X(INDIRECT_NEXT, "indirect descriptor has the next flag as well")                          \
	X(INDIRECT_NESTED, "indirect descriptor inside an indirect table")                         \
	X(INDIRECT_SIZE, "indirect table's length is zero, not a multiple of 16, or too large")    \
	X(INDIRECT_NOT_RAM, "indirect table is not in the VM's memory")                            \
	X(RX_TINY, "receive buffer is smaller than a virtio-net header")

enum vq_fault {
	VQ_OK,
#define VQ_FAULT_ENUM(name, text) VQ_BAD_##name,
	VQ_FAULT_TABLE(VQ_FAULT_ENUM)
#undef VQ_FAULT_ENUM
};

const char *vq_fault_text(enum vq_fault fault);

/* (c) constant while the queue runs */
struct vq {
	uint32_t size;		 /* (c) */
	bool event_idx;		 /* (c) */
	bool indirect;		 /* (c) */
	const struct gmem *mem;	 /* (c) */
	const uint8_t *desc;	 /* (c) guest: size * 16 bytes */
	_Atomic uint16_t *avail; /* (c) guest: flags, idx, ring[size], used_event */
	_Atomic uint16_t *used;	 /* (c) guest: flags, idx, then elements, then avail_event */
};

/* Checks and maps the rings; 0, or -1 with *why set. */
int vq_init(struct vq *vq, const struct queue_setup *setup, const struct gmem *mem,
	    const char **why);

/* Device-readable (transmit) or device-writable (receive) buffers: a queue of virtio-net has one
 * kind only. */
enum vq_dir { VQ_READ, VQ_WRITE };

struct vq_chain {
	unsigned nsegs;
	unsigned descs; /* read: what the walk has cost */
	uint64_t bytes; /* of these pieces */
	bool whole;	/* the walk came to the end of the chain */
};

/*
 * Reads the chain that begins with descriptor `head`, each descriptor once, into seg[0..room). It
 * stops early, without a fault, when `want` bytes are there (the last piece is not cut) or seg[] is
 * full.
 */
enum vq_fault vq_read_chain(const struct vq *vq, uint16_t head, enum vq_dir dir, uint64_t want,
			    struct seg *seg, unsigned room, struct vq_chain *out);

/* Sequentially consistent: partner of vq_arm_kick() in the re-arm protocol (tests/model/kick.pml).
 * On x86 this costs no more than an acquire. */
static inline uint16_t vq_avail_idx(const struct vq *vq)
{
	return atomic_load_explicit(&vq->avail[1], memory_order_seq_cst);
}

/* Entry of the available ring: not yet checked, vq_read_chain() does. */
static inline uint16_t vq_avail_head(const struct vq *vq, uint16_t pos)
{
	return atomic_load_explicit(&vq->avail[2 + (pos & (vq->size - 1))], memory_order_relaxed);
}

/* Fills one element of the used ring; seen by the driver after vq_publish(). */
static inline void vq_put_used(const struct vq *vq, uint16_t pos, uint16_t head, uint32_t len)
{
	uint32_t *e = (uint32_t *)(void *)(vq->used + 2) + (size_t)(pos & (vq->size - 1)) * 2;

	e[0] = head;
	e[1] = len;
}

/* One store gives everything before position `idx` to the driver. Sequentially consistent: it must
 * be seen before the driver's wish for an interrupt is read (vq_wants_interrupt()). */
static inline void vq_publish(const struct vq *vq, uint16_t idx)
{
	atomic_store_explicit(&vq->used[1], idx, memory_order_seq_cst);
}

/* Does the driver want an interrupt, now that the used index went from `before` to `idx`? */
bool vq_wants_interrupt(const struct vq *vq, uint16_t before, uint16_t idx);

/* Asks for a kick at the next chain put at `pos`. The caller reads vq_avail_idx() again afterwards:
 * what came before this store came without a kick. */
void vq_arm_kick(const struct vq *vq, uint16_t pos);

/* Asks for no kicks; pos: the available index seen last. With the event index this holds for the
 * next 65535 - size chains, and is renewed by calling again. */
void vq_disarm_kick(const struct vq *vq, uint16_t pos);
