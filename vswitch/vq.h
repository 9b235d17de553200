/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device side of a virtqueue, split (virtio 1.2, 2.7) or packed (2.8). All of it lies in memory that
 * the driver may change at any time: each shared word is read once into a local, checked there and
 * used from there; each walk is bounded. A vq keeps no position: who owns a queue keeps its own
 * (port.c, rx.c), so that several CPUs may read chains of one vq.
 *
 * A position is where in the ring the next chain is taken, or given back. Split: an index, modulo
 * 65536, a chain takes one. Packed: the ring's entry, and the wrap counter in bit 15, as in the event
 * structures; a chain takes an entry for each of its direct descriptors. vq_advance() moves one.
 * Chains must be given back in the order they were taken.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vswitch/gmem.h"
#include "vswitch/prefetch.h"
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
	X(OVERRUN, "more descriptors are made available than the ring has entries")                \
	X(NOT_AVAILABLE, "descriptor chain runs into entries that are not made available")         \
	X(RX_TINY, "receive buffer is smaller than a virtio-net header")                           \
	X(RX_EMPTY, "receive buffer has a descriptor of length zero")                              \
	X(RX_LONG, "one packet's receive buffers have more than 1024 descriptors")

enum vq_fault {
	VQ_OK,
#define VQ_FAULT_ENUM(name, text) VQ_BAD_##name,
	VQ_FAULT_TABLE(VQ_FAULT_ENUM)
#undef VQ_FAULT_ENUM
};

const char *vq_fault_text(enum vq_fault fault);

/* (c) constant while the queue runs */
struct vq {
	uint32_t size;		/* (c) split: a power of two */
	bool packed;		/* (c) */
	bool event_idx;		/* (c) */
	bool indirect;		/* (c) */
	const struct gmem *mem; /* (c) */
	union {
		struct {
			const uint8_t *desc;	 /* (c) guest: size * 16 bytes */
			_Atomic uint16_t *avail; /* (c) guest: flags, idx, ring[size], used_event */
			_Atomic uint16_t *used;	 /* (c) guest: flags, idx, elements, avail_event */
		};
		struct {
			uint8_t *ring;			/* (c) guest: size * 16 bytes */
			_Atomic uint32_t *driver_event; /* (c) guest: 2.8.14 */
			_Atomic uint32_t *device_event; /* (c) guest */
		};
	};
};

/* Checks and maps the rings; 0, or -1 with *why set. */
int vq_init(struct vq *vq, const struct queue_setup *setup, const struct gmem *mem,
	    const char **why);

/* Device-readable (transmit) or device-writable (receive) buffers: a data queue of virtio-net has
 * one kind only. A control queue has both, readable ones first. */
enum vq_dir { VQ_READ, VQ_WRITE, VQ_BOTH };

struct vq_chain {
	unsigned nsegs;
	unsigned readable; /* VQ_BOTH: so many of them */
	unsigned descs;	   /* read: what the walk has cost */
	uint64_t bytes;	   /* of these pieces */
	bool whole;	   /* the pieces are all of the chain */
	bool indirect;	   /* in a table of its own, or part of it */
	uint16_t id;	   /* for vq_put_used() */
	uint16_t slots;	   /* entries of the ring that it takes; 0: no chain is available */
};

/*
 * Reads the chain at position `pos`, each descriptor once, into seg[0..room). It stops early,
 * without a fault, when `want` bytes are there (the last piece is not cut) or seg[] is full.
 * avail: vq_avail_idx(), read after pos was; without meaning for a packed ring.
 */
static inline enum vq_fault vq_read(const struct vq *vq, uint16_t pos, uint16_t avail,
				    enum vq_dir dir, uint64_t want, struct seg *seg, unsigned room,
				    struct vq_chain *out);

/* The two kinds of it. vq_read_chain(): split, the chain that begins with descriptor `head`. */
enum vq_fault vq_read_chain(const struct vq *vq, uint16_t head, enum vq_dir dir, uint64_t want,
			    struct seg *seg, unsigned room, struct vq_chain *out);
enum vq_fault vq_packed_read(const struct vq *vq, uint16_t pos, enum vq_dir dir, uint64_t want,
			     struct seg *seg, unsigned room, struct vq_chain *out);

/* The quick way for most chains: those from `pos` on that are a single descriptor, in one piece, at most
 * `most` of them. Fills their pieces and ids, and returns their number; each takes one slot. Whatever
 * else it finds, also a fault, ends it: vq_read() then looks at that anew. The beginnings of the pieces
 * are being fetched when it returns. */
unsigned vq_read_singles(const struct vq *vq, uint16_t pos, uint16_t avail, enum vq_dir dir,
			 struct seg *seg, uint16_t *id, unsigned most);

/* `count` chains from `pos` on will soon be read and given back: fetches the places in the rings, and, as
 * drivers use their descriptors in order for the most part, those from number `desc` on. Any value of
 * pos and desc is right. */
void vq_prefetch(const struct vq *vq, uint16_t pos, uint16_t desc, unsigned count);

#define VQ_WRAP 0x8000u /* packed: the wrap counter in a position */

/* Where a ring begins. */
static inline uint16_t vq_start(const struct vq *vq)
{
	return vq->packed ? VQ_WRAP : 0;
}

/* slots: at most the queue size. */
static inline uint16_t vq_advance(const struct vq *vq, uint16_t pos, uint32_t slots)
{
	uint32_t entry;

	if (!vq->packed)
		return (uint16_t)(pos + slots);
	entry = (pos & ~VQ_WRAP) + slots;
	if (entry < vq->size)
		return (uint16_t)(entry | (pos & VQ_WRAP));
	return (uint16_t)((entry - vq->size) | (~pos & VQ_WRAP));
}

/* Packed: entries from one position to a later one, modulo twice the size. */
static inline uint32_t vq_packed_distance(const struct vq *vq, uint16_t from, uint16_t to)
{
	int32_t n = (int32_t)(to & ~VQ_WRAP) - (int32_t)(from & ~VQ_WRAP);

	if ((from ^ to) & VQ_WRAP)
		n += (int32_t)vq->size;
	return n < 0 ? (uint32_t)n + 2 * vq->size : (uint32_t)n;
}

/* Slots from one position to another. */
static inline uint32_t vq_distance(const struct vq *vq, uint16_t from, uint16_t to)
{
	return vq->packed ? vq_packed_distance(vq, from, to) : (uint16_t)(to - from);
}

/* Split: the available index. Sequentially consistent: partner of vq_arm_kick() in the re-arm
 * protocol (tests/model/kick.pml). On x86 this costs no more than an acquire. */
static inline uint16_t vq_avail_idx(const struct vq *vq)
{
	return atomic_load_explicit(&vq->avail[1], memory_order_seq_cst);
}

/* Packed: are these flags of an entry that is available at this position? 2.8.1 */
static inline bool vq_packed_available(uint16_t flags, uint16_t pos)
{
	bool avail = flags >> 7 & 1, used = flags >> 15 & 1, wrap = pos >> 15;

	return avail == wrap && used != wrap;
}

static inline uint16_t vq_packed_flags(const struct vq *vq, uint16_t pos)
{
	const uint8_t *d = vq->ring + (size_t)(pos & ~VQ_WRAP) * 16;

	return atomic_load_explicit((_Atomic uint16_t *)(uintptr_t)(d + 14), memory_order_seq_cst);
}

/* Is there a chain at this position? As vq_avail_idx(), partner of vq_arm_kick(). */
static inline bool vq_has(const struct vq *vq, uint16_t pos)
{
	if (vq->packed)
		return vq_packed_available(vq_packed_flags(vq, pos), pos);
	return vq_avail_idx(vq) != pos;
}

/*
 * May be taken: a chain read at `pos`, when all from `base` on has not been given back? The caller
 * reads base after the chain: the driver may have filled what was given back in between.
 * (Split: vq_avail_ok().)
 */
static inline bool vq_packed_fits(const struct vq *vq, uint16_t base, uint16_t pos, uint16_t slots)
{
	return vq_packed_distance(vq, base, pos) + slots <= vq->size;
}

/* Entry of the available ring: not yet checked, vq_read_chain() does. */
static inline uint16_t vq_avail_head(const struct vq *vq, uint16_t pos)
{
	return atomic_load_explicit(&vq->avail[2 + (pos & (vq->size - 1))], memory_order_relaxed);
}

static inline enum vq_fault vq_read(const struct vq *vq, uint16_t pos, uint16_t avail,
				    enum vq_dir dir, uint64_t want, struct seg *seg, unsigned room,
				    struct vq_chain *out)
{
	if (vq->packed)
		return vq_packed_read(vq, pos, dir, want, seg, room, out);
	if (pos == avail) {
		*out = (struct vq_chain){ .nsegs = 0 };
		return VQ_OK;
	}
	return vq_read_chain(vq, vq_avail_head(vq, pos), dir, want, seg, room, out);
}

/* The flags of a used entry: 2.8.1, and 2.8.4 for the one that says "something was written". */
static inline uint16_t vq_packed_used_flags(uint16_t pos, enum vq_dir dir)
{
	return (uint16_t)((pos & VQ_WRAP ? 1u << 15 | 1u << 7 : 0) | (dir == VQ_READ ? 0 : 2u));
}

/*
 * Gives the chain that was taken at `pos` back, not yet seen by the driver: vq_publish() does that
 * for a run of chains. first: of the run. (A packed ring's driver looks at the entries in order, and
 * stops at the run's first until that is published.)
 */
static inline void vq_put_used(const struct vq *vq, uint16_t pos, uint16_t id, uint32_t len,
			       enum vq_dir dir, bool first)
{
	if (vq->packed) {
		uint8_t *d = vq->ring + (size_t)(pos & ~VQ_WRAP) * 16;
		uint16_t flags = vq_packed_used_flags(pos, dir);

		if (first) /* still as the driver made it available */
			flags ^= 1u << 15;
		atomic_store_explicit((_Atomic uint64_t *)(void *)(d + 8),
				      (uint64_t)flags << 48 | (uint64_t)id << 32 | len,
				      memory_order_release);
	} else {
		uint32_t *e =
			(uint32_t *)(void *)(vq->used + 2) + (size_t)(pos & (vq->size - 1)) * 2;

		e[0] = id;
		e[1] = len;
	}
}

/* vq_publish() will follow soon. */
static inline void vq_prefetch_index(const struct vq *vq)
{
	if (!vq->packed)
		prefetch_write((const void *)&vq->used[1]);
}

/* One store gives the chains from position `start` to `end` to the driver. Sequentially consistent:
 * it must be seen before the driver's wish for an interrupt is read (vq_wants_interrupt()). */
static inline void vq_publish(const struct vq *vq, uint16_t start, uint16_t end, enum vq_dir dir)
{
	if (vq->packed)
		atomic_store_explicit((_Atomic uint16_t *)(void *)(vq->ring +
								   (size_t)(start & ~VQ_WRAP) * 16 +
								   14),
				      vq_packed_used_flags(start, dir), memory_order_seq_cst);
	else
		atomic_store_explicit(&vq->used[1], end, memory_order_seq_cst);
}

/* Does the driver want an interrupt, now that chains from `before` to `end` were given back? */
bool vq_wants_interrupt(const struct vq *vq, uint16_t before, uint16_t end);

/* Asks for a kick at the next chain put at `pos`. The caller calls vq_has() again afterwards: what
 * came before this store came without a kick. */
void vq_arm_kick(const struct vq *vq, uint16_t pos);

/* Asks for no kicks; pos: the available index seen last. With the event index of a split ring this
 * holds for the next 65535 - size chains, and is renewed by calling again. */
void vq_disarm_kick(const struct vq *vq, uint16_t pos);
