/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does a queue whose driver breaks a rule stop, by itself, counted and told, and do ports
 * and queues come and go without a trace?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"

static uint8_t frame[DRV_BUF], got[DRV_BUF];

static uint64_t count(const struct guest *g, enum stat_id id)
{
	return port_counter(g->port, id);
}

struct lan {
	struct vswitch *sw;
	struct guest *a, *b;
};

static const struct guest_config sound = { .name = "vm/net0",
					   .size = 64,
					   .per_slot = 4,
					   .features = VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
						       VIRTIO_NET_F_MRG_RXBUF };

static void send(struct guest *g, unsigned dst, unsigned src, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		frame_make(frame, 64, dst, src, i);
		assert_true(drv_send(g, NULL, frame, 64, LAYOUT_TWO));
	}
	drv_publish(&g->tx);
	port_kick(g->port, 1, 256);
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

	lan.sw = switch_create("lan");
	lan.a = guest_create(lan.sw, &sound);
	lan.b = guest_create(lan.sw, &sound);
	send(lan.b, 2, 2, 1); /* a knows where to send */
	drv_reap(lan.b);
	*state = &lan;
	return 0;
}

static int teardown(void **state)
{
	struct lan *lan = *state;
	bool balance = switch_counters_balance(lan->sw);

	guest_destroy(lan->a);
	guest_destroy(lan->b);
	switch_destroy(lan->sw);
	return !balance || env_allocs != 0;
}

/* Each breaks the ring of which packet (or buffer) number 2 is the third to be taken. */
static void set_head(struct drv_queue *q)
{
	q->avail[2 + 2] = (uint16_t)q->size;
}

static void set_next(struct drv_queue *q)
{
	q->desc[q->avail[2 + 2]].flags |= DESC_NEXT;
	q->desc[q->avail[2 + 2]].next = 0xffff;
}

static void set_loop(struct drv_queue *q)
{
	q->desc[q->avail[2 + 2]].flags |= DESC_NEXT;
	q->desc[q->avail[2 + 2]].len = 0;
	q->desc[q->avail[2 + 2]].next = q->avail[2 + 2];
}

static void set_address(struct drv_queue *q)
{
	q->desc[q->avail[2 + 2]].addr = 0xfee00000;
}

static void set_length(struct drv_queue *q)
{
	q->desc[q->avail[2 + 2]].len = 0xffffffff;
}

static void set_direction(struct drv_queue *q)
{
	q->desc[q->avail[2 + 2]].flags ^= DESC_WRITE;
}

static void set_table(struct drv_queue *q)
{
	q->desc[q->avail[2 + 2]].flags = DESC_INDIRECT;
	q->desc[q->avail[2 + 2]].len = 8;
}

static void set_ahead(struct drv_queue *q)
{
	q->avail[1] = (uint16_t)(q->avail_idx + q->size + 1);
}

static void set_behind(struct drv_queue *q)
{
	q->avail[1] = 0xfffe;
}

static void set_tiny(struct drv_queue *q)
{
	for (unsigned i = 0; i < q->size; i++)
		q->desc[i].len = 11;
}

static const struct {
	const char *name;
	void (*apply)(struct drv_queue *q);
	unsigned good; /* packets before the break */
	enum { RX = 1, TX = 2, BOTH = 3 } of;
	const char *why;
} breaks[] = {
	{ "head", set_head, 2, BOTH, "available ring names" },
	{ "next", set_next, 2, BOTH, "next field" },
	{ "loop", set_loop, 2, TX, "loop" },
	{ "address", set_address, 2, BOTH, "not in the VM's memory" },
	{ "length", set_length, 2, BOTH, "not in the VM's memory" },
	{ "direction", set_direction, 2, BOTH, "wrong direction" },
	{ "table", set_table, 2, BOTH, "indirect table's length" },
	{ "ahead", set_ahead, 0, BOTH, "ahead by more" },
	{ "behind", set_behind, 0, BOTH, "ahead by more" },
	{ "empty", set_loop, 0, RX, "length zero" },
	{ "tiny", set_tiny, 0, RX, "smaller than a virtio-net header" },
};

static void broken_transmit(void **state)
{
	struct lan *lan = *state;

	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		uint64_t drops = count(lan->a, STAT_tx_drop_broken);
		unsigned told = lan->a->env.broken[1];

		if (!(breaks[i].of & TX))
			continue;
		for (unsigned n = 0; n < 6; n++) {
			frame_make(frame, 64, 2, 1, n);
			assert_true(drv_send(lan->a, NULL, frame, 64, LAYOUT_ONE));
		}
		drv_publish(&lan->a->tx);
		breaks[i].apply(&lan->a->tx);
		assert_int_equal(port_service(lan->a->port, 1, 256), breaks[i].good);
		assert_int_equal(lan->a->env.broken[1], told + 1);
		assert_non_null(strstr(lan->a->env.why, breaks[i].why));
		assert_int_equal(count(lan->a, STAT_queue_stopped), told + 1);
		assert_int_equal(count(lan->a, STAT_tx_drop_broken) - drops, breaks[i].good != 0);
		/* nothing more is done for it, but for the others */
		assert_int_equal(port_service(lan->a->port, 1, 256), 0);
		assert_int_equal(lan->a->env.broken[1], told + 1);
		assert_int_equal(drv_reap(lan->a), 0);
		assert_int_equal(received(lan->b), breaks[i].good);
		guest_reset(lan->a);
		send(lan->a, 2, 1, 3);
		assert_int_equal(received(lan->b), 3);
		guest_reset(lan->a);
	}
}

static void broken_receive(void **state)
{
	struct lan *lan = *state;

	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		uint64_t drops, packets;
		unsigned told = lan->b->env.broken[0];

		if (!(breaks[i].of & RX))
			continue;
		guest_reset(lan->b);
		drops = count(lan->b, STAT_rx_drop_broken);
		packets = count(lan->b, STAT_rx_packets);
		breaks[i].apply(&lan->b->rx);
		send(lan->a, 2, 1, 6);
		assert_int_equal(drv_reap(lan->a), 6);
		assert_int_equal(lan->b->env.broken[0], told + 1);
		assert_non_null(strstr(lan->b->env.why, breaks[i].why));
		/* what was on its way is not published to a broken queue */
		assert_int_equal(count(lan->b, STAT_rx_packets), packets);
		assert_int_equal(count(lan->b, STAT_rx_drop_broken) - drops, 6);
		send(lan->a, 2, 1, 6);
		assert_int_equal(drv_reap(lan->a), 6);
		assert_int_equal(count(lan->b, STAT_rx_drop_broken) - drops, 12);
		assert_int_equal(lan->b->env.broken[0], told + 1);
		/* it can still send */
		send(lan->b, 1, 2, 1);
		assert_int_equal(drv_reap(lan->b), 1);
		assert_int_equal(received(lan->a), 1);
	}
}

static void stop_and_start(void **state)
{
	struct lan *lan = *state;
	uint64_t resets = count(lan->b, STAT_queue_resets);

	for (unsigned i = 0; i < 100; i++) {
		send(lan->a, 2, 1, 5);
		assert_int_equal(drv_reap(lan->a), 5);
		assert_int_equal(received(lan->b), 5);
		if (i % 3 == 0)
			guest_reset(lan->b);
		if (i % 3 == 1)
			guest_reset(lan->a);
	}
	assert_int_equal(count(lan->b, STAT_queue_resets) - resets, 2 * 34);
	port_stop_queue(lan->b->port, 0);
	port_stop_queue(lan->b->port, 0);
	port_stop_queue(lan->b->port, 99);
	assert_int_equal(count(lan->b, STAT_queue_resets) - resets, 2 * 34 + 1);
}

static void refuses_to_start(void **state)
{
	struct lan *lan = *state;
	const struct drv_queue *q = &lan->a->tx;
	struct queue_setup s = { q->size, guest_gpa(lan->a, q->desc),
				 guest_gpa(lan->a, (const void *)q->avail),
				 guest_gpa(lan->a, (const void *)q->used), VIRTIO_F_VERSION_1 };
	const char *why = NULL;

	assert_true(port_start_queue(lan->a->port, 1, &s, &why) < 0);
	assert_non_null(strstr(why, "running already"));
	assert_true(port_start_queue(lan->a->port, 2, &s, &why) < 0);
	assert_non_null(strstr(why, "no queue"));
	port_stop_queue(lan->a->port, 1);
	s.size = 100;
	assert_true(port_start_queue(lan->a->port, 1, &s, &why) < 0);
	assert_non_null(strstr(why, "power of two"));
	assert_int_equal(port_service(lan->a->port, 1, 64), 0);
	s.size = 64;
	assert_int_equal(port_start_queue(lan->a->port, 1, &s, &why), 0);
}

/* Chains that were there before the queue was started need no kick. */
static void filled_before_start(void **state)
{
	struct lan *lan = *state;
	struct guest *a = lan->a;
	const struct drv_queue *q = &a->tx;
	const struct queue_setup s = { q->size, guest_gpa(a, q->desc),
				       guest_gpa(a, (const void *)q->avail),
				       guest_gpa(a, (const void *)q->used), q->features };
	const char *why;

	port_stop_queue(a->port, 1);
	frame_make(frame, 64, 2, 1, 0);
	assert_true(drv_send(a, NULL, frame, 64, LAYOUT_ONE));
	drv_publish(&a->tx);
	assert_int_equal(port_start_queue(a->port, 1, &s, &why), 0);
	assert_int_equal(a->env.more_work[1], 1);
	assert_int_equal(port_service(a->port, 1, 64), 1);
}

static void identity(void **state)
{
	struct lan *lan = *state;

	assert_string_equal(port_name(lan->a->port), "vm/net0");
	assert_string_equal(switch_name(lan->sw), "lan");
	assert_ptr_equal(port_owner(lan->a->port), &lan->a->env);
	assert_int_equal(port_mac(lan->a->port)[0], 0x52);
	assert_ptr_equal(switch_port(lan->sw, 0), lan->a->port);
	assert_ptr_equal(switch_port(lan->sw, 1), lan->b->port);
	assert_null(switch_port(lan->sw, 2));
}

static void ports_come_and_go(void **state)
{
	struct lan *lan = *state;
	struct port_config pc = { .name = "x", .mtu = 1500, .queue_pairs = 8, .mem = &lan->a->mem };
	struct port *port[VS_MAX_PORTS];
	unsigned n = 0;

	for (unsigned round = 0; round < 3; round++) {
		for (n = 0; (port[n] = port_create(lan->sw, &pc)) != NULL; n++) {
			frame_make(frame, 64, 0xff, 300 + n, 0);
			assert_int_equal(port_inject(port[n], frame, 64), VERDICT_FLOODED);
		}
		assert_int_equal(n, VS_MAX_PORTS - 2);
		frame_make(frame, 64, 300 + 5, 1, 0);
		assert_int_equal(port_inject(lan->a->port, frame, 64), VERDICT_DROP_LINK_DOWN);
		received(lan->b);
		while (n > 0)
			port_destroy(port[--n]);
		/* forgotten: flooded to b */
		assert_int_equal(port_inject(lan->a->port, frame, 64), VERDICT_FLOODED);
		assert_true(port_counters_balance(lan->a->port));
		received(lan->a);
		received(lan->b);
	}
	pc.queue_pairs = 0;
	assert_null(port_create(lan->sw, &pc));
	pc.queue_pairs = VS_MAX_QUEUE_PAIRS + 1;
	assert_null(port_create(lan->sw, &pc));
	/* the sums over ports do not balance when some are gone: leave with two new ones */
	teardown(state);
	setup(state);
}

/* Every allocation fails once: nothing crashes, nothing leaks, nothing is lost uncounted. */
static void out_of_memory(void **state)
{
	struct port_config pc = { .name = "x", .mtu = 1500, .queue_pairs = 1 };

	(void)state;
	for (long n = 0; n < 12; n++) {
		struct vswitch *sw;
		struct port *a = NULL, *b = NULL;

		env_alloc_fail = n;
		sw = switch_create("s");
		if (sw != NULL)
			a = port_create(sw, &pc);
		if (a != NULL)
			b = port_create(sw, &pc);
		if (b != NULL) {
			frame_make(frame, 64, 0xff, 1, 0);
			port_inject(a, frame, 64);
			frame_make(frame, 64, 1, 2, 0);
			port_inject(b, frame, 64);
			assert_int_equal(port_counter(a, STAT_tx_packets), 1);
			assert_int_equal(port_counter(b, STAT_tx_packets), 1);
			assert_true(switch_counters_balance(sw));
		}
		env_alloc_fail = -1;
		port_destroy(a);
		port_destroy(b);
		switch_destroy(sw);
		assert_int_equal(env_allocs, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test_setup_teardown(broken_transmit, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_receive, setup, teardown),
		cmocka_unit_test_setup_teardown(stop_and_start, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_to_start, setup, teardown),
		cmocka_unit_test_setup_teardown(filled_before_start, setup, teardown),
		cmocka_unit_test_setup_teardown(identity, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_come_and_go, setup, teardown),
	};

	return cmocka_run_group_tests_name("vswitch/port", tests, NULL, NULL);
}
