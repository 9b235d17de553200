/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: of two queues that a CPU serves in turn, one with small and one with the largest frames, does
 * each get its share, and does either wait for more than one turn of the other? And does a sender pay for all of the
 * work that it makes?
 */
#include "tests/unit/vswitch/pair.h"
#include "tests/unit/vswitch/packet.h"
#include "vswitch/gso.h"
#include "vswitch/switch_impl.h"

#define TURNS 100u
#define TURN  (VS_BATCH * 2048u) /* what one costs */

static uint8_t large[DRV_BUF_GSO], taken[DRV_BUF_GSO];

static struct guest *create(struct vswitch *sw, const char *name)
{
	return guest_create(sw, &(struct guest_config){ .name = name,
							.mtu = 1500,
							.size = 256,
							.per_slot = 2,
							.rx_bytes = DRV_BUF_GSO,
							.slot_bytes = DRV_BUF_GSO,
							.features = VIRTIO_F_INDIRECT_DESC |
								    VIRTIO_NET_F_CSUM |
								    VIRTIO_NET_F_HOST_TSO4 |
								    VIRTIO_NET_F_GUEST_CSUM |
								    VIRTIO_NET_F_GUEST_TSO4 });
}

/* As many frames as the ring takes; all that came back. */
static void fill(struct guest *g, const void *header, const uint8_t *data, uint32_t bytes)
{
	drv_reap(g);
	while (drv_send(g, header, data, bytes, LAYOUT_ONE))
		;
	drv_publish(&g->tx);
}

static void drain(struct guest *g)
{
	while (drv_receive(g, taken, sizeof(taken)) > 0)
		;
	drv_publish(&g->rx);
}

static uint64_t cost(const struct guest *g)
{
	return count(g, STAT_tx_bytes) + PACKET_COST * count(g, STAT_tx_packets);
}

static void shares(void **state)
{
	static const struct pkt_kind tcp;
	struct vswitch *sw = switch_create("lan");
	struct guest *a = create(sw, "a"), *b = create(sw, "b"), *c = create(sw, "c");
	uint8_t header[PKT_HDR];
	uint32_t bytes = pkt_make(large, &tcp, 3, 2, 44 * 1460, 0, 0);

	(void)state;
	policies_as_at_boot();
	pkt_header(header, &tcp, 1460);
	frame_make(frame, 64, 3, 3, 0);
	port_inject(c->port, frame, 64);
	frame_make(frame, 64, 3, 1, 0);
	for (unsigned turn = 0; turn < TURNS; turn++) {
		uint64_t before = cost(b);

		fill(a, NULL, frame, 64);
		fill(b, header, large, bytes);
		assert_int_equal(port_service(a->port, 1, VS_BATCH), VS_BATCH);
		drain(c);
		port_service(b->port, 1, VS_BATCH);
		drain(c);
		/* a turn, and one frame that began in it */
		assert_in_range(cost(b) - before, bytes, TURN + bytes + PACKET_COST);
		assert_true(atomic_load(&b->env.more_work[1]) > turn);
	}
	/* what is too much in one turn is missing in the next: it is exact in the long run */
	assert_in_range(cost(b), (TURNS - 1) * VS_BATCH * 2048, TURNS * TURN + bytes + PACKET_COST);
	assert_true(cost(a) > cost(b) / 2);
	assert_int_equal(port_counter_drops(c->port, true), 0);
	guest_destroy(a);
	guest_destroy(b);
	guest_destroy(c);
	switch_destroy(sw);
}

/* --- packets that cost more than they look --- */

#define PIECES	  500u
#define RECEIVERS 9u /* of a flood, beside the one that others send to */

enum kind { MANY_PIECES, FLOODED, SEGMENTED };

/* All of the sender's indirect packets are this one, whose end is in so many pieces of a byte. */
static void into_pieces(struct guest *g)
{
	struct drv_queue *q = &g->tx;
	struct drv_desc *table = guest_alloc(g, (PIECES + 1) * sizeof(*table), 8);

	for (unsigned i = 0; i <= PIECES; i++)
		table[i] = (struct drv_desc){ guest_gpa(g, q->buf), i == 0 ? DRV_HDR + 64 : 1,
					      i < PIECES ? DESC_NEXT : 0, (uint16_t)(i + 1) };
	for (unsigned slot = 0; slot < q->slots; slot++) {
		struct drv_desc *d = &q->desc[slot * q->per_slot];

		if (d->flags & DESC_INDIRECT) {
			d->addr = guest_gpa(g, table);
			d->len = (PIECES + 1) * (uint32_t)sizeof(*table);
		}
	}
}

static void fill_with(struct guest *g, enum kind kind)
{
	static const struct pkt_kind tcp;
	uint8_t header[PKT_HDR];
	uint32_t bytes;

	switch (kind) {
	case MANY_PIECES:
		frame_make(frame, 64, 3, 1, 0);
		drv_reap(g);
		while (drv_send(g, NULL, frame, 64, LAYOUT_INDIRECT))
			;
		into_pieces(g);
		drv_publish(&g->tx);
		return;
	case FLOODED:
		frame_make(frame, 64, 0xff, 1, 0);
		fill(g, NULL, frame, 64);
		return;
	case SEGMENTED:
		bytes = pkt_make(large, &tcp, 3, 1, 44 * 1460, 0, 0);
		pkt_header(header, &tcp, 1460);
		fill(g, header, large, bytes);
	}
}

/* In the long run a sender has what its turns are worth, whatever its packets are. */
static void all_work_is_paid_for(void **state)
{
	static const struct {
		enum kind kind;
		uint64_t cost; /* of a packet */
	} cases[] = {
		{ MANY_PIECES, 64 + PIECES + PACKET_COST + PIECES * DESC_COST },
		{ FLOODED, (64 + PACKET_COST) * (RECEIVERS + 1) },
		{ SEGMENTED, 44 * (1460 + PACKET_COST) },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vswitch *sw = switch_create("lan");
		struct guest *a = create(sw, "a"), *to[RECEIVERS + 1];
		uint64_t turns = 0, packets;

		policies_as_at_boot();
		for (unsigned n = 0; n <= RECEIVERS; n++)
			to[n] = guest_create(sw, &(struct guest_config){ .name = "to",
									 .mtu = 1500,
									 .size = 1024,
									 .per_slot = 2 });
		frame_make(frame, 64, 4, 3, 0);
		port_inject(to[0]->port, frame, 64);
		for (; turns < TURNS; turns++) {
			fill_with(a, cases[i].kind);
			port_service(a->port, 1, VS_BATCH);
			for (unsigned n = 0; n <= RECEIVERS; n++)
				drain(to[n]);
		}
		packets = count(a, STAT_tx_packets);
		assert_in_range(packets * cases[i].cost, (TURNS - 1) * TURN,
				TURNS * TURN + VS_BATCH * cases[i].cost);
		assert_int_equal(port_counter_drops(a->port, false), 0);
		for (unsigned n = 0; n <= RECEIVERS; n++)
			guest_destroy(to[n]);
		guest_destroy(a);
		switch_destroy(sw);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares),
		cmocka_unit_test(all_work_is_paid_for),
	};

	return cmocka_run_group_tests_name("vswitch/fair", tests, NULL, NULL);
}
