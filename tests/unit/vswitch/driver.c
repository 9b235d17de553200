/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driver side of virtqueues, split and packed, as plain as can be. A slot's number times per_slot is the
 * chain's first descriptor, so that a used entry's id leads back to its slot.
 */
#include "tests/unit/vswitch/driver.h"

#include <stdlib.h>
#include <string.h>

#define RAM_GPA 0x100000u
#define WRAP	0x8000u

void *guest_alloc(struct guest *g, size_t bytes, size_t align)
{
	size_t at = (g->ram_used + align - 1) & ~(align - 1);

	if (at + bytes > g->ram_bytes)
		abort();
	g->ram_used = at + bytes;
	return g->ram + at;
}

uint64_t guest_gpa(const struct guest *g, const void *p)
{
	return RAM_GPA + (uint64_t)((const uint8_t *)p - g->ram);
}

static void queue_clear(struct drv_queue *q)
{
	memset(q->desc, 0, q->size * sizeof(*q->desc));
	memset((void *)q->avail, 0, 6 + 2 * (size_t)q->size);
	memset((void *)q->used, 0, 6 + 8 * (size_t)q->size);
	memset(q->ring, 0, q->size * sizeof(*q->ring));
	*q->driver_event = *q->device_event = 0;
	q->avail_idx = q->seen = q->kicked_at = q->held = q->packed ? WRAP : 0;
	q->free_count = q->slots;
	for (unsigned i = 0; i < q->slots; i++)
		q->free_slot[i] = (uint16_t)(q->slots - 1 - i);
}

static size_t slot_bytes(const struct guest_config *config)
{
	return config->slot_bytes ? config->slot_bytes : DRV_BUF;
}

static void queue_make(struct guest *g, struct drv_queue *q, unsigned number,
		       const struct guest_config *config)
{
	q->guest = g;
	q->number = number;
	q->size = config->size ? config->size : 256;
	q->per_slot = config->per_slot ? config->per_slot : 8;
	if (q->per_slot > q->size)
		q->per_slot = q->size;
	q->slots = q->size / q->per_slot;
	q->features = config->features | VIRTIO_F_VERSION_1;
	q->packed = (q->features & VIRTIO_F_RING_PACKED) != 0;
	q->buf_bytes = config->rx_bytes ? config->rx_bytes : 2048;
	q->layout = config->rx_layout;
	q->desc = guest_alloc(g, q->size * sizeof(*q->desc), 16);
	q->avail = guest_alloc(g, 6 + 2 * (size_t)q->size, 2);
	q->used = guest_alloc(g, 6 + 8 * (size_t)q->size, 4);
	q->ring = guest_alloc(g, q->size * sizeof(*q->ring), 16);
	q->driver_event = guest_alloc(g, 4, 4);
	q->device_event = guest_alloc(g, 4, 4);
	q->table = guest_alloc(g, (size_t)q->slots * DRV_TABLE * sizeof(*q->table), 8);
	q->slot_bytes = slot_bytes(config);
	q->buf = guest_alloc(g, (size_t)q->slots * q->slot_bytes, 64);
	queue_clear(q);
}

static void queue_start(struct drv_queue *q)
{
	const struct guest *g = q->guest;
	const struct queue_setup setup = {
		.size = q->size,
		.desc = guest_gpa(g, q->packed ? q->ring : q->desc),
		.driver = guest_gpa(g, q->packed ? (const void *)q->driver_event
						 : (const void *)q->avail),
		.device = guest_gpa(g, q->packed ? (const void *)q->device_event
						 : (const void *)q->used),
		.features = q->features,
	};
	const char *why = NULL;

	if (port_start_queue(g->port, q->number, &setup, &why) != 0)
		abort();
}

static void start(struct guest *g)
{
	while (drv_offer(g))
		;
	drv_publish(&g->rx);
	queue_start(&g->rx);
	queue_start(&g->tx);
}

struct guest *guest_create(struct vswitch *sw, const struct guest_config *config)
{
	unsigned size = config->size ? config->size : 256;
	unsigned per_slot = config->per_slot ? config->per_slot : 8;
	size_t slots = per_slot > size ? 1 : size / per_slot;
	struct guest *g = calloc(1, sizeof(*g));
	struct port_config pc = {
		.name = config->name,
		.mac = { 0x52, 0x54, 0, 0, 0, 1 },
		.mtu = config->mtu ? config->mtu : 9000,
		.queue_pairs = 1,
		.uplink = config->uplink,
		.mem = &g->mem,
		.owner = &g->env,
	};

	if (config->mac != NULL)
		memcpy(pc.mac, config->mac, 6);
	g->ram_bytes = 2 * slots * (slot_bytes(config) + DRV_TABLE * 16) + 2 * (size_t)size * 48 +
		       (1u << 20);
	g->ram = calloc(1, g->ram_bytes);
	g->mem.count = 1;
	g->mem.extent[0] = (struct gmem_extent){ RAM_GPA, g->ram_bytes, g->ram };
	g->env.peer = PEER_RUNNING;
	g->port = port_create(sw, &pc);
	if (g->port == NULL)
		abort();
	queue_make(g, &g->rx, 0, config);
	queue_make(g, &g->tx, 1, config);
	start(g);
	return g;
}

void guest_reset(struct guest *g)
{
	port_stop_queue(g->port, 0);
	port_stop_queue(g->port, 1);
	queue_clear(&g->rx);
	queue_clear(&g->tx);
	start(g);
}

void guest_destroy(struct guest *g)
{
	port_destroy(g->port);
	free(g->ram);
	free(g);
}

/* Lengths of the pieces of a packet of `total` bytes, header included: their number. */
static unsigned cut(enum layout layout, uint32_t total, uint32_t piece[8])
{
	static const uint32_t odd[] = { 5, 7, 3, 20, 30 };
	unsigned n = 0;

	if (layout == LAYOUT_ODD) {
		for (unsigned i = 0; i < 5 && total > odd[i]; i++) {
			piece[n++] = odd[i];
			total -= odd[i];
		}
	} else if (layout != LAYOUT_ONE && total > DRV_HDR) {
		piece[n++] = DRV_HDR;
		total -= DRV_HDR;
	}
	piece[n++] = total;
	return n;
}

/* Fills the slot's descriptors with n pieces from gpa on. direct: how many come before the indirect
 * descriptor; n: all. */
static void write_chain(struct drv_queue *q, unsigned slot, uint64_t gpa, const uint32_t *piece,
			unsigned n, unsigned direct, unsigned flags)
{
	unsigned first = slot * q->per_slot;
	struct drv_desc *table = q->table + (size_t)slot * DRV_TABLE;

	for (unsigned i = 0; i < n; i++) {
		bool in_table = i >= direct;
		struct drv_desc *d = in_table ? &table[i - direct] : &q->desc[first + i];
		unsigned next = in_table ? i - direct + 1 : first + i + 1;
		bool more = i + 1 < n;

		*d = (struct drv_desc){ gpa, piece[i], (uint16_t)(flags | (more ? DESC_NEXT : 0)),
					(uint16_t)(more ? next : 0) };
		gpa += piece[i];
		if (in_table && q->packed) { /* 2.8.7: id and all flags but WRITE mean nothing */
			d->next = d->flags;
			d->flags = 0xffff;
		}
	}
	if (direct < n)
		q->desc[first + direct] = (struct drv_desc){ guest_gpa(q->guest, table),
							     (n - direct) * 16, DESC_INDIRECT, 0 };
}

static uint16_t advance(const struct drv_queue *q, uint16_t pos)
{
	pos++;
	return (pos & ~WRAP) == q->size ? (uint16_t)(~pos & WRAP) : pos;
}

static _Atomic uint64_t *ring_word(const struct drv_queue *q, uint16_t pos)
{
	return (_Atomic uint64_t *)(void *)&q->ring[pos & ~WRAP].len;
}

/* virtio 1.2, 2.8.1: what makes an entry available at this position */
static uint16_t avail_flags(uint16_t pos)
{
	return pos & WRAP ? 1u << 7 : 1u << 15;
}

/* The slot's chain into the ring; its first entry, if the first of all, at drv_publish(). */
static void put_packed(struct drv_queue *q, unsigned slot)
{
	const struct drv_desc *d = &q->desc[slot * q->per_slot];
	bool more = true;

	q->entries[slot] = 0;
	for (; more; d++) {
		uint16_t flags = (uint16_t)(d->flags | avail_flags(q->avail_idx));
		uint64_t word =
			(uint64_t)flags << 48 | (uint64_t)(slot * q->per_slot) << 32 | d->len;

		q->ring[q->avail_idx & ~WRAP].addr = d->addr;
		if (q->avail_idx == q->held)
			q->held_word = word;
		else
			atomic_store_explicit(ring_word(q, q->avail_idx), word,
					      memory_order_release);
		q->avail_idx = advance(q, q->avail_idx);
		q->entries[slot]++;
		more = d->flags & DESC_NEXT;
	}
}

static void put_avail(struct drv_queue *q, unsigned slot)
{
	if (q->packed) {
		put_packed(q, slot);
		return;
	}
	atomic_store_explicit(&q->avail[2 + (q->avail_idx & (q->size - 1))],
			      (uint16_t)(slot * q->per_slot), memory_order_relaxed);
	q->avail_idx++;
}

static void put_chain(struct drv_queue *q, unsigned slot, uint32_t total, enum layout layout,
		      unsigned flags)
{
	uint32_t piece[8];
	unsigned n = cut(layout, total, piece);
	unsigned direct = layout == LAYOUT_INDIRECT ? 0 : layout == LAYOUT_MIXED ? 1 : n;

	if (direct + (direct < n) > q->per_slot)
		abort();
	write_chain(q, slot, guest_gpa(q->guest, q->buf + (size_t)slot * q->slot_bytes), piece, n,
		    direct, flags);
	put_avail(q, slot);
}

bool drv_send(struct guest *g, const void *hdr, const void *frame, size_t bytes, enum layout layout)
{
	struct drv_queue *q = &g->tx;
	unsigned slot;
	uint8_t *buf;

	if (q->free_count == 0 || bytes + DRV_HDR > q->slot_bytes)
		return false;
	slot = q->free_slot[--q->free_count];
	buf = q->buf + (size_t)slot * q->slot_bytes;
	if (hdr != NULL)
		memcpy(buf, hdr, DRV_HDR);
	else
		memset(buf, 0, DRV_HDR);
	if (bytes > 0)
		memcpy(buf + DRV_HDR, frame, bytes);
	put_chain(q, slot, (uint32_t)bytes + DRV_HDR, layout, 0);
	return true;
}

bool drv_offer(struct guest *g)
{
	struct drv_queue *q = &g->rx;

	if (q->free_count == 0)
		return false;
	put_chain(q, q->free_slot[--q->free_count], q->buf_bytes, q->layout, DESC_WRITE);
	return true;
}

static unsigned distance(const struct drv_queue *q, uint16_t from, uint16_t to)
{
	unsigned n = 0;

	for (; from != to; n++)
		from = advance(q, from);
	return n;
}

/* 2.8.14 */
static bool publish_packed(struct drv_queue *q)
{
	uint16_t before = q->held;
	uint32_t event;

	if (before == q->avail_idx)
		return false;
	q->held = q->kicked_at = q->avail_idx;
	atomic_store_explicit(ring_word(q, before), q->held_word, memory_order_seq_cst);
	event = atomic_load_explicit(q->device_event, memory_order_seq_cst);
	if (event >> 16 != 2)
		return event >> 16 == 0;
	return distance(q, before, (uint16_t)event) < distance(q, before, q->avail_idx);
}

/* 2.7.13.4.1: was the event passed since the last look, or, without events, are kicks wanted? */
bool drv_publish(struct drv_queue *q)
{
	uint16_t before = q->kicked_at, event;

	if (q->packed)
		return publish_packed(q);
	q->kicked_at = q->avail_idx;
	atomic_store_explicit(&q->avail[1], q->avail_idx, memory_order_seq_cst);
	if (!(q->features & VIRTIO_F_EVENT_IDX))
		return !(atomic_load_explicit(&q->used[0], memory_order_seq_cst) & 1);
	event = atomic_load_explicit(&q->used[2 + 4 * (size_t)q->size], memory_order_seq_cst);
	return (uint16_t)(q->avail_idx - event - 1) < (uint16_t)(q->avail_idx - before);
}

static bool next_used_packed(struct drv_queue *q, uint32_t *id, uint32_t *len)
{
	struct drv_desc *d = &q->ring[q->seen & ~WRAP];
	/* drv_desc is a split ring's: in a packed one, the id is where flags are there */
	uint16_t flags = atomic_load_explicit((_Atomic uint16_t *)&d->next, memory_order_acquire);

	if ((flags >> 7 & 1) != q->seen >> 15 || flags >> 15 != q->seen >> 15)
		return false;
	*id = d->flags;
	*len = d->len;
	if (*id % q->per_slot != 0 || *id / q->per_slot >= q->slots ||
	    q->entries[*id / q->per_slot] == 0)
		abort();
	for (unsigned i = 0; i < q->entries[*id / q->per_slot]; i++)
		q->seen = advance(q, q->seen);
	q->entries[*id / q->per_slot] = 0;
	return true;
}

static bool next_used(struct drv_queue *q, uint32_t *id, uint32_t *len)
{
	const uint32_t *e;

	if (q->packed)
		return next_used_packed(q, id, len);
	if (atomic_load_explicit(&q->used[1], memory_order_acquire) == q->seen)
		return false;
	e = (const uint32_t *)(const void *)(q->used + 2) + (size_t)(q->seen & (q->size - 1)) * 2;
	*id = e[0];
	*len = e[1];
	if (*id % q->per_slot != 0 || *id / q->per_slot >= q->slots)
		abort();
	q->seen++;
	return true;
}

unsigned drv_reap(struct guest *g)
{
	struct drv_queue *q = &g->tx;
	unsigned count = 0;
	uint32_t id, len;

	for (; next_used(q, &id, &len); count++)
		q->free_slot[q->free_count++] = (uint16_t)(id / q->per_slot);
	return count;
}

size_t drv_receive(struct guest *g, uint8_t *out, size_t room)
{
	struct drv_queue *q = &g->rx;
	size_t got = 0;
	unsigned buffers = 1;

	for (unsigned i = 0; i < buffers; i++) {
		uint32_t id, len;
		const uint8_t *buf;

		if (!next_used(q, &id, &len)) {
			if (i > 0)
				abort(); /* half a packet was published */
			return 0;
		}
		buf = q->buf + (size_t)(id / q->per_slot) * q->slot_bytes;
		if (got + len > room || len > q->buf_bytes)
			abort();
		memcpy(out + got, buf, len);
		got += len;
		if (i == 0)
			buffers = (unsigned)(buf[10] | buf[11] << 8);
		q->free_slot[q->free_count++] = (uint16_t)(id / q->per_slot);
		drv_offer(g);
	}
	return got;
}

void drv_want_interrupt(struct drv_queue *q, bool want)
{
	if (q->packed)
		atomic_store_explicit(q->driver_event,
				      !want				 ? 1u << 16
				      : q->features & VIRTIO_F_EVENT_IDX ? 2u << 16 | q->seen
									 : 0,
				      memory_order_seq_cst);
	else if (q->features & VIRTIO_F_EVENT_IDX)
		atomic_store_explicit(&q->avail[2 + q->size],
				      (uint16_t)(want ? q->seen : q->seen - 1),
				      memory_order_seq_cst);
	else
		atomic_store_explicit(&q->avail[0], want ? 0 : 1, memory_order_seq_cst);
}

static uint8_t pattern(uint32_t seed, size_t i)
{
	uint32_t x = (seed + 1) * 2654435761u + (uint32_t)(i >> 2) * 40503u;

	return (uint8_t)(x >> (8 * (i & 3)));
}

static void address(uint8_t *out, unsigned n)
{
	memset(out, n == 0xff ? 0xff : 0, 6);
	if (n == 0xff)
		return;
	out[0] = 0x52;
	out[1] = 0x54;
	out[4] = (uint8_t)(n >> 8);
	out[5] = (uint8_t)n;
}

void frame_make(uint8_t *out, size_t bytes, unsigned dst, unsigned src, uint32_t seed)
{
	uint8_t head[14] = { [12] = 0x88, [13] = 0xb5 };

	address(head, dst);
	address(head + 6, src);
	memcpy(out, head, bytes < 14 ? bytes : 14);
	for (size_t i = 14; i < bytes; i++)
		out[i] = pattern(seed, i);
}

bool frame_is(const uint8_t *frame, size_t bytes, unsigned dst, unsigned src, uint32_t seed)
{
	uint8_t head[14] = { [12] = 0x88, [13] = 0xb5 };

	address(head, dst);
	address(head + 6, src);
	if (memcmp(frame, head, bytes < 14 ? bytes : 14) != 0)
		return false;
	for (size_t i = 14; i < bytes; i++)
		if (frame[i] != pattern(seed, i))
			return false;
	return true;
}
