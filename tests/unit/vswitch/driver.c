/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driver side of split virtqueues, as plain as can be. A slot's number times per_slot is the
 * chain's first descriptor, so that a used entry's id leads back to its slot.
 */
#include "tests/unit/vswitch/driver.h"

#include <stdlib.h>
#include <string.h>

#define RAM_GPA 0x100000u

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
	q->avail_idx = q->seen = q->kicked_at = 0;
	q->free_count = q->slots;
	for (unsigned i = 0; i < q->slots; i++)
		q->free_slot[i] = (uint16_t)(q->slots - 1 - i);
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
	q->buf_bytes = config->rx_bytes ? config->rx_bytes : 2048;
	q->layout = config->rx_layout;
	q->desc = guest_alloc(g, q->size * sizeof(*q->desc), 16);
	q->avail = guest_alloc(g, 6 + 2 * (size_t)q->size, 2);
	q->used = guest_alloc(g, 6 + 8 * (size_t)q->size, 4);
	q->table = guest_alloc(g, (size_t)q->slots * DRV_TABLE * sizeof(*q->table), 8);
	q->buf = guest_alloc(g, (size_t)q->slots * DRV_BUF, 64);
	queue_clear(q);
}

static void queue_start(struct drv_queue *q)
{
	const struct queue_setup setup = {
		.size = q->size,
		.desc = guest_gpa(q->guest, q->desc),
		.driver = guest_gpa(q->guest, (const void *)q->avail),
		.device = guest_gpa(q->guest, (const void *)q->used),
		.features = q->features,
	};
	const char *why = NULL;

	if (port_start_queue(q->guest->port, q->number, &setup, &why) != 0)
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
		.mem = &g->mem,
		.owner = &g->env,
	};

	g->ram_bytes = 2 * slots * (DRV_BUF + DRV_TABLE * 16) + 2 * (size_t)size * 32 + (1u << 20);
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
	}
	if (direct < n)
		q->desc[first + direct] = (struct drv_desc){ guest_gpa(q->guest, table),
							     (n - direct) * 16, DESC_INDIRECT, 0 };
}

static void put_avail(struct drv_queue *q, unsigned slot)
{
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
	write_chain(q, slot, guest_gpa(q->guest, q->buf + (size_t)slot * DRV_BUF), piece, n, direct,
		    flags);
	put_avail(q, slot);
}

bool drv_send(struct guest *g, const void *hdr, const void *frame, size_t bytes, enum layout layout)
{
	struct drv_queue *q = &g->tx;
	unsigned slot;
	uint8_t *buf;

	if (q->free_count == 0 || bytes + DRV_HDR > DRV_BUF)
		return false;
	slot = q->free_slot[--q->free_count];
	buf = q->buf + (size_t)slot * DRV_BUF;
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

/* 2.7.13.4.1: was the event passed since the last look, or, without events, are kicks wanted? */
bool drv_publish(struct drv_queue *q)
{
	uint16_t before = q->kicked_at, event;

	q->kicked_at = q->avail_idx;
	atomic_store_explicit(&q->avail[1], q->avail_idx, memory_order_seq_cst);
	if (!(q->features & VIRTIO_F_EVENT_IDX))
		return !(atomic_load_explicit(&q->used[0], memory_order_seq_cst) & 1);
	event = atomic_load_explicit(&q->used[2 + 4 * (size_t)q->size], memory_order_seq_cst);
	return (uint16_t)(q->avail_idx - event - 1) < (uint16_t)(q->avail_idx - before);
}

static bool next_used(struct drv_queue *q, uint32_t *id, uint32_t *len)
{
	const uint32_t *e;

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
		buf = q->buf + (size_t)(id / q->per_slot) * DRV_BUF;
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
	if (q->features & VIRTIO_F_EVENT_IDX)
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
