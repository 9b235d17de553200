/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does each policy do what docs/policies.md says, alone, and may it be changed between any
 * two packets without one being lost? Those of CPUs that poll are in polled.c.
 */
#include "tests/unit/vswitch/pair.h"

/* What the receiver has when it is interrupted first. */
static struct pair *watched;
static unsigned at_first;

static void look(struct port *port, unsigned queue)
{
	(void)port;
	(void)queue;
	if (at_first != 0)
		return;
	while (drv_receive(watched->b, got, sizeof(got)) != 0)
		at_first++;
	watched->received += at_first;
	watched->b->env.peer = PEER_RUNNING;
}

static void immediate_notification(void **state)
{
	static const struct {
		uint32_t on;
		enum peer_state peer;
		unsigned packets, want;
	} cases[] = {
		{ 1, PEER_BLOCKED, 64, 1 },  { 0, PEER_BLOCKED, 64, 64 },
		{ 1, PEER_RUNNING, 64, 64 }, { 1, PEER_RUNNABLE, 9, 9 },
		{ 1, PEER_BLOCKED, 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p =
			pair_create(VIRTIO_F_EVENT_IDX | (i % 2 ? VIRTIO_F_RING_PACKED : 0));

		watched = &p;
		at_first = 0;
		policy_set(POLICY_immediate_notification, cases[i / 2].on);
		p.b->env.peer = cases[i / 2].peer;
		p.b->env.on_interrupt = look;
		drv_want_interrupt(&p.b->rx, true);
		put(&p, cases[i / 2].packets, 100);
		drv_publish(&p.a->tx);
		port_service(p.a->port, 1, QUOTA);
		assert_int_equal(at_first, cases[i / 2].want);
		take(&p, 100);
		pair_destroy(&p);
	}
}

/* Batches end where the policies say. */
static void batch_limits(void **state)
{
	static const struct {
		uint32_t packets, bytes;
		unsigned want; /* batches, for 64 packets of 1000 bytes */
	} cases[] = { { 64, 65536, 1 }, { 8, 65536, 8 }, { 1, 65536, 64 }, { 64, 4000, 16 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p = pair_create(VIRTIO_F_EVENT_IDX);

		policy_set(POLICY_batch_packets, cases[i].packets);
		policy_set(POLICY_batch_bytes, cases[i].bytes);
		put(&p, 64, 1000);
		drv_publish(&p.a->tx);
		assert_int_equal(port_service(p.a->port, 1, QUOTA), 64);
		assert_int_equal(count(p.a, STAT_batches), cases[i].want);
		take(&p, 1000);
		pair_destroy(&p);
	}
}

/* A busy sender kicks less and less, up to the limits; all that it put is found. */
static void batching(void **state)
{
	static const struct {
		bool on, trusted;
		enum peer_state peer;
		uint32_t packets, bytes;
		unsigned least, most; /* kicks for 64 packets when it has been busy for a while */
		uint64_t apart_us;
	} cases[] = {
		{ true, true, PEER_RUNNING, 64, 65536, 1, 1, 0 },
		{ true, true, PEER_RUNNABLE, 64, 65536, 1, 1, 0 },
		{ true, true, PEER_RUNNING, 8, 65536, 8, 8, 0 },
		{ true, true, PEER_RUNNING, 64, 2000, 3, 4, 0 },
		{ true, true, PEER_BLOCKED, 64, 65536, 1, 1, 0 },
		{ true, true, PEER_BLOCKED, 64, 65536, 64, 64, 100 },
		{ true, false, PEER_RUNNING, 64, 65536, 64, 64, 0 },
		{ false, true, PEER_RUNNING, 64, 65536, 64, 64, 0 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p =
			pair_create(VIRTIO_F_EVENT_IDX | (i % 2 ? VIRTIO_F_RING_PACKED : 0));

		policy_set(POLICY_batching, cases[i / 2].on);
		policy_set(POLICY_batch_packets, cases[i / 2].packets);
		policy_set(POLICY_batch_bytes, cases[i / 2].bytes);
		p.a->env.will_flush = cases[i / 2].trusted;
		p.b->env.peer = cases[i / 2].peer;
		for (unsigned n = 0; n < 10; n++) {
			unsigned kicks = 0;

			for (unsigned m = 0; m < 64; m++) {
				drv_want_interrupt(&p.b->rx, true);
				env_clock_us += cases[i / 2].apart_us;
				kicks += kicks_for(&p, 1);
				if (cases[i / 2].apart_us >
				    0) /* it has come, the receiver sleeps */
					take(&p, 100);
			}
			port_flush(p.a->port, false);
			take(&p, 100);
			if (n >= 6)
				assert_in_range(kicks, cases[i / 2].least, cases[i / 2].most);
		}
		pair_destroy(&p);
	}
}

/* What was put without a kick is taken by a flush, and a late one asks for kicks again. */
static void flushes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pair p = pair_create(VIRTIO_F_EVENT_IDX | (i ? VIRTIO_F_RING_PACKED : 0));
		uint64_t saved;

		p.a->env.will_flush = true;
		assert_int_equal(kicks_for(&p, 1), 1);
		assert_true(kicks_for(&p, 200) < 20);
		port_flush(p.a->port, false);
		take(&p, 100);
		/* few packets, then the time is up: they are taken, and the next one kicks */
		saved = count(p.a, STAT_kicks_saved);
		assert_int_equal(kicks_for(&p, 1), 0);
		port_flush(p.a->port, true);
		assert_int_equal(count(p.a, STAT_kicks_saved) - saved, 1);
		take(&p, 100);
		assert_int_equal(kicks_for(&p, 1), 1);
		take(&p, 100);
		/* nothing to flush */
		port_flush(p.a->port, true);
		/* who leaves gets no more trust, however busy the guest was */
		assert_true(kicks_for(&p, 200) < 20);
		p.a->env.will_flush = false;
		port_flush(p.a->port, true);
		take(&p, 100);
		assert_int_equal(kicks_for(&p, 10), 10);
		take(&p, 100);
		/* switched off between two packets */
		p.a->env.will_flush = true;
		assert_true(kicks_for(&p, 200) < 20);
		policy_set(POLICY_batching, 0);
		port_flush(p.a->port, false);
		assert_int_equal(kicks_for(&p, 10), 10);
		take(&p, 100);
		pair_destroy(&p);
	}
}

/* Packets that come too slowly for a timer of lag_us are kicked for, each: no timer is set for more of
 * them. Others are kicked for less often even if the receiver sleeps. */
static void slow_ones(void **state)
{
	static const struct {
		enum peer_state peer;
		uint32_t bytes, apart_us, lag_us;
		unsigned least, most; /* kicks for 16 packets */
	} cases[] = {
		{ PEER_RUNNING, 100, 60, 100, 16, 16 },	 { PEER_RUNNING, 100, 20, 100, 1, 9 },
		{ PEER_BLOCKED, 100, 20, 100, 1, 9 },	 { PEER_BLOCKED, 9000, 20, 100, 1, 9 },
		{ PEER_BLOCKED, 9000, 60, 100, 16, 16 }, { PEER_BLOCKED, 9000, 60, 300, 1, 9 },
		{ PEER_RUNNING, 9000, 20, 30, 16, 16 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p = pair_create(VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MRG_RXBUF);
		unsigned kicks = 0;

		policy_set(POLICY_batch_bytes, 1 << 20);
		policy_set(POLICY_lag_us, cases[i].lag_us);
		p.a->env.will_flush = true;
		p.b->env.peer = cases[i].peer;
		for (unsigned n = 0; n < 32; n++) {
			drv_want_interrupt(&p.b->rx, true);
			env_clock_us += cases[i].apart_us;
			put(&p, 1, cases[i].bytes);
			if (drv_publish(&p.a->tx)) {
				port_kick(p.a->port, 1, VS_BATCH);
				kicks += n >= 16;
				take(&p, cases[i].bytes);
			}
		}
		port_flush(p.a->port, false);
		take(&p, cases[i].bytes);
		assert_in_range(kicks, cases[i].least, cases[i].most);
		assert_int_equal(p.a->env.flush_us == cases[i].lag_us, cases[i].most < 16);
		pair_destroy(&p);
	}
}

/* A packet, taken at once; the driver asks for an interrupt when it is given back. */
static void send_asking(struct pair *p)
{
	drv_want_interrupt(&p->a->tx, true);
	kicks_for(p, 1);
	port_service(p->a->port, 1, 100);
	take(p, 100);
}

/* A sender that runs is told of buffers given back when it leaves, if it still asks then. */
static void completions_wait(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pair p = pair_create(VIRTIO_F_EVENT_IDX | (i ? VIRTIO_F_RING_PACKED : 0));
		unsigned before = tx_interrupts(&p);

		p.a->env.will_flush = true;
		send_asking(&p);
		port_flush(p.a->port, false);
		assert_int_equal(tx_interrupts(&p), before);
		port_flush(p.a->port, true);
		assert_int_equal(tx_interrupts(&p), before + 1);
		port_flush(p.a->port, true); /* once is enough */
		assert_int_equal(tx_interrupts(&p), before + 1);

		send_asking(&p);
		drv_want_interrupt(&p.a->tx,
				   true); /* it has found it by itself: for the next one */
		port_flush(p.a->port, true);
		assert_int_equal(tx_interrupts(&p), before + 1);

		drv_want_interrupt(&p.a->tx, true);
		kicks_for(&p, 3 * VS_BATCH); /* more than it is let wait for */
		port_service(p.a->port, 1, 4 * VS_BATCH);
		assert_true(tx_interrupts(&p) > before + 1);
		take(&p, 100);

		p.a->env.will_flush = false; /* it leaves: at once */
		port_flush(p.a->port, true);
		before = tx_interrupts(&p);
		send_asking(&p);
		assert_int_equal(tx_interrupts(&p), before + 1);
		pair_destroy(&p);
	}
}

/* The sender's ring is small, and somebody comes by for it. */
static struct pair small_pair(bool packed, unsigned per_slot)
{
	struct guest_config c = { .name = "g",
				  .size = 16,
				  .per_slot = per_slot,
				  .features = VIRTIO_F_EVENT_IDX |
					      (packed ? VIRTIO_F_RING_PACKED : 0) };
	struct pair p = { .sw = switch_create("lan") };

	policies_as_at_boot();
	p.a = guest_create(p.sw, &c);
	c.size = 1024;
	p.b = guest_create(p.sw, &c);
	p.a->env.will_flush = true;
	frame_make(frame, 64, 2, 2, 0);
	port_inject(p.b->port, frame, 64);
	drv_receive(p.a, got, sizeof(got));
	drv_publish(&p.a->rx);
	return p;
}

/* The ring turns over while its driver, which finds its buffers by itself, is owed an interrupt; then it sleeps on
 * a full one. */
static void a_ring_turns_while_owed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned once = 1; once <= 16; once++) {
			struct pair p = small_pair(i, 1);
			unsigned before;

			drv_want_interrupt(&p.a->tx, true);
			for (unsigned sent = 0; sent < 18; sent += once) {
				put(&p, once, 100);
				drv_publish(&p.a->tx);
				port_service(p.a->port, 1, VS_BATCH);
				take(&p, 100);
			}
			before = tx_interrupts(&p);
			drv_want_interrupt(&p.a->tx, true);
			put(&p, 16, 100);
			drv_publish(&p.a->tx);
			port_flush(p.a->port, false);
			port_flush(p.a->port, true);
			assert_int_equal(tx_interrupts(&p), before + 1);
			take(&p, 100);
			pair_destroy(&p);
		}
}

/* The kick comes before the ring is full, whatever the packets are made of. */
static void small_ring(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pair p = small_pair(i, 2);

		for (unsigned n = 0; n < 100; n++) {
			frame_make(frame, 100, 2, 1, p.sent++);
			assert_true(drv_send(p.a, NULL, frame, 100, LAYOUT_TWO));
			if (drv_publish(&p.a->tx)) {
				port_kick(p.a->port, 1, VS_BATCH);
				drv_reap(p.a);
			}
		}
		port_flush(p.a->port, false);
		take(&p, 100);
		pair_destroy(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(immediate_notification),
		cmocka_unit_test(batch_limits),
		cmocka_unit_test(batching),
		cmocka_unit_test(flushes),
		cmocka_unit_test(slow_ones),
		cmocka_unit_test(completions_wait),
		cmocka_unit_test(a_ring_turns_while_owed),
		cmocka_unit_test(small_ring),
	};

	return cmocka_run_group_tests_name("vswitch/policy", tests, NULL, NULL);
}
