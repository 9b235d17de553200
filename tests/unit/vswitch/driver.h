/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest on the host: a piece of memory, a port, and the driver side of its two virtqueues (virtio
 * 1.2, 2.7), well-behaved. Each packet in a transmit queue, each buffer in a receive queue, has a
 * slot: `per_slot` descriptors, an indirect table, and slot_bytes. Tests that want to misbehave
 * write to the rings themselves.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/vswitch/env.h"
#include "vswitch/switch.h"

#define DRV_BUF	     16384u /* bytes of a slot's buffer, unless its queue has others */
#define DRV_BUF_GSO  65664u /* ... that take any frame */
#define DRV_MAX_SIZE 1024u
#define DRV_HDR	     12u
#define DRV_TABLE    16u /* entries of a slot's indirect table */

#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

struct drv_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* How a packet lies in descriptors. */
enum layout {
	LAYOUT_ONE,	 /* header and frame in one buffer */
	LAYOUT_TWO,	 /* header, frame */
	LAYOUT_ODD,	 /* header cut in two, Ethernet header cut, the rest in three */
	LAYOUT_INDIRECT, /* as TWO, in an indirect table */
	LAYOUT_MIXED,	 /* header direct, the rest in an indirect table */
	LAYOUT_COUNT
};

struct drv_queue {
	struct guest *guest;
	unsigned number, size, per_slot, slots;
	uint64_t features;
	struct drv_desc *desc, *table;
	/* packed only; positions are entry and wrap counter (bit 15), desc[] what chains are made of */
	bool packed;
	struct drv_desc *ring;
	_Atomic uint32_t *driver_event, *device_event;
	uint16_t held; /* first entry not made available yet */
	uint64_t held_word;
	uint8_t entries[DRV_MAX_SIZE]; /* of the chain in a slot */
	_Atomic uint16_t *avail, *used;
	uint8_t *buf;
	uint16_t avail_idx, seen; /* our index, or position; used index seen */
	unsigned free_count;
	uint16_t free_slot[DRV_MAX_SIZE];
	size_t slot_bytes;
	uint32_t buf_bytes; /* receive: size of a buffer offered, */
	enum layout layout; /* ... and how */
	uint16_t kicked_at; /* index at the last look whether it did */
};

struct guest {
	struct env_port env; /* the port's owner */
	struct gmem mem;
	uint8_t *ram;
	size_t ram_bytes, ram_used;
	struct port *port;
	struct drv_queue rx, tx;
};

struct guest_config {
	const char *name;
	unsigned mtu;	   /* 0: 9000 */
	unsigned size;	   /* of both queues; 0: 256; packed: not only powers of two */
	unsigned per_slot; /* descriptors of a slot; 0: 8 */
	uint32_t rx_bytes; /* receive buffer; 0: 2048 */
	size_t slot_bytes; /* of both queues; 0: DRV_BUF */
	enum layout rx_layout;
	uint64_t features;  /* beside VERSION_1 */
	const uint8_t *mac; /* NULL: that of frame_make()'s number 1 */
	bool uplink;
};

/* A guest with both queues running and all its receive buffers offered. */
struct guest *guest_create(struct vswitch *sw, const struct guest_config *config);
void guest_destroy(struct guest *g);
/* Both queues stopped, rings cleared, started again. */
void guest_reset(struct guest *g);

/* A piece of the guest's RAM, zeroed; aborts if there is none left. */
void *guest_alloc(struct guest *g, size_t bytes, size_t align);
uint64_t guest_gpa(const struct guest *g, const void *p);

/* Puts a packet into the transmit ring; false: full. Nothing is seen until drv_publish(). hdr: 12
 * bytes, or NULL for zeroes. */
bool drv_send(struct guest *g, const void *hdr, const void *frame, size_t bytes,
	      enum layout layout);
/* Offers a receive buffer of rx.buf_bytes. false: none left. */
bool drv_offer(struct guest *g);
/* Makes what was put visible; true: the device wants a kick. */
bool drv_publish(struct drv_queue *q);
/* Takes sent packets back: their number. */
unsigned drv_reap(struct guest *g);
/* The next packet received, with its header, or 0. num_buffers of its header have been merged, and
 * their slots offered again (not published). */
size_t drv_receive(struct guest *g, uint8_t *out, size_t room);
/* Asks for (or declines) an interrupt at the next used entry. */
void drv_want_interrupt(struct drv_queue *q, bool want);

/* An Ethernet frame of `bytes` from number `src` to number `dst` (0xff: broadcast), whose payload
 * depends on `seed`; check: is it that one? */
void frame_make(uint8_t *out, size_t bytes, unsigned dst, unsigned src, uint32_t seed);
bool frame_is(const uint8_t *frame, size_t bytes, unsigned dst, unsigned src, uint32_t seed);
