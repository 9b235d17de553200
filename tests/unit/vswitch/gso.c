/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: whatever a sender leaves to the device and whatever a receiver takes, does each byte
 * arrive once, under headers and checksums that a receiver may trust, and whole where it may?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "tests/unit/vswitch/packet.h"
#include "vswitch/switch_impl.h"

#define ALL_OFFLOADS OFFLOAD_FEATURES
#define RINGS	     (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

static uint8_t frame[DRV_BUF_GSO], got[DRV_BUF_GSO], header[PKT_HDR];

static uint64_t count(const struct guest *g, enum stat_id id)
{
	return port_counter(g->port, id);
}

static struct guest *guest(struct vswitch *sw, uint64_t features, uint32_t rx_bytes,
			   enum layout layout, unsigned number)
{
	const struct guest_config c = {
		.name = "g",
		.mtu = 1500,
		.size = layout == LAYOUT_ODD ? 1024 : 256,
		.per_slot = layout == LAYOUT_ODD ? 8 : 2,
		.rx_bytes = rx_bytes,
		.rx_layout = layout,
		.features = features,
		.slot_bytes = DRV_BUF_GSO,
	};
	struct guest *g = guest_create(sw, &c);

	frame_make(frame, 60, number, number, 0);
	port_inject(g->port, frame, 60);
	return g;
}

/* The packet of a test, and what came of it so far. */
struct transfer {
	struct pkt_kind kind;
	uint32_t payload, seed, gso_size;
	uint8_t flags;
	uint32_t received; /* payload bytes */
	unsigned packets, whole;
};

/* One packet as it came, with its virtio-net header. */
static void check_received(struct transfer *t, uint64_t offloads, size_t bytes)
{
	const struct pkt_kind *k = &t->kind;
	unsigned headers = pkt_headers(k), l3 = pkt_l3(k), l4 = pkt_l4(k);
	uint8_t *f = got + PKT_HDR;
	uint32_t payload;

	bytes -= PKT_HDR;
	payload = (uint32_t)bytes - headers;
	if (got[0] != 0) { /* NEEDS_CSUM alone */
		assert_int_equal(got[0], PKT_NEEDS_CSUM);
		assert_true(offloads & VIRTIO_NET_F_GUEST_CSUM);
		assert_int_equal(got[6] | got[7] << 8, l4);
		assert_int_equal(got[8] | got[9] << 8, k->udp ? 6 : 16);
		pkt_complete(f, (uint32_t)bytes, l4, k->udp ? 6 : 16);
	}
	assert_true(pkt_is_sound(f, (uint32_t)bytes, k));
	if (got[1] != 0) {
		t->whole++;
		assert_int_equal(got[0], PKT_NEEDS_CSUM);
		assert_int_equal(got[2] | got[3] << 8, headers);
		assert_int_equal(got[4] | got[5] << 8, t->gso_size);
		assert_int_equal(payload, t->payload);
	} else if (t->gso_size) {
		assert_true(payload == t->gso_size || t->received + payload == t->payload);
		assert_true(bytes <= 1518);
	}
	for (uint32_t i = 0; i < payload; i++)
		assert_int_equal(f[headers + i], pkt_byte(t->seed, t->received + i));
	if (!k->ipv6)
		assert_int_equal(pkt_get16(f + l3 + 4), (uint16_t)(t->seed + t->packets));
	if (!k->udp) {
		bool last = t->received + payload == t->payload;
		uint8_t want = t->flags;

		if (!last)
			want &= (uint8_t) ~(PKT_FIN | PKT_PSH);
		if (t->packets > 0)
			want &= (uint8_t)~PKT_CWR;
		assert_int_equal(f[l4 + 13], want);
		assert_int_equal(pkt_get32(f + l4 + 4), (t->seed << 16 | 0xff00) + t->received);
	}
	t->received += payload;
	t->packets++;
}

static void receive_all(struct guest *g, struct transfer *t)
{
	size_t bytes;

	while ((bytes = drv_receive(g, got, sizeof(got))) > 0)
		check_received(t, g->rx.features, bytes);
	drv_publish(&g->rx);
}

static void send(struct guest *g, const struct transfer *t, unsigned dst, bool csum,
		 enum layout layout)
{
	uint32_t bytes = pkt_make(frame, &t->kind, dst, 1, t->payload, t->seed, t->flags);

	memset(header, 0, sizeof(header));
	if (csum)
		pkt_header(header, &t->kind, t->gso_size);
	else
		pkt_complete(frame, bytes, pkt_l4(&t->kind), t->kind.udp ? 6 : 16);
	assert_true(drv_send(g, header, frame, bytes, layout));
	drv_publish(&g->tx);
	assert_true(port_service(g->port, 1, 64) >= 1); /* and what a test put there before */
	assert_true(drv_reap(g) >= 1);
}

static uint64_t whole_feature(const struct pkt_kind *k)
{
	if (k->udp)
		return k->ipv6 ? VIRTIO_NET_F_GUEST_USO6 : VIRTIO_NET_F_GUEST_USO4;
	return k->ipv6 ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_GUEST_TSO4;
}

static const uint64_t receivers[] = {
	0,
	VIRTIO_NET_F_GUEST_CSUM,
	VIRTIO_NET_F_GUEST_TSO4, /* without what it builds on: as nothing */
	VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4,
	VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6,
	VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_USO4,
	VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_USO6,
	VIRTIO_NET_F_GUEST_CSUM | OFFLOAD_GUEST_GSO,
};

/* How the receiver's buffers are. */
static const struct buffers {
	uint32_t rx_bytes;
	enum layout layout;
	uint64_t features;
} buffers[] = {
	{ 65600, LAYOUT_ONE, 0 },
	{ 1536, LAYOUT_TWO, VIRTIO_NET_F_MRG_RXBUF },
	{ 65600, LAYOUT_ODD, 0 },
	{ 2011, LAYOUT_ODD, VIRTIO_NET_F_MRG_RXBUF },
	{ 1536, LAYOUT_ONE, VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_RING_PACKED },
};

static struct pkt_kind kind_of(unsigned n)
{
	struct pkt_kind k = { .ipv6 = n & 1, .udp = n & 2, .vlan = n & 4 };

	if (n & 8)
		k.ip_options = k.ipv6 ? 24 : 12;
	if ((n & 8) && !k.udp)
		k.tcp_options = 12;
	return k;
}
#define KINDS 16u

enum send_mode { SEND_SUMMED, SEND_CSUM, SEND_GSO, SEND_MODES };

static void transfer(struct guest *a, struct guest *b, struct transfer t, enum send_mode mode,
		     enum layout layout)
{
	uint64_t usable = offload_usable(b->rx.features), segments;
	uint64_t whole = count(b, STAT_gso_whole), cut = count(b, STAT_gso_segmented);
	uint64_t parts = count(b, STAT_gso_segments), sums = count(b, STAT_csum_software);
	bool takes_whole = usable & whole_feature(&t.kind);

	t.gso_size = mode == SEND_GSO ? 1500 - pkt_headers(&t.kind) + pkt_l3(&t.kind) : 0;
	send(a, &t, 2, mode != SEND_SUMMED, layout);
	receive_all(b, &t);
	assert_int_equal(t.received, t.payload);
	segments = mode == SEND_GSO ? (t.payload + t.gso_size - 1) / t.gso_size : 1;
	assert_int_equal(t.packets, takes_whole || segments == 0 ? 1 : segments);
	if (segments < 2)
		takes_whole = false;
	assert_int_equal(count(b, STAT_gso_whole) - whole, takes_whole);
	assert_int_equal(count(b, STAT_gso_segmented) - cut, segments > 1 && !takes_whole);
	assert_int_equal(count(b, STAT_gso_segments) - parts,
			 segments > 1 && !takes_whole ? segments : 0);
	assert_int_equal(count(b, STAT_csum_software) - sums,
			 mode == SEND_SUMMED || usable & VIRTIO_NET_F_GUEST_CSUM ? 0 : t.packets);
}

/* Every kind of packet, every way to send it, to every receiver, at the lengths that matter. */
static void combinations(const struct buffers *bufs)
{
	static const uint32_t lengths[] = { 0, 1, 7, 1371, 1400, 1449, 4096, 20001, 64900 };
	unsigned layout = 0;

	for (size_t r = 0; r < sizeof(receivers) / sizeof(receivers[0]); r++) {
		struct vswitch *sw = switch_create("lan");
		struct guest *a = guest(sw, RINGS | ALL_OFFLOADS, 2048, LAYOUT_ODD, 1);
		struct guest *b = guest(sw, RINGS | bufs->features | receivers[r], bufs->rx_bytes,
					bufs->layout, 2);

		for (unsigned n = 0; n < KINDS * SEND_MODES; n++) {
			struct transfer t = { .kind = kind_of(n % KINDS) };

			for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
				if (lengths[i] > 1400 && n / KINDS != SEND_GSO)
					continue;
				t.payload = lengths[i];
				t.seed = n * 131 + (uint32_t)i;
				t.flags = (uint8_t)(n * 37 + i * 11);
				transfer(a, b, t, n / KINDS, layout++ % LAYOUT_COUNT);
			}
		}
		assert_int_equal(port_counter_drops(a->port, false),
				 count(a, STAT_tx_drop_same_port)); /* the introduction */
		assert_true(switch_counters_balance(sw));
		guest_destroy(a);
		guest_destroy(b);
		switch_destroy(sw);
		assert_int_equal(env_allocs, 0);
	}
}

static void to_large_buffers(void **state)
{
	(void)state;
	combinations(&buffers[0]);
}

static void to_merged_buffers(void **state)
{
	(void)state;
	combinations(&buffers[1]);
}

static void to_pieces(void **state)
{
	(void)state;
	combinations(&buffers[2]);
}

static void to_merged_pieces(void **state)
{
	(void)state;
	combinations(&buffers[3]);
}

static void to_packed(void **state)
{
	(void)state;
	combinations(&buffers[4]);
}

/* A frame to all: each receiver gets it in its own way. */
static void flood(void **state)
{
	struct vswitch *sw = switch_create("lan");
	struct guest *a = guest(sw, RINGS | ALL_OFFLOADS, 2048, LAYOUT_ODD, 1);
	struct guest *g[sizeof(receivers) / sizeof(receivers[0])];
	const size_t n = sizeof(g) / sizeof(g[0]);

	(void)state;
	for (size_t i = 0; i < n; i++)
		g[i] = guest(sw, RINGS | VIRTIO_NET_F_MRG_RXBUF | receivers[i], 1536, LAYOUT_ONE,
			     10 + (unsigned)i);
	for (size_t i = 0; i < n; i++)
		while (drv_receive(g[i], got, sizeof(got)) > 0)
			;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		const struct transfer t = { .kind = kind_of(kind),
					    .payload = 5000,
					    .seed = kind,
					    .gso_size = 1300,
					    .flags = 0xff };

		send(a, &t, 0xff, true, LAYOUT_TWO);
		for (size_t i = 0; i < n; i++) {
			struct transfer mine = t;
			bool whole = offload_usable(receivers[i]) & whole_feature(&t.kind);

			receive_all(g[i], &mine);
			assert_int_equal(mine.received, 5000);
			assert_int_equal(mine.packets, whole ? 1 : 4);
			assert_int_equal(mine.whole, whole);
		}
	}
	assert_true(switch_counters_balance(sw));
	for (size_t i = 0; i < n; i++)
		guest_destroy(g[i]);
	guest_destroy(a);
	switch_destroy(sw);
}

/* Segments beyond one reservation's room, behind and before other packets: all, in order. */
static void many_segments(void **state)
{
	struct vswitch *sw = switch_create("lan");
	struct guest *a = guest(sw, RINGS | ALL_OFFLOADS, 2048, LAYOUT_ODD, 1), *b;
	const struct guest_config c = { .name = "b", .size = 1024, .per_slot = 1, .rx_bytes = 256 };
	struct transfer t = { .payload = 30000, .gso_size = 50, .seed = 9, .flags = PKT_PSH };
	unsigned before = 0;
	size_t bytes;

	(void)state;
	b = guest_create(sw, &c);
	frame_make(frame, 60, 2, 2, 0);
	port_inject(b->port, frame, 60);
	frame_make(frame, 60, 2, 1, 77);
	for (unsigned i = 0; i < 3; i++)
		drv_send(a, NULL, frame, 60, LAYOUT_ONE);
	send(a, &t, 2, true, LAYOUT_TWO);
	while ((bytes = drv_receive(b, got, sizeof(got))) > 0) {
		if (bytes == 72 && frame_is(got + 12, 60, 2, 1, 77))
			before++;
		else
			check_received(&t, 0, bytes);
		if (t.packets == 0)
			assert_true(before <= 3);
	}
	assert_int_equal(before, 3);
	assert_int_equal(t.packets, 600);
	assert_int_equal(t.received, 30000);
	assert_true(switch_counters_balance(sw));
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

/* Too few buffers: the first segments arrive, the others are counted. */
static void few_buffers(void **state)
{
	struct vswitch *sw = switch_create("lan");
	struct guest *a = guest(sw, RINGS | ALL_OFFLOADS, 2048, LAYOUT_ODD, 1), *b;
	const struct guest_config c = { .name = "b", .size = 16, .per_slot = 1, .rx_bytes = 2048 };
	struct transfer t = { .payload = 20 * 1448, .gso_size = 1448, .seed = 3 };

	(void)state;
	b = guest_create(sw, &c);
	frame_make(frame, 60, 2, 2, 0);
	port_inject(b->port, frame, 60);
	send(a, &t, 2, true, LAYOUT_TWO);
	assert_int_equal(count(a, STAT_tx_delivered), 1);
	assert_int_equal(count(b, STAT_rx_drop_no_buffer), 4);
	assert_true(switch_counters_balance(sw));
	send(a, &t, 2, true, LAYOUT_TWO); /* none left at all */
	assert_int_equal(count(a, STAT_tx_drop_receiver), 1);
	assert_int_equal(count(b, STAT_rx_drop_no_buffer), 5);
	receive_all(b, &t);
	assert_int_equal(t.received, 16 * 1448);
	assert_true(switch_counters_balance(sw));
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

/* Offloads taken back and given again while the queue runs (5.1.6.5.8). */
static void guest_offloads(void **state)
{
	struct vswitch *sw = switch_create("lan");
	struct guest *a = guest(sw, RINGS | ALL_OFFLOADS, 2048, LAYOUT_ODD, 1);
	struct guest *b = guest(sw,
				RINGS | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_GUEST_CSUM |
					VIRTIO_NET_F_GUEST_TSO4,
				1536, LAYOUT_ONE, 2);
	static const struct {
		uint64_t features;
		unsigned packets, sums;
	} steps[] = {
		{ VIRTIO_NET_F_GUEST_CSUM, 4, 0 },
		{ 0, 4, 4 },
		{ VIRTIO_NET_F_GUEST_TSO4, 4, 4 },
		{ UINT64_MAX, 1, 0 }, /* no more than was negotiated */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct transfer t = { .payload = 5000, .gso_size = 1400, .seed = 3 };
		uint64_t sums = count(b, STAT_csum_software);

		port_set_guest_offloads(b->port, steps[i].features);
		send(a, &t, 2, true, LAYOUT_TWO);
		receive_all(b, &t);
		assert_int_equal(t.received, 5000);
		assert_int_equal(t.packets, steps[i].packets);
		assert_int_equal(count(b, STAT_csum_software) - sums, steps[i].sums);
	}
	assert_int_equal(port_offloads(b->port), VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4);
	assert_int_equal(port_offloads(a->port), ALL_OFFLOADS);
	port_set_guest_offloads(b->port, VIRTIO_NET_F_GUEST_CSUM);
	assert_int_equal(port_offloads(b->port), VIRTIO_NET_F_GUEST_CSUM);
	port_stop_queue(b->port, 0);
	assert_int_equal(port_offloads(b->port), 0);
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

/* The frame as a whole, and its segments: the longest that pass. */
static void longest(void **state)
{
	struct vswitch *sw = switch_create("lan");
	struct guest *a = guest(sw, RINGS | ALL_OFFLOADS, 2048, LAYOUT_ODD, 1);
	struct guest *b = guest(sw, RINGS | ALL_OFFLOADS, 65600, LAYOUT_ONE, 2);
	struct transfer t = { .payload = 65535 - 40, .gso_size = 1460, .seed = 1 };

	(void)state;
	send(a, &t, 2, true, LAYOUT_TWO);
	receive_all(b, &t);
	assert_int_equal(t.received, 65535 - 40);
	t.gso_size = 1461;
	send(a, &t, 2, true, LAYOUT_TWO);
	assert_int_equal(count(a, STAT_tx_drop_long), 1);
	/* 64 KiB, but not to be segmented */
	t.gso_size = 0;
	send(a, &t, 2, true, LAYOUT_TWO);
	send(a, &t, 2, false, LAYOUT_TWO);
	assert_int_equal(count(a, STAT_tx_drop_long), 3);
	assert_int_equal(drv_receive(b, got, sizeof(got)), 0);
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_large_buffers), cmocka_unit_test(to_merged_buffers),
		cmocka_unit_test(to_pieces),	    cmocka_unit_test(to_merged_pieces),
		cmocka_unit_test(to_packed),	    cmocka_unit_test(flood),
		cmocka_unit_test(many_segments),    cmocka_unit_test(few_buffers),
		cmocka_unit_test(guest_offloads),   cmocka_unit_test(longest),
	};

	return cmocka_run_group_tests_name("vswitch/gso", tests, NULL, NULL);
}
