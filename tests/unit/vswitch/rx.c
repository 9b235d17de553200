/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: when several CPUs fill one receive queue, does the driver see the buffers in ring
 * order, whole, and only when filled; and what if the queue is stopped in between? The CPUs
 * are played one after the other by calling the steps of the data plane from here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/switch_impl.h"

#define CPUS 4u

static uint8_t frame[CPUS][2048], got[DRV_BUF];

struct lan {
	struct vswitch *sw;
	struct guest *b;
	struct port *from[CPUS];
	struct vs_cpu *cpu[CPUS];
};

static uint64_t count(const struct port *port, enum stat_id id)
{
	return port_counter(port, id);
}

/* CPU n has a packet for guest b, and the buffers for it. */
static void reserve(struct lan *lan, unsigned n, uint32_t seed)
{
	static const uint8_t header[VNET_HDR_BYTES];
	struct vs_cpu *cpu;

	env_this_cpu = n;
	cpu = lan->cpu[n] = batch_begin(lan->sw);
	assert_non_null(cpu);
	frame_make(frame[n], 1000, 2, 10 + n, seed);
	cpu->tx_seg[0] = (struct seg){ (uint8_t *)(uintptr_t)header, VNET_HDR_BYTES };
	cpu->tx_seg[1] = (struct seg){ frame[n], 1000 };
	batch_open(cpu, lan->from[n]);
	batch_add(cpu, cpu->tx_seg, 1000 + VNET_HDR_BYTES, 0);
	batch_sort(cpu);
	assert_int_equal(cpu->batch.pkt[0].verdict, VERDICT_DELIVERED);
	rx_reserve(cpu, lan->b->port, 1);
}

/* It copies, and publishes as far as it may. */
static void complete(struct lan *lan, unsigned n)
{
	struct vs_cpu *cpu = lan->cpu[n];

	env_this_cpu = n;
	if (cpu->rx.npkts > 0) {
		rx_fill(lan->b->port, cpu);
		rx_complete(lan->b->port, &cpu->batch, &cpu->rx, cpu);
	}
	cpu->batch.to[lan->b->port->id] = 0;
	batch_end(cpu);
}

static void expect(struct lan *lan, unsigned n, uint32_t seed)
{
	assert_int_equal(drv_receive(lan->b, got, sizeof(got)), 1000 + DRV_HDR);
	assert_true(frame_is(got + DRV_HDR, 1000, 2, 10 + n, seed));
	drv_publish(&lan->b->rx);
}

static int setup_with(void **state, uint64_t features)
{
	static struct lan lan;
	const struct port_config pc = { .name = "p", .mtu = 1500, .queue_pairs = 1 };

	lan.sw = switch_create("lan");
	lan.b = guest_create(lan.sw, &(struct guest_config){ .name = "b",
							     .size = 1024,
							     .per_slot = 1,
							     .rx_bytes = 400,
							     .features = features });
	for (unsigned n = 0; n < CPUS; n++)
		lan.from[n] = port_create(lan.sw, &pc);
	frame_make(frame[0], 64, 2, 2, 0);
	port_inject(lan.b->port, frame[0], 64);
	*state = &lan;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX);
}

static int setup_packed(void **state)
{
	return setup_with(state,
			  VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED);
}

static int teardown(void **state)
{
	struct lan *lan = *state;

	env_this_cpu = 0;
	guest_destroy(lan->b);
	for (unsigned n = 0; n < CPUS; n++)
		port_destroy(lan->from[n]);
	switch_destroy(lan->sw);
	return env_allocs != 0;
}

/* Reserved in the order 0 1 2 3, completed in any: seen in that order, as early as possible. */
static void any_order(void **state)
{
	struct lan *lan = *state;
	uint32_t seed = 0;

	for (unsigned code = 0; code < 256; code++) {
		bool done[CPUS] = { false };
		unsigned seen = 0, interrupts;

		for (unsigned n = 0; n < CPUS; n++)
			reserve(lan, n, seed);
		for (unsigned step = 0; step < CPUS; step++) {
			unsigned n = code >> (2 * step) & 3;

			while (done[n])
				n = (n + 1) % CPUS;
			drv_want_interrupt(&lan->b->rx, true);
			interrupts = lan->b->env.interrupts[0];
			complete(lan, n);
			done[n] = true;
			/* one interrupt if this let something through, else none */
			assert_int_equal(lan->b->env.interrupts[0] - interrupts, n == seen);
			for (; seen < CPUS && done[seen]; seen++)
				expect(lan, seen, seed);
			assert_int_equal(drv_receive(lan->b, got, sizeof(got)), 0);
		}
		assert_int_equal(seen, CPUS);
		seed++;
	}
	for (unsigned n = 0; n < CPUS; n++)
		assert_int_equal(count(lan->from[n], STAT_tx_delivered), 256);
	assert_int_equal(count(lan->b->port, STAT_rx_packets), 4 * 256);
}

/* One CPU is very slow: the others go on until there is no room to remember, then drop. */
static void slow_cpu(void **state)
{
	struct lan *lan = *state;
	unsigned sent = 0;

	reserve(lan, 0, 0);
	for (;; sent++) {
		reserve(lan, 1, sent);
		complete(lan, 1);
		if (lan->cpu[1]->rx.npkts == 0)
			break;
	}
	assert_int_equal(sent, RX_RESERVATIONS - 1);
	assert_int_equal(lan->cpu[1]->rx.drops[VERDICT_DROP_NO_BUFFER], 1);
	assert_int_equal(drv_receive(lan->b, got, sizeof(got)), 0);
	complete(lan, 0);
	expect(lan, 0, 0);
	for (unsigned n = 0; n < sent; n++)
		expect(lan, 1, n);
	/* and all is as before */
	reserve(lan, 2, 5);
	complete(lan, 2);
	expect(lan, 2, 5);
}

/* A queue stopped while it is filled: nothing of it is published, all is counted. */
static void stopped_meanwhile(void **state)
{
	static const struct {
		enum queue_state to;
		enum stat_id id;
	} cases[] = { { QUEUE_STOPPED, STAT_rx_drop_reset },
		      { QUEUE_BROKEN, STAT_rx_drop_broken } };
	struct lan *lan = *state;

	for (size_t i = 0; i < 2; i++) {
		struct queue *q = &lan->b->port->queue[0];
		uint64_t before = count(lan->b->port, cases[i].id);

		guest_reset(lan->b);
		reserve(lan, 0, 0);
		reserve(lan, 1, 0);
		reserve(lan, 2, 0);
		complete(lan, 1);
		/* what port_stop_queue() does before it waits */
		atomic_store(&q->state, cases[i].to);
		complete(lan, 0);
		complete(lan, 2);
		assert_int_equal(count(lan->b->port, cases[i].id) - before, 3);
		assert_int_equal(drv_receive(lan->b, got, sizeof(got)), 0);
		/* taken up again, nothing of the past is left */
		atomic_store(&q->state, QUEUE_BROKEN);
		guest_reset(lan->b);
		reserve(lan, 3, 9);
		complete(lan, 3);
		expect(lan, 3, 9);
	}
	for (unsigned n = 0; n < 3; n++) {
		assert_int_equal(count(lan->from[n], STAT_tx_drop_receiver), 2);
		assert_int_equal(count(lan->from[n], STAT_tx_delivered), 0);
	}
}

/* A CPU inside a batch does not enter another: what wants to is told so, and comes again. */
static void no_nesting(void **state)
{
	struct lan *lan = *state;

	reserve(lan, 0, 0);
	assert_null(batch_begin(lan->sw));
	complete(lan, 0);
	expect(lan, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_cpu, setup, teardown),
		cmocka_unit_test_setup_teardown(stopped_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(no_nesting, setup, teardown),
		cmocka_unit_test_setup_teardown(any_order, setup_packed, teardown),
		cmocka_unit_test_setup_teardown(slow_cpu, setup_packed, teardown),
		cmocka_unit_test_setup_teardown(stopped_meanwhile, setup_packed, teardown),
	};

	return cmocka_run_group_tests_name("vswitch/rx", tests, NULL, NULL);
}
