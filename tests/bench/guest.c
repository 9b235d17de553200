/* SPDX-License-Identifier: BSD-2-Clause */
/* See guest.h. */
#include "tests/bench/guest.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/unit/vswitch/packet.h"

#define GPA	    0x100000u
#define HUGE	    (2u << 20)
#define HEADER	    PKT_HDR
#define DESC_WRITE  2u
#define GSO_PAYLOAD 1448u

/* Zeroed, of huge pages if there are any: a VM's memory has them. */
static uint8_t *map(size_t bytes)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint8_t *p;

	bytes = (bytes + HUGE - 1) & ~(size_t)(HUGE - 1);
	p = mmap(NULL, bytes, prot, flags | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		p = mmap(NULL, bytes, prot, flags, -1, 0);
	if (p == MAP_FAILED)
		abort();
	return memset(p, 0, bytes);
}

static uint64_t gpa_of(const struct bench_guest *g, const void *p)
{
	return GPA + (uint64_t)((const uint8_t *)p - g->mem.extent[0].ptr);
}

static uint8_t *at_gpa(const struct bench_guest *g, uint64_t gpa)
{
	return g->mem.extent[0].ptr + (gpa - GPA);
}

static uint8_t *carve(uint8_t **next, size_t bytes)
{
	uint8_t *p = *next;

	*next += (bytes + 4095) & ~(size_t)4095;
	return p;
}

static void ring_start(struct bench_guest *g, struct ring *r, unsigned number, uint8_t **next)
{
	size_t size = g->plan->ring;
	struct queue_setup setup = { .size = size,
				     .features = g->plan->features | VIRTIO_F_VERSION_1 };
	const char *why;

	r->desc = (struct ring_desc *)(void *)carve(next, size * sizeof(*r->desc));
	r->avail = (_Atomic uint16_t *)(void *)carve(next, 6 + 2 * size);
	r->used = (_Atomic uint16_t *)(void *)carve(next, 6 + 8 * size);
	setup.desc = gpa_of(g, r->desc);
	setup.driver = gpa_of(g, r->avail);
	setup.device = gpa_of(g, r->used);
	/* no interrupts, as between two of a driver's polls: an event that was long ago */
	r->avail[2 + size] = (uint16_t)-1;
	if (port_start_queue(g->port, number, &setup, &why) != 0)
		abort();
}

static void put(const struct bench_guest *g, struct ring *r, uint64_t gpa, uint32_t len,
		uint16_t flags)
{
	uint16_t i = r->put & (uint16_t)(g->plan->ring - 1);

	r->desc[i] = (struct ring_desc){ gpa, len, flags, 0 };
	atomic_store_explicit(&r->avail[2 + i], i, memory_order_relaxed);
	r->put++;
}

/* 2.7.13: all that was put becomes visible; does the device want a kick? */
static bool publish(const struct bench_guest *g, struct ring *r)
{
	uint16_t before = r->told, event;

	if (before == r->put)
		return false;
	r->told = r->put;
	atomic_store_explicit(&r->avail[1], r->put, memory_order_seq_cst);
	event = atomic_load_explicit(&r->used[2 + 4 * (size_t)g->plan->ring], memory_order_relaxed);
	return (uint16_t)(r->put - event - 1) < (uint16_t)(r->put - before);
}

struct bench_guest *bench_guest_create(struct vswitch *sw, const struct frame_plan *plan,
				       unsigned number)
{
	struct bench_guest *g = calloc(1, sizeof(*g));
	const struct port_config config = {
		.name = "bench",
		.mac = { 0x52, 0x54, 0, (uint8_t)number, 0, 0 },
		.mtu = 9000,
		.queue_pairs = 1,
		.mem = &g->mem,
		.owner = g,
	};
	size_t bytes;
	uint8_t *next;

	g->plan = plan;
	g->buffers = plan->ring + plan->frames;
	bytes = (size_t)g->buffers * plan->slot_bytes + 64 * (size_t)plan->ring + (1u << 20);
	next = map(bytes);
	g->mem.count = 1;
	g->mem.extent[0] = (struct gmem_extent){ GPA, bytes, next };
	g->port = port_create(sw, &config);
	if (g->port == NULL)
		abort();
	ring_start(g, &g->rx, 0, &next);
	ring_start(g, &g->tx, 1, &next);
	g->buf = next;
	for (unsigned i = 0; i < plan->ring; i++)
		put(g, &g->rx, gpa_of(g, g->buf + (size_t)i * plan->slot_bytes),
		    plan->bytes + HEADER, DESC_WRITE);
	publish(g, &g->rx);
	return g;
}

static void write_addresses(uint8_t *frame, unsigned from, unsigned flow)
{
	uint8_t head[14] = {
		0x52, 0x54, 0, (uint8_t)(3 - from), (uint8_t)(flow >> 8), (uint8_t)flow,
		0x52, 0x54, 0, (uint8_t)from,	    (uint8_t)(flow >> 8), (uint8_t)flow,
		0x88, 0xb5
	};

	memcpy(frame, head, sizeof(head));
}

void bench_guest_send_first(struct bench_guest *g, unsigned number)
{
	const struct frame_plan *plan = g->plan;
	const struct pkt_kind tcp = { .tcp_options = 12 };

	for (unsigned i = 0; i < plan->frames; i++) {
		uint8_t *p = g->buf + (size_t)(plan->ring + i) * plan->slot_bytes;

		if (plan->features & VIRTIO_NET_F_HOST_TSO4) {
			pkt_make(p + HEADER, &tcp, 0, 0, plan->bytes - pkt_headers(&tcp), i, 0);
			pkt_header(p, &tcp, GSO_PAYLOAD);
			memcpy(p + HEADER + 12, "\x08", 1);
		}
		write_addresses(p + HEADER, number, i % plan->flows);
		if (plan->features & VIRTIO_NET_F_HOST_TSO4)
			memcpy(p + HEADER + 12, "\x08\x00", 2);
		put(g, &g->tx, gpa_of(g, p), plan->bytes + HEADER, 0);
	}
	publish(g, &g->tx);
}

/* The addresses exchanged; the header stays, as what it asks for: all that a driver writes there. */
static void turn_round(uint8_t *p, bool gso)
{
	uint8_t dst[6];

	memcpy(dst, p + HEADER, 6);
	memcpy(p + HEADER, p + HEADER + 6, 6);
	memcpy(p + HEADER + 6, dst, 6);
	if (!gso)
		memset(p, 0, HEADER);
}

static const uint32_t *used_entry(const struct bench_guest *g, const struct ring *r, uint16_t at)
{
	return (const uint32_t *)(const void *)(r->used + 2) +
	       (size_t)(at & (g->plan->ring - 1)) * 2;
}

static unsigned lesser(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static void send_back(struct bench_guest *g, unsigned count)
{
	bool gso = (g->plan->features & VIRTIO_NET_F_HOST_TSO4) != 0;

	for (unsigned i = 0; i < count; i++)
		__builtin_prefetch(
			at_gpa(g,
			       g->rx.desc[*used_entry(g, &g->rx, (uint16_t)(g->rx.seen + i))].addr),
			1);
	for (unsigned i = 0; i < count; i++) {
		const uint32_t *used = used_entry(g, &g->rx, g->rx.seen++);
		uint64_t gpa = g->rx.desc[used[0]].addr;

		if (used[1] != g->plan->bytes + HEADER)
			abort();
		turn_round(at_gpa(g, gpa), gso);
		put(g, &g->tx, gpa, used[1], 0);
	}
	g->kicks += publish(g, &g->tx);
	atomic_store_explicit(&g->received,
			      atomic_load_explicit(&g->received, memory_order_relaxed) + count,
			      memory_order_relaxed);
}

/* What was sent becomes receive buffers. */
static void refill(struct bench_guest *g, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint32_t id = *used_entry(g, &g->tx, g->tx.seen++);

		put(g, &g->rx, g->tx.desc[id].addr, g->plan->bytes + HEADER, DESC_WRITE);
	}
	publish(g, &g->rx);
}

static unsigned ready(const struct ring *r)
{
	return (uint16_t)(atomic_load_explicit(&r->used[1], memory_order_acquire) - r->seen);
}

void bench_guest_poll(struct bench_guest *g)
{
	unsigned room = g->plan->ring - (uint16_t)(g->tx.put - g->tx.seen);
	unsigned count = lesser(lesser(ready(&g->rx), g->plan->burst), room);
	unsigned sent;

	if (count > 0)
		send_back(g, count);
	room = g->plan->ring - (uint16_t)(g->rx.put - g->rx.seen);
	sent = lesser(ready(&g->tx), room);
	if (sent >= g->plan->burst || (sent > 0 && count == 0))
		refill(g, sent);
}
