/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: whatever hostile guests write into their rings, does the switch stay within their
 * memory, keep its counters balanced, and go on serving two honest guests without a loss?
 * Seeded: the first argument repeats a run, the second is the number of steps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vswitch/driver.h"
#include "tests/unit/vswitch/packet.h"
#include "vswitch/gso.h"

#define HOSTILE 3u

static uint64_t rng_state;
static uint8_t frame[DRV_BUF], got[DRV_BUF];

static uint32_t rng(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32) % below;
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	printf("FAIL vswitch/stress: %s\n", what);
	exit(1);
}

/* An address in or around the guest's memory, or anywhere. */
static uint64_t some_address(const struct guest *g)
{
	switch (rng(8)) {
	case 0:
		return (uint64_t)rng(UINT32_MAX) << 32 | rng(UINT32_MAX);
	case 1:
		return guest_gpa(g, g->ram) + g->ram_bytes - rng(64);
	case 2:
		return guest_gpa(g, g->tx.table) + rng(64) * 8;
	default:
		return guest_gpa(g, g->tx.buf) + rng(8 * DRV_BUF);
	}
}

static uint32_t some_length(void)
{
	static const uint32_t lengths[] = { 0,	1,  11,	  12,	13,	 14,
					    26, 64, 1514, 9030, 0x10000, UINT32_MAX };

	return rng(3) == 0 ? 16 * rng(70) : lengths[rng(12)];
}

static void write_desc(const struct guest *g, struct drv_desc *d, unsigned size)
{
	*d = (struct drv_desc){ some_address(g), some_length(), 0,
				(uint16_t)rng(rng(8) == 0 ? 65536 : size) };
	d->flags = (uint16_t)(rng(2) ? DESC_NEXT : 0);
	d->flags |= (uint16_t)(rng(2) ? DESC_WRITE : 0);
	d->flags |= (uint16_t)(rng(4) == 0 ? DESC_INDIRECT : 0);
	if (rng(64) == 0)
		d->flags = (uint16_t)rng(65536);
}

/* Makes a chain that may be good, of descriptors that are. */
static void write_good(const struct guest *g, struct drv_queue *q, unsigned first)
{
	unsigned n = 1 + rng(4);

	for (unsigned i = 0; i < n; i++)
		q->desc[(first + i) % q->size] = (struct drv_desc){
			guest_gpa(g, q->buf) + rng(64) * 64, i == 0 ? 26 + rng(1000) : rng(600),
			(uint16_t)((i + 1 < n ? DESC_NEXT : 0) | (q == &g->rx ? DESC_WRITE : 0)),
			(uint16_t)((first + i + 1) % q->size)
		};
}

static struct pkt_kind some_kind(uint32_t n)
{
	struct pkt_kind k = { .ipv6 = n & 1, .udp = n & 2, .vlan = n & 4 };

	if (n & 8)
		k.ip_options = k.ipv6 ? 24 : 12;
	return k;
}

/* A request for segmentation, right but for what is thrown at it. */
static void write_gso(uint8_t *buf)
{
	struct pkt_kind kind = some_kind(rng(16));
	unsigned lies = rng(4);

	pkt_header(buf, &kind, 1 + rng(1500));
	pkt_make(buf + DRV_HDR, &kind, rng(4) ? 1 + rng(6) : 0xff, 20 + rng(30), 300 + rng(4000),
		 rng(1000), (uint8_t)rng(256));
	for (; lies > 0; lies--)
		buf[rng(100)] = (uint8_t)rng(256);
}

/* The driver's next entry of a packed ring: of a chain that may be good, or anything. */
static void write_entry(const struct guest *g, struct drv_queue *q)
{
	struct drv_desc d, *entry = &q->ring[q->avail_idx & 0x7fff];
	unsigned next = (q->avail_idx & 0x7fff) + 1;
	uint16_t flags = q->avail_idx & 0x8000 ? 0x80 : 0x8000;

	if (rng(16) == 0)
		write_desc(g, &d, q->size);
	else
		d = (struct drv_desc){ guest_gpa(g, q->buf) + rng(64) * 64, 26 + rng(1000),
				       (uint16_t)((rng(4) == 0 ? DESC_NEXT : 0) |
						  (q == &g->rx ? DESC_WRITE : 0)),
				       0 };
	if (rng(64) == 0)
		flags = (uint16_t)rng(65536);
	*entry = (struct drv_desc){ d.addr, d.len, (uint16_t)rng(q->size), d.flags | flags };
	if (rng(200) == 0)
		q->avail_idx ^= 0x8000;
	else if (rng(200) == 0)
		q->avail_idx = (uint16_t)(rng(q->size) | rng(2) << 15);
	else
		q->avail_idx = next < q->size ? (uint16_t)(q->avail_idx + 1)
					      : (uint16_t)(~q->avail_idx & 0x8000);
}

static void write_packed(const struct guest *g, struct drv_queue *q)
{
	for (unsigned n = rng(12); n > 0; n--)
		write_entry(g, q);
	if (rng(4) == 0)
		write_desc(g, &q->table[rng(q->slots * DRV_TABLE)], DRV_TABLE);
	if (rng(100) == 0) /* all that ever was, once more */
		for (unsigned i = 0; i < q->size; i++)
			q->ring[i].next ^= 0x8080;
	*q->driver_event = rng(4) << 16 | rng(65536);
}

static void misbehave(struct guest *g)
{
	struct drv_queue *q = rng(2) ? &g->rx : &g->tx;

	if (q->packed)
		write_packed(g, q);
	for (unsigned n = q->packed ? 0 : rng(8); n > 0; n--) {
		if (rng(16) == 0)
			write_desc(g, &q->desc[rng(q->size)], q->size);
		else
			write_good(g, q, rng(q->size));
		if (rng(4) == 0)
			write_desc(g, &q->table[rng(q->slots * DRV_TABLE)], DRV_TABLE);
		q->avail[2 + (q->avail_idx++ & (q->size - 1))] =
			(uint16_t)rng(rng(64) == 0 ? 65536 : q->size);
	}
	/* headers and addresses: sometimes right */
	frame_make(frame, 64, rng(4) ? 1 + rng(6) : 0xff, 20 + rng(30), rng(1000));
	memset(q->buf + rng(64) * 64, 0, 12);
	memcpy(q->buf + rng(64) * 64 + 12, frame, 64);
	if (rng(4) == 0)
		write_gso(q->buf + rng(64) * 64);
	q->avail[1] = rng(200) == 0 ? (uint16_t)rng(65536) : q->avail_idx;
	q->avail[0] = (uint16_t)rng(2);
	q->avail[2 + q->size] = (uint16_t)rng(65536);
	port_kick(g->port, q->number, rng(100));
	if (rng(8) == 0)
		port_kick(g->port, 1, 64);
	if (rng(4) == 0 && atomic_load(&g->env.broken[0]) + atomic_load(&g->env.broken[1]) > 0) {
		g->env.broken[0] = g->env.broken[1] = 0;
		guest_reset(g);
	}
}

/* Nothing keeps a hostile guest from sending as somebody else, yet: so guest 2 speaks up
 * before each burst. To itself, which is dropped once it is learned. */
static void introduce(struct guest *g, unsigned number)
{
	frame_make(frame, 60, number, number, 0);
	port_inject(g->port, frame, 60);
}

/* The honest pair: guest 1 sends to guest 2, which must get all, in order. Every fifth packet is one
 * to be segmented, by the switch or nobody. */
static uint32_t sent, received, received_bytes;

static uint32_t gso_payload_of(uint32_t n)
{
	return 1 + n * 7 % 12000;
}

static bool send_gso(struct guest *a)
{
	struct pkt_kind kind = some_kind(sent);
	uint8_t hdr[DRV_HDR];
	uint32_t bytes = pkt_make(frame, &kind, 2, 1, gso_payload_of(sent), sent, PKT_ACK);

	pkt_header(hdr, &kind, 1000 + sent % 400);
	return drv_send(a, hdr, frame, bytes, sent % LAYOUT_COUNT);
}

/* If it is the next piece of the packet: takes it. */
static void take_gso(uint8_t *f, size_t bytes)
{
	struct pkt_kind kind = some_kind(received);
	unsigned headers = pkt_headers(&kind);

	if (bytes < headers || f[11] != 1 || f[10] != 0)
		return;
	if (got[0] & PKT_NEEDS_CSUM)
		pkt_complete(f, (uint32_t)bytes, pkt_l4(&kind), kind.udp ? 6 : 16);
	check(pkt_is_sound(f, (uint32_t)bytes, &kind), "a checksum or length is wrong");
	for (size_t i = headers; i < bytes; i++)
		check(f[i] == pkt_byte(received, received_bytes++), "a payload byte is wrong");
	if (received_bytes == gso_payload_of(received)) {
		received_bytes = 0;
		received++;
	}
}

static void send_honest(struct guest *a, struct guest *b)
{
	introduce(b, 2);
	for (unsigned n = 1 + rng(20); n > 0; n--) {
		frame_make(frame, 60 + sent % 1400, 2, 1, sent);
		if (sent % 5 == 4
			    ? !send_gso(a)
			    : !drv_send(a, NULL, frame, 60 + sent % 1400, sent % LAYOUT_COUNT))
			break;
		sent++;
	}
	if (drv_publish(&a->tx))
		port_kick(a->port, 1, 1024);
	drv_reap(a);
}

/* Between them come frames of the others, at most what fits in. */
static void receive_honest(struct guest *b)
{
	size_t bytes;

	while ((bytes = drv_receive(b, got, sizeof(got))) > 0) {
		uint32_t want = 60 + received % 1400;

		if (received % 5 == 4) {
			take_gso(got + DRV_HDR, bytes - DRV_HDR);
			continue;
		}
		if (bytes == want + DRV_HDR && frame_is(got + DRV_HDR, want, 2, 1, received))
			received++;
	}
	drv_publish(&b->rx);
}

static uint64_t some_offloads(void)
{
	static const uint64_t some[] = { 0, VIRTIO_NET_F_GUEST_CSUM,
					 VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 |
						 VIRTIO_NET_F_GUEST_USO6,
					 OFFLOAD_FEATURES };

	return some[rng(4)];
}

static struct guest *create(struct vswitch *sw, const char *name, uint64_t features)
{
	return guest_create(
		sw, &(struct guest_config){
			    .name = name, .size = 512, .rx_bytes = 2048, .features = features });
}

static void run(unsigned steps)
{
	static const uint64_t all =
		VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MRG_RXBUF;
	struct vswitch *sw = switch_create("stress");
	struct guest *a = create(sw, "a", all | OFFLOAD_FEATURES), *h[HOSTILE];
	struct guest *b = create(sw, "b", all | VIRTIO_F_RING_PACKED | some_offloads());
	uint64_t stopped = 0;

	for (unsigned i = 0; i < HOSTILE; i++)
		h[i] = create(sw, "h",
			      (rng(2) ? all : all & ~VIRTIO_NET_F_MRG_RXBUF) |
				      (i % 2 ? VIRTIO_F_RING_PACKED : 0) |
				      (rng(4) ? OFFLOAD_FEATURES : some_offloads()));
	for (unsigned i = 0; i < steps; i++) {
		env_this_cpu = rng(3);
		misbehave(h[rng(HOSTILE)]);
		receive_honest(b);
		if (rng(4) == 0)
			send_honest(a, b);
		receive_honest(b);
		receive_honest(a);
		env_clock_us += 1000;
	}
	check(received == sent, "the honest receiver lost a packet");
	check(switch_counters_balance(sw), "counters do not balance");
	check(port_counter(a->port, STAT_queue_stopped) == 0, "an honest queue was stopped");
	for (unsigned i = 0; i < HOSTILE; i++) {
		stopped += port_counter(h[i]->port, STAT_queue_stopped);
		guest_destroy(h[i]);
	}
	check(stopped > steps / 1000, "hardly any queue was stopped: the stress is too mild");
	printf("PASS vswitch/stress: %u steps, %u honest packets, %lu queues stopped\n", steps,
	       sent, (unsigned long)stopped);
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

int main(int argc, char **argv)
{
	unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;

	rng_state = seed * 0x9e3779b97f4a7c15ull + 1;
	run(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 200000);
	return 0;
}
