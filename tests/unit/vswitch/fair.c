/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: of two queues that a CPU serves in turn, one with small and one with the largest frames, does
 * each get its share, and does either wait for more than one turn of the other?
 */
#include "tests/unit/vswitch/pair.h"
#include "tests/unit/vswitch/packet.h"
#include "vswitch/gso.h"

#define TURNS	    100u
#define PACKET_COST 1024u /* vswitch/service.c */

static uint8_t large[DRV_BUF_GSO], taken[DRV_BUF_GSO];

static struct guest *create(struct vswitch *sw, const char *name)
{
	return guest_create(sw, &(struct guest_config){ .name = name,
							.mtu = 1500,
							.size = 256,
							.per_slot = 2,
							.rx_bytes = DRV_BUF_GSO,
							.slot_bytes = DRV_BUF_GSO,
							.features = VIRTIO_NET_F_CSUM |
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
		assert_in_range(cost(b) - before, bytes, VS_BATCH * 2048 + bytes + PACKET_COST);
		assert_true(atomic_load(&b->env.more_work[1]) > turn);
	}
	/* what is too much in one turn is missing in the next: it is exact in the long run */
	assert_in_range(cost(b), (TURNS - 1) * VS_BATCH * 2048,
			TURNS * VS_BATCH * 2048 + bytes + PACKET_COST);
	assert_true(cost(a) > cost(b) / 2);
	assert_int_equal(port_counter_drops(c->port, true), 0);
	guest_destroy(a);
	guest_destroy(b);
	guest_destroy(c);
	switch_destroy(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(shares) };

	return cmocka_run_group_tests_name("vswitch/fair", tests, NULL, NULL);
}
