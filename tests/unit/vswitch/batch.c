/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does each packet go where it belongs, and is each that does not counted under its
 * reason, at the port that the reason is about?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"

#define GUESTS 4u

struct lan {
	struct vswitch *sw;
	struct guest *g[GUESTS]; /* number n has address n + 1 */
};

static uint8_t frame[DRV_BUF], got[DRV_BUF];

static uint64_t count(const struct guest *g, enum stat_id id)
{
	return port_counter(g->port, id);
}

static enum verdict inject(struct guest *g, size_t bytes, unsigned dst, unsigned src)
{
	frame_make(frame, bytes, dst, src, 7);
	return port_inject(g->port, frame, bytes);
}

static unsigned received(struct guest *g)
{
	unsigned n = 0;

	while (drv_receive(g, got, sizeof(got)) > 0)
		n++;
	drv_publish(&g->rx);
	return n;
}

static int setup(void **state)
{
	static struct lan lan;
	static const char *const names[] = { "a", "b", "c", "d" };

	lan.sw = switch_create("lan");
	for (unsigned i = 0; i < GUESTS; i++)
		lan.g[i] = guest_create(
			lan.sw,
			&(struct guest_config){ .name = names[i], .mtu = 1500, .size = 128 });
	*state = &lan;
	return 0;
}

static int teardown(void **state)
{
	struct lan *lan = *state;
	bool balance = switch_counters_balance(lan->sw);

	for (unsigned i = 0; i < GUESTS; i++)
		if (lan->g[i] != NULL)
			guest_destroy(lan->g[i]);
	switch_destroy(lan->sw);
	return !balance || env_allocs != 0;
}

static void learns(void **state)
{
	struct lan *lan = *state;
	struct fdb_view view[4];

	env_clock_us = 10000000;
	/* unknown: to all others; then known */
	assert_int_equal(inject(lan->g[0], 64, 2, 1), VERDICT_FLOODED);
	assert_int_equal(received(lan->g[0]), 0);
	for (unsigned i = 1; i < GUESTS; i++)
		assert_int_equal(received(lan->g[i]), 1);
	assert_int_equal(count(lan->g[0], STAT_tx_flood_copies), GUESTS - 1);
	assert_int_equal(inject(lan->g[1], 64, 1, 2), VERDICT_DELIVERED);
	assert_int_equal(inject(lan->g[0], 64, 2, 1), VERDICT_DELIVERED);
	assert_int_equal(received(lan->g[0]), 1);
	assert_int_equal(received(lan->g[1]), 1);
	assert_int_equal(received(lan->g[2]), 0);
	assert_int_equal(count(lan->g[0], STAT_learned), 1);
	/* seen by a CPU whose clock is ahead of the looker's */
	env_clock_us -= 2000000;
	assert_int_equal(switch_fdb(lan->sw, view, 4), 2);
	assert_int_equal(view[0].age_us, 0);
	env_clock_us += 7000000;
	assert_int_equal(switch_fdb(lan->sw, view, 4), 2);
	assert_int_equal(view[0].age_us, 5000000);
	assert_true(view[0].port != view[1].port);
	assert_int_equal(view[0].mac[0], 0x52);
	/* moved to port 2 */
	assert_int_equal(inject(lan->g[2], 64, 2, 1), VERDICT_DELIVERED);
	assert_int_equal(inject(lan->g[1], 64, 1, 2), VERDICT_DELIVERED);
	assert_int_equal(received(lan->g[2]), 1);
	/* too old */
	env_clock_us += 301000000;
	assert_int_equal(inject(lan->g[1], 64, 1, 2), VERDICT_FLOODED);
	assert_int_equal(switch_fdb(lan->sw, view, 4), 1);
}

static void verdicts(void **state)
{
	static const struct {
		size_t bytes;
		unsigned dst, src;
		enum verdict want;
		enum stat_id id;
	} cases[] = {
		{ 0, 2, 1, VERDICT_DROP_SHORT, STAT_tx_drop_short },
		{ 13, 2, 1, VERDICT_DROP_SHORT, STAT_tx_drop_short },
		{ 14, 2, 1, VERDICT_DELIVERED, STAT_tx_delivered },
		{ 1518, 2, 1, VERDICT_DELIVERED, STAT_tx_delivered },
		{ 1519, 2, 1, VERDICT_DROP_LONG, STAT_tx_drop_long },
		{ 64, 2, 0xff, VERDICT_DROP_BAD_SOURCE, STAT_tx_drop_bad_source },
		{ 64, 1, 1, VERDICT_DROP_SAME_PORT, STAT_tx_drop_same_port },
		{ 64, 0xff, 1, VERDICT_FLOODED, STAT_tx_flooded },
		{ 64, 77, 1, VERDICT_FLOODED, STAT_tx_flooded },
	};
	struct lan *lan = *state;
	struct guest *a = lan->g[0];

	inject(lan->g[1], 64, 1, 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = count(a, cases[i].id), packets = count(a, STAT_tx_packets);

		assert_int_equal(inject(a, cases[i].bytes, cases[i].dst, cases[i].src),
				 cases[i].want);
		assert_int_equal(count(a, cases[i].id), before + 1);
		assert_int_equal(count(a, STAT_tx_packets), packets + 1);
	}
}

static void bad_header(void **state)
{
	const uint8_t checksum_please[DRV_HDR] = { 1 };
	struct lan *lan = *state;
	struct guest *a = lan->g[0];

	frame_make(frame, 64, 0xff, 1, 0);
	assert_true(drv_send(a, checksum_please, frame, 64, LAYOUT_TWO));
	assert_true(drv_send(a, NULL, frame, 64, LAYOUT_TWO));
	drv_publish(&a->tx);
	assert_int_equal(port_service(a->port, 1, 64), 2);
	assert_int_equal(drv_reap(a), 2);
	assert_int_equal(count(a, STAT_tx_drop_bad_header), 1);
	assert_int_equal(count(a, STAT_tx_flooded), 1);
	assert_int_equal(received(lan->g[1]), 1);
}

/* Frames of one byte value: none has a valid source, whatever came before, or nothing did. */
static void no_addresses(void **state)
{
	static const uint8_t values[] = { 0, 0xff };
	struct lan *lan = *state;

	for (size_t i = 0; i < 2; i++) {
		memset(frame, values[i], 64);
		assert_int_equal(port_inject(lan->g[0]->port, frame, 64), VERDICT_DROP_BAD_SOURCE);
	}
	inject(lan->g[1], 64, 1, 2);
	frame_make(frame, 64, 2, 1, 0);
	for (unsigned n = 0; n < 3; n++)
		assert_true(drv_send(lan->g[0], NULL, frame, 64, LAYOUT_ONE));
	memset(frame + 6, 0, 6);
	assert_true(drv_send(lan->g[0], NULL, frame, 64, LAYOUT_ONE));
	drv_publish(&lan->g[0]->tx);
	assert_int_equal(port_service(lan->g[0]->port, 1, 64), 4);
	assert_int_equal(count(lan->g[0], STAT_tx_delivered), 3);
	assert_int_equal(count(lan->g[0], STAT_tx_drop_bad_source), 3);
}

static void no_other_port(void **state)
{
	struct lan *lan = *state;

	for (unsigned i = 1; i < GUESTS; i++) {
		guest_destroy(lan->g[i]);
		lan->g[i] = NULL;
	}
	assert_int_equal(inject(lan->g[0], 64, 0xff, 1), VERDICT_DROP_NO_PORT);
	assert_int_equal(inject(lan->g[0], 64, 9, 1), VERDICT_DROP_NO_PORT);
	assert_int_equal(count(lan->g[0], STAT_tx_drop_no_port), 2);
	assert_int_equal(count(lan->g[0], STAT_tx_flooded), 0);
}

static void receiver_drops(void **state)
{
	struct lan *lan = *state;
	struct guest *a = lan->g[0], *b = lan->g[1];
	unsigned sent = 0;

	inject(b, 64, 1, 2);
	received(lan->g[2]);
	while (inject(a, 64, 2, 1) == VERDICT_DELIVERED)
		sent++;
	assert_int_equal(sent, b->rx.slots);
	assert_int_equal(count(a, STAT_tx_drop_receiver), 1);
	assert_int_equal(count(b, STAT_rx_drop_no_buffer), 1);
	assert_int_equal(received(b), sent);
	port_stop_queue(b->port, 0);
	assert_int_equal(inject(a, 64, 2, 1), VERDICT_DROP_LINK_DOWN);
	assert_int_equal(count(b, STAT_rx_drop_link_down), 1);
	/* a flood goes to the others all the same */
	assert_int_equal(inject(a, 64, 0xff, 1), VERDICT_FLOODED);
	assert_int_equal(count(b, STAT_rx_drop_link_down), 2);
	assert_int_equal(received(lan->g[2]), 1);
	assert_int_equal(count(a, STAT_tx_drop_receiver), 2);
}

/* Too small a buffer stays where it is, and a smaller packet gets it. */
static void small_buffers(void **state)
{
	struct vswitch *sw = switch_create("s");
	const struct guest_config cb = { .name = "b", .mtu = 9000, .size = 512, .rx_bytes = 200 };
	const struct guest_config cc = { .name = "c",
					 .mtu = 9000,
					 .size = 8192 / 8,
					 .rx_bytes = 32,
					 .features = VIRTIO_NET_F_MRG_RXBUF };
	struct guest *a = guest_create(sw, &(struct guest_config){ .name = "a" });
	struct guest *b = guest_create(sw, &cb), *c = guest_create(sw, &cc);

	(void)state;
	inject(b, 64, 0xff, 2);
	inject(c, 64, 0xff, 3);
	received(b);
	assert_int_equal(received(c), 1);
	assert_int_equal(inject(a, 189, 2, 1), VERDICT_DROP_BUFFER_SMALL);
	assert_int_equal(inject(a, 188, 2, 1), VERDICT_DELIVERED);
	assert_int_equal(received(b), 1);
	/* 128 merged buffers of 32 bytes: more would be too few, not too small */
	assert_int_equal(inject(a, 128 * 32 - 12, 3, 1), VERDICT_DELIVERED);
	assert_int_equal(received(c), 1);
	assert_int_equal(inject(a, 128 * 32 - 11, 3, 1), VERDICT_DROP_NO_BUFFER);
	assert_int_equal(inject(a, 128 * 32 - 12, 3, 1), VERDICT_DELIVERED);
	assert_int_equal(count(b, STAT_rx_drop_buffer_small), 1);
	assert_true(switch_counters_balance(sw));
	guest_destroy(a);
	guest_destroy(b);
	guest_destroy(c);
	switch_destroy(sw);
}

/* Flooded packets and others of one batch arrive in the order they were sent. */
static void order_is_kept(void **state)
{
	struct lan *lan = *state;
	struct guest *a = lan->g[0], *b = lan->g[1];

	inject(b, 64, 0xff, 2);
	received(a);
	for (unsigned i = 0; i < 16; i++) {
		frame_make(frame, 64, i % 3 == 1 ? 0xff : 2, 1, i);
		assert_true(drv_send(a, NULL, frame, 64, LAYOUT_ONE));
	}
	drv_publish(&a->tx);
	assert_int_equal(port_service(a->port, 1, 64), 16);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(drv_receive(b, got, sizeof(got)), 64 + DRV_HDR);
		assert_true(frame_is(got + DRV_HDR, 64, i % 3 == 1 ? 0xff : 2, 1, i));
	}
	assert_int_equal(count(a, STAT_batches), 1);
}

static void counts_bytes(void **state)
{
	struct lan *lan = *state;

	inject(lan->g[1], 100, 0xff, 2);
	inject(lan->g[0], 1000, 2, 1);
	assert_int_equal(count(lan->g[1], STAT_tx_bytes), 100);
	assert_int_equal(count(lan->g[1], STAT_rx_bytes), 1000);
	assert_int_equal(count(lan->g[1], STAT_copied_bytes), 1000);
	assert_int_equal(count(lan->g[1], STAT_copies), 1);
	assert_int_equal(count(lan->g[0], STAT_rx_bytes), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(learns, setup, teardown),
		cmocka_unit_test_setup_teardown(verdicts, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_header, setup, teardown),
		cmocka_unit_test_setup_teardown(no_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(no_other_port, setup, teardown),
		cmocka_unit_test_setup_teardown(receiver_drops, setup, teardown),
		cmocka_unit_test(small_buffers),
		cmocka_unit_test_setup_teardown(order_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_bytes, setup, teardown),
	};

	return cmocka_run_group_tests_name("vswitch/batch", tests, NULL, NULL);
}
