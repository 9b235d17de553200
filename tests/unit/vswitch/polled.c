/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does a CPU that polls a queue for its sender take all of it, and tell both guests of it when
 * they need it, and not before?
 */
#include "tests/unit/vswitch/pair.h"

/* While a queue is polled there are no kicks; afterwards there are, and nothing was forgotten. */
static void polling(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct pair p = pair_create((i & 1 ? VIRTIO_F_EVENT_IDX : 0) |
					    (i & 2 ? VIRTIO_F_RING_PACKED : 0));

		assert_int_equal(kicks_for(&p, 3), 3);
		assert_true(port_poll_begin(p.a->port, 1));
		assert_false(port_poll_begin(p.a->port, 1));
		assert_int_equal(port_poll(p.a->port, 1), 0);
		assert_int_equal(kicks_for(&p, 100), 0);
		assert_int_equal(port_poll(p.a->port, 1), 64);
		assert_int_equal(p.a->env.more_work[1], 0);
		/* somebody else comes by: that changes nothing */
		assert_int_equal(port_service(p.a->port, 1, VS_BATCH), 36);
		assert_int_equal(kicks_for(&p, 5), 0);
		port_poll_end(p.a->port, 1, 1); /* one, and the others are left to somebody */
		assert_int_equal(atomic_exchange(&p.a->env.more_work[1], 0), 1);
		assert_int_equal(port_service(p.a->port, 1, VS_BATCH), 4);
		take(&p, 100);
		assert_int_equal(kicks_for(&p, 3), 3);
		take(&p, 100);
		assert_int_equal(count(p.a, STAT_batches_offloaded), 1);
		assert_int_equal(count(p.a, STAT_polls_empty), 1);
		pair_destroy(&p);
	}
}

/* Who polls for a sender takes one packet, for which both drivers ask for an interrupt. */
static void poll_one(struct pair *p)
{
	take(p, 100);
	drv_reap(p->a);
	drv_want_interrupt(&p->b->rx, true);
	drv_want_interrupt(&p->a->tx, true);
	put(p, 1, 100);
	drv_publish(&p->a->tx);
	assert_int_equal(port_poll(p->a->port, 1), 1);
}

static unsigned rx_interrupts(const struct pair *p)
{
	return atomic_load(&p->b->env.interrupts[0]);
}

static void expect_interrupts(const struct pair *p, unsigned rx, unsigned tx)
{
	assert_int_equal(rx_interrupts(p), rx);
	assert_int_equal(tx_interrupts(p), tx);
}

/* Guests that run are told by who polls when they fall asleep, when time is up or when it ends; of packets
 * sooner than of buffers that came back. */
static void polled_guests_wait(void **state)
{
	(void)state;
	env_clock_us = 1000000;
	for (unsigned i = 0; i < 4; i++) {
		struct pair p = pair_create((i & 1 ? VIRTIO_F_EVENT_IDX : 0) |
					    (i & 2 ? VIRTIO_F_RING_PACKED : 0));
		unsigned rx = rx_interrupts(&p), tx = tx_interrupts(&p);

		port_poll_begin(p.a->port, 1);
		poll_one(&p);
		env_clock_us += 99;
		port_poll(p.a->port, 1);
		expect_interrupts(&p, rx, tx);
		env_clock_us += 1;
		port_poll(p.a->port, 1);
		expect_interrupts(&p, ++rx, tx);
		env_clock_us += 899;
		port_poll(p.a->port, 1);
		expect_interrupts(&p, rx, tx);
		env_clock_us += 1;
		port_poll(p.a->port, 1);
		expect_interrupts(&p, rx, ++tx);
		port_poll(p.a->port, 1); /* once is enough */
		expect_interrupts(&p, rx, tx);

		poll_one(&p); /* it falls asleep: told by who polls, */
		p.a->env.peer = p.b->env.peer = PEER_BLOCKED;
		port_poll(p.a->port, 1);
		expect_interrupts(&p, ++rx, tx);
		env_clock_us += 99;
		port_poll(p.a->port, 1);
		expect_interrupts(&p, rx, tx);
		env_clock_us += 1;
		port_poll(p.a->port, 1);
		expect_interrupts(&p, rx, ++tx);
		p.a->env.peer = p.b->env.peer = PEER_RUNNING;

		poll_one(&p); /* ... or by its own CPU */
		port_settle(p.b->port);
		port_settle(p.a->port);
		expect_interrupts(&p, ++rx, ++tx);
		port_poll(p.a->port, 1);
		expect_interrupts(&p, rx, tx);

		poll_one(&p); /* it has found it by itself */
		drv_want_interrupt(&p.b->rx, false);
		drv_want_interrupt(&p.a->tx, false);
		env_clock_us += 1000;
		port_poll(p.a->port, 1);
		port_poll_end(p.a->port, 1, VS_BATCH);
		expect_interrupts(&p, rx, tx);

		port_poll_begin(p.a->port, 1);
		poll_one(&p);
		port_poll_end(p.a->port, 1, VS_BATCH);
		expect_interrupts(&p, ++rx, ++tx);

		policy_set(POLICY_batching, 0);
		port_poll_begin(p.a->port, 1);
		poll_one(&p);
		expect_interrupts(&p, ++rx, ++tx);
		port_poll_end(p.a->port, 1, VS_BATCH);
		take(&p, 100);
		pair_destroy(&p);
	}
}

/* Who sleeps in the middle of a stream that it sends is told of what comes in, acknowledgements, when a tenth
 * of poll_us is over; who has sent small packets, or has not sent for poll_us, at once. */
static void streaming_guests_sleep_on(void **state)
{
	static const struct {
		size_t sent_bytes;
		uint64_t before_us;
		bool waits;
	} cases[] = {
		{ 9000, 0, true }, { 9000, 999, true }, { 9000, 1000, false }, { 1000, 0, false }
	};

	(void)state;
	env_clock_us = 1000000;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p = pair_create(VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MRG_RXBUF);
		unsigned rx;

		frame_make(frame, cases[i].sent_bytes, 1, 2, 0);
		assert_true(drv_send(p.b, NULL, frame, cases[i].sent_bytes, LAYOUT_ONE));
		drv_publish(&p.b->tx);
		assert_int_equal(port_service(p.b->port, 1, QUOTA), 1);
		env_clock_us += cases[i].before_us;
		p.b->env.peer = PEER_BLOCKED;
		rx = rx_interrupts(&p);
		port_poll_begin(p.a->port, 1);
		poll_one(&p);
		assert_int_equal(rx_interrupts(&p), rx + !cases[i].waits);
		env_clock_us += 99;
		port_poll(p.a->port, 1);
		assert_int_equal(rx_interrupts(&p),
				 rx + (!cases[i].waits || cases[i].before_us > 0));
		env_clock_us += 1;
		port_poll(p.a->port, 1);
		assert_int_equal(rx_interrupts(&p), rx + 1);
		port_poll_end(p.a->port, 1, VS_BATCH);
		take(&p, 100);
		pair_destroy(&p);
	}
}

/* Packets, and with them `others` to the sender itself, until one finds no buffer. */
static void fill_receiver(struct pair *p, unsigned others)
{
	unsigned most = 2048;

	while (count(p->a, STAT_tx_drop_receiver) == 0 && most-- > 0) {
		put(p, 1, 100);
		for (unsigned i = 0; i < others; i++) {
			frame_make(frame, 100, 1, 1, 0);
			drv_send(p->a, NULL, frame, 100, LAYOUT_ONE);
		}
		drv_publish(&p->a->tx);
		port_poll(p->a->port, 1);
		drv_reap(p->a);
	}
	assert_int_equal(count(p->a, STAT_tx_drop_receiver), 1);
	p->sent--; /* it was the one that was dropped */
}

/* The receiver takes so many packets and offers their buffers again. */
static void receive(struct pair *p, unsigned packets)
{
	for (; packets > 0; packets--, p->received++) {
		assert_int_equal(drv_receive(p->b, got, sizeof(got)), 100 + DRV_HDR);
		assert_true(frame_is(got + DRV_HDR, 100, 2, 1, p->received));
	}
	drv_publish(&p->b->rx);
}

/* A sender whose receiver has no buffer left is left alone by who polls until that has buffers for a batch,
 * or for 16 tenths of poll_us; a sender of other packets is not left alone. */
static void full_receivers_hold_up(void **state)
{
	(void)state;
	env_clock_us = 1000000;
	for (unsigned i = 0; i < 6; i++) {
		struct pair p =
			pair_create(VIRTIO_F_EVENT_IDX | (i % 2 ? VIRTIO_F_RING_PACKED : 0));
		bool others = i / 2 == 2, in_time = i / 2 == 1;

		port_poll_begin(p.a->port, 1);
		fill_receiver(&p, others ? 2 : 0);
		receive(&p, VS_BATCH - 1);
		put(&p, 5, 100);
		drv_publish(&p.a->tx);
		env_clock_us += 1599;
		assert_int_equal(port_poll(p.a->port, 1), others ? 5 : 0);
		if (in_time)
			receive(&p, 1);
		else
			env_clock_us += 1;
		assert_int_equal(port_poll(p.a->port, 1), others ? 0 : 5);
		port_poll_end(p.a->port, 1, VS_BATCH);
		take(&p, 100);
		pair_destroy(&p);
	}
}

/* From a loss on, for 64 batches, packets are taken only when there are buffers for a batch; also when the sender
 * falls asleep meanwhile, which is then told of those that were taken. */
static void no_loss_after_a_loss(void **state)
{
	(void)state;
	env_clock_us = 1000000;
	for (unsigned i = 0; i < 2; i++) {
		struct pair p = pair_create(VIRTIO_F_EVENT_IDX | (i ? VIRTIO_F_RING_PACKED : 0));
		unsigned tx;

		port_poll_begin(p.a->port, 1);
		fill_receiver(&p, 0);
		tx = tx_interrupts(&p);
		for (unsigned n = 0; n < 64; n++) {
			drv_want_interrupt(&p.a->tx, true);
			put(&p, VS_BATCH, 100);
			drv_publish(&p.a->tx);
			env_clock_us += 100;
			assert_int_equal(port_poll(p.a->port, 1), 0);
			port_settle(p.a->port);
			if (n == 1)
				assert_int_equal(tx_interrupts(&p), tx + 1);
			receive(&p, VS_BATCH);
			assert_int_equal(port_poll(p.a->port, 1), VS_BATCH);
			drv_reap(p.a);
		}
		assert_int_equal(count(p.a, STAT_tx_drop_receiver), 1);
		put(&p, 1, 100); /* it is over: nobody looks any more */
		drv_publish(&p.a->tx);
		assert_int_equal(port_poll(p.a->port, 1), 1);
		assert_int_equal(count(p.a, STAT_tx_drop_receiver), 2);
		p.sent--;
		port_poll_end(p.a->port, 1, VS_BATCH);
		take(&p, 100);
		pair_destroy(&p);
	}
}

/* A receiver that never sleeps is interrupted more and more rarely, if many packets come, or when half of its ring
 * is full; as soon as it sleeps, all is as before. */
static void busy_receivers_are_left_alone(void **state)
{
	(void)state;
	env_clock_us = 1000000;
	for (unsigned i = 0; i < 4; i++) {
		bool many = i & 1;
		struct pair p =
			pair_create(VIRTIO_F_EVENT_IDX | (i & 2 ? VIRTIO_F_RING_PACKED : 0));

		port_poll_begin(p.a->port, 1);
		for (unsigned n = 0; n < 7; n++) {
			unsigned doublings = !many ? 0 : n == 6 ? 0 : n < 4 ? n : 4;
			unsigned rx = rx_interrupts(&p);

			poll_one(&p);
			put(&p, many ? 7 : 6, 100);
			drv_publish(&p.a->tx);
			port_poll(p.a->port, 1);
			env_clock_us += (100 << doublings) - 1;
			port_poll(p.a->port, 1);
			assert_int_equal(rx_interrupts(&p), rx);
			env_clock_us += 1;
			port_poll(p.a->port, 1);
			assert_int_equal(rx_interrupts(&p), rx + 1);
			if (n == 5) {
				poll_one(&p);
				port_settle(p.b->port); /* it falls asleep */
			}
		}
		port_poll_end(p.a->port, 1, VS_BATCH);
		take(&p, 100);
		pair_destroy(&p);
	}
}

/* A receiver that gives no buffers at all holds the sender up for two per cent of the time, and one whose
 * queue is stopped not at all. */
static void dead_receivers_do_not(void **state)
{
	(void)state;
	env_clock_us = 1000000;
	for (unsigned stopped = 0; stopped < 2; stopped++) {
		struct pair p = pair_create(VIRTIO_F_EVENT_IDX);
		unsigned rests = 0;

		if (stopped)
			port_stop_queue(p.b->port, 0);
		port_poll_begin(p.a->port, 1);
		for (unsigned n = 0; n < 10000; n++) {
			put(&p, 1, 100);
			drv_publish(&p.a->tx);
			env_clock_us += 100;
			rests += port_poll(p.a->port, 1) == 0;
			drv_reap(p.a);
		}
		assert_in_range(rests, stopped ? 0 : 1, stopped ? 0 : 200);
		port_poll_end(p.a->port, 1, VS_BATCH);
		pair_destroy(&p);
	}
}

/* A receiver's queue that is stopped is owed nothing any more. */
static void stopped_while_owed(void **state)
{
	struct pair p = pair_create(VIRTIO_F_EVENT_IDX);
	unsigned rx = rx_interrupts(&p);

	(void)state;
	port_poll_begin(p.a->port, 1);
	poll_one(&p);
	port_stop_queue(p.b->port, 0);
	port_poll_end(p.a->port, 1, VS_BATCH);
	assert_int_equal(rx_interrupts(&p), rx);
	pair_destroy(&p);
}

/* A queue that is kicked often is handed over, if there is somebody; a lone kick is not. */
static void offload(void **state)
{
	static const struct {
		uint32_t on;
		bool helper;
		uint64_t apart_us;
		unsigned want;
	} cases[] = {
		{ 1, true, 20, 9 }, { 1, true, 5000, 0 }, { 1, false, 20, 0 }, { 0, true, 20, 0 }
	};

	(void)state;
	env_clock_us = 1000000;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p = pair_create(VIRTIO_F_EVENT_IDX);

		policy_set(POLICY_offload, cases[i].on);
		p.a->env.helper = cases[i].helper;
		for (unsigned n = 0; n < 10; n++) {
			env_clock_us += cases[i].apart_us;
			assert_int_equal(kicks_for(&p, 1), 1);
		}
		assert_int_equal(count(p.a, STAT_offloads), cases[i].want);
		take(&p, 100);
		pair_destroy(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(polling),
		cmocka_unit_test(polled_guests_wait),
		cmocka_unit_test(streaming_guests_sleep_on),
		cmocka_unit_test(full_receivers_hold_up),
		cmocka_unit_test(no_loss_after_a_loss),
		cmocka_unit_test(busy_receivers_are_left_alone),
		cmocka_unit_test(dead_receivers_do_not),
		cmocka_unit_test(stopped_while_owed),
		cmocka_unit_test(offload),
	};

	return cmocka_run_group_tests_name("vswitch/polled", tests, NULL, NULL);
}
