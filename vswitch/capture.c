/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of a capture, and the tap points' slow side. A record lies in one piece: if there is no room for
 * it up to the ring's end, a filler takes that and it begins anew. Its first word says whether it is there:
 * 0 from when its place was reserved until it is complete. The reader stops at the first that is not.
 */
#include "vswitch/capture.h"

#include "vswitch/copy.h"
#include "vswitch/tap.h"

#define FILLER 1u /* in a record's first word: nothing in it, bytes otherwise */

struct capture {
	uint32_t size, snap, mark; /* constant */
	struct spin lock;
	uint64_t head;		    /* under lock: bytes ever reserved */
	_Atomic uint64_t seen;	    /* head, for the reader */
	_Atomic uint64_t tail;	    /* records read up to here; the reader's, */
	uint32_t begun;		    /* ... and so many bytes of the next one */
	_Atomic uint64_t count;	    /* of records; changed under lock */
	_Alignas(8) uint8_t ring[]; /* size */
};

struct capture *capture_create(uint32_t ring_bytes, uint32_t snap, uint32_t mark)
{
	struct capture *c;

	if (ring_bytes < CAPTURE_LEAST || ring_bytes > CAPTURE_MOST ||
	    (ring_bytes & (ring_bytes - 1)) != 0)
		return NULL;
	c = env_alloc(sizeof(*c) + ring_bytes);
	if (c == NULL)
		return NULL;
	c->size = ring_bytes;
	c->snap = snap < VS_MAX_FRAME ? snap : VS_MAX_FRAME;
	c->mark = mark;
	return c;
}

void capture_destroy(struct capture *c)
{
	if (c != NULL)
		env_free(c, sizeof(*c) + c->size);
}

void port_capture(struct port *port, struct capture *c)
{
	if (port->retired)
		return;
	atomic_store_explicit(&port->capture, c, memory_order_seq_cst);
	switch_quiesce(port->sw);
}

bool port_captured(const struct port *port, const struct capture *c)
{
	return c != NULL && atomic_load_explicit(&port->capture, memory_order_relaxed) == c;
}

uint64_t capture_count(const struct capture *c)
{
	return atomic_load_explicit(&c->count, memory_order_relaxed);
}

/* The word that says whether the record at this place is there. */
static _Atomic uint32_t *word_at(struct capture *c, uint64_t place)
{
	return (_Atomic uint32_t *)(void *)(c->ring + (place & (c->size - 1)));
}

/* Under the lock: so many bytes in one piece, or NULL. */
static uint8_t *take_room(struct capture *c, uint32_t bytes)
{
	uint32_t to_end = c->size - (uint32_t)(c->head & (c->size - 1));
	uint32_t filler = bytes <= to_end ? 0 : to_end;
	uint64_t tail = atomic_load_explicit(&c->tail, memory_order_acquire);

	if (c->size - (c->head - tail) < (uint64_t)filler + bytes)
		return NULL;
	if (filler != 0)
		atomic_store_explicit(word_at(c, c->head), filler | FILLER, memory_order_relaxed);
	c->head += filler;
	atomic_store_explicit(word_at(c, c->head), 0, memory_order_relaxed);
	c->head += bytes;
	atomic_store_explicit(&c->seen, c->head, memory_order_release);
	return c->ring + ((c->head - bytes) & (c->size - 1));
}

/* One record; frame: where its bytes are, at least as many as are kept. r: all but what is found out here. */
static void put(struct capture *c, struct capture_record *r, struct cursor frame)
{
	uint8_t *room;

	r->mark = c->mark;
	r->kept = r->whole < c->snap ? r->whole : c->snap;
	r->bytes = capture_bytes(r->kept);
	spin_lock(&c->lock);
	r->number = (uint32_t)atomic_fetch_add_explicit(&c->count, 1, memory_order_relaxed);
	room = take_room(c, r->bytes);
	r->place = (uint32_t)c->head;
	spin_unlock(&c->lock);
	if (room == NULL)
		return;
	/* what fills it up, before what may lie over it */
	store64(room + r->bytes - 16, 0);
	store64(room + r->bytes - 8, (uint64_t)r->place << 32);
	__builtin_memcpy(room + sizeof(r->bytes), (uint8_t *)r + sizeof(r->bytes),
			 sizeof(*r) - sizeof(r->bytes));
	copy_run(&(struct cursor){ room + sizeof(*r), r->kept, NULL }, &frame, r->kept);
	atomic_store_explicit((_Atomic uint32_t *)(void *)room, r->bytes, memory_order_release);
}

/* A packet of a batch: its head is in the CPU's memory, unless it was too short or too long to be read. */
static struct cursor frame_of(const struct packet *p)
{
	struct cursor c;

	if (p->head_bytes != 0)
		return (struct cursor){ (uint8_t *)(uintptr_t)p->head +
						VNET_HDR_BYTES, /* only read */
					p->head_bytes - VNET_HDR_BYTES, p->seg };
	if (p->bytes == 0) /* there may be less than a virtio-net header */
		return (struct cursor){ NULL, 0, NULL };
	c = cursor_at(p->seg);
	cursor_skip(&c, VNET_HDR_BYTES);
	return c;
}

void capture_batch(struct capture *c, const struct batch *b)
{
	struct capture_record r = {
		.pair = (uint16_t)(b->queue == NO_QUEUE ? CAPTURE_NO_PAIR : b->queue / 2),
		.direction = CAPTURE_IN,
		.time_us = env_now_us(),
	};

	for (unsigned i = 0; i < b->count; i++) {
		const struct packet *p = &b->pkt[i];

		r.whole = p->bytes;
		r.verdict = p->verdict;
		put(c, &r, frame_of(p));
	}
}

void capture_unread(struct capture *c, unsigned queue)
{
	struct capture_record r = { .pair = (uint16_t)(queue / 2),
				    .direction = CAPTURE_IN,
				    .verdict = VERDICT_DROP_BROKEN,
				    .time_us = env_now_us() };

	put(c, &r, (struct cursor){ NULL, 0, NULL });
}

void capture_filled(struct capture *c, const struct batch *b, const struct rx_take *take)
{
	struct capture_record record = { .pair = (uint16_t)(take->queue / 2),
					 .direction = CAPTURE_OUT,
					 .verdict = VERDICT_DELIVERED,
					 .time_us = env_now_us() };

	for (unsigned n = 0; n < take->npkts; n++) {
		const struct rx_packet *r = &take->pkt[n];
		struct cursor frame;

		if (r->lent) {
			frame = frame_of(&b->pkt[r->pkt]);
		} else { /* as the receiver gets it, segmented and summed */
			frame = cursor_at(take->seg + r->seg);
			cursor_skip(&frame, VNET_HDR_BYTES);
		}
		record.whole = r->bytes;
		put(c, &record, frame);
	}
}

/* why: of each packet of the set; NULL: the guest does not want them. */
static void put_set(struct capture *c, struct capture_record *r, const struct batch *b,
		    uint64_t set, const uint8_t *why)
{
	r->direction = CAPTURE_OUT;
	r->time_us = env_now_us();
	for (; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);

		r->whole = b->pkt[i].bytes;
		r->verdict = why != NULL ? why[i] : VERDICT_DROP_FILTERED;
		put(c, r, frame_of(&b->pkt[i]));
	}
}

void capture_refused(struct capture *c, const struct batch *b, const struct rx_take *take)
{
	struct capture_record r = { .pair = (uint16_t)(take->queue / 2) };

	put_set(c, &r, b, take->dropped_set, take->why);
}

void capture_filtered(struct capture *c, const struct batch *b, uint64_t set)
{
	struct capture_record r = { .pair = CAPTURE_NO_PAIR };

	put_set(c, &r, b, set, NULL);
}

size_t capture_read(struct capture *c, uint8_t *out, size_t room)
{
	uint64_t tail = atomic_load_explicit(&c->tail, memory_order_relaxed);
	uint64_t seen = atomic_load_explicit(&c->seen, memory_order_acquire);
	size_t got = 0;

	while (tail != seen && got < room) {
		uint32_t word = atomic_load_explicit(word_at(c, tail), memory_order_acquire), n;

		if (word == 0)
			break;
		n = word & FILLER ? 0 : word - c->begun;
		n = n < room - got ? n : (uint32_t)(room - got);
		copy_block(out + got, c->ring + (tail & (c->size - 1)) + c->begun, n);
		got += n;
		c->begun += n;
		if (!(word & FILLER) && c->begun < word)
			break;
		c->begun = 0;
		tail += word & ~FILLER;
	}
	/* the places are free from now on: partner: take_room() */
	atomic_store_explicit(&c->tail, tail, memory_order_release);
	return got;
}
