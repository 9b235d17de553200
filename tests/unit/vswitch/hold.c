/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: with preemptive-copy off, is a packet copied only when its receiver has got a CPU, in order,
 * with no packet lost, and can no receiver hold up a sender for ever?
 */
#include "tests/unit/vswitch/pair.h"

#define MOST_WAITS 4u /* vswitch/hold.c */

static void wake(struct port *port, unsigned queue)
{
	struct env_port *e = port_owner(port);

	(void)queue;
	e->peer = PEER_RUNNABLE;
}

/* A pair with the policy off, whose receiver sleeps, and wakes up at an interrupt. */
static struct pair asleep(uint64_t features)
{
	struct pair p = pair_create(features);

	policy_set(POLICY_preemptive_copy, 0);
	p.b->env.peer = PEER_BLOCKED;
	p.b->env.on_interrupt = wake;
	drv_want_interrupt(&p.b->rx, true);
	return p;
}

static void sends(struct pair *p, unsigned packets)
{
	put(p, packets, 100);
	drv_publish(&p->a->tx);
	port_service(p->a->port, 1, QUOTA);
}

/* The receiver gets a CPU: how many queues wait for it. */
static unsigned arrive(struct guest *g, const struct guest *from)
{
	unsigned before = atomic_load(&from->env.more_work[1]);

	g->env.peer = PEER_RUNNING;
	port_arrive(g->port);
	return atomic_load(&from->env.more_work[1]) - before;
}

static unsigned rx_interrupts(const struct pair *p)
{
	return atomic_load(&p->b->env.interrupts[0]);
}

static void copied_when_it_runs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct pair p = asleep((i & 1 ? VIRTIO_F_RING_PACKED : 0) |
				       (i & 2 ? VIRTIO_F_EVENT_IDX : 0));

		sends(&p, 10);
		assert_int_equal(rx_interrupts(&p), 1);
		assert_int_equal(count(p.b, STAT_rx_packets), 0);
		/* whoever looks meanwhile changes nothing, and no kick is wanted */
		put(&p, 1, 100);
		assert_false(drv_publish(&p.a->tx));
		port_flush(p.a->port, true);
		assert_int_equal(port_service(p.a->port, 1, QUOTA), 0);
		assert_int_equal(rx_interrupts(&p), 1);
		assert_int_equal(count(p.b, STAT_copies), 0);

		assert_int_equal(arrive(p.b, p.a), 1);
		assert_int_equal(port_service(p.a->port, 1, QUOTA), 11);
		take(&p, 100);
		assert_int_equal(arrive(p.b, p.a), 0);
		put(&p, 1, 100);
		assert_true(drv_publish(&p.a->tx)); /* kicks are wanted again */
		port_kick(p.a->port, 1, QUOTA);
		take(&p, 100);
		assert_true(count(p.a, STAT_batches_held) > 0);
		pair_destroy(&p);
	}
}

/* Who does not run soon, or runs, is not waited for. */
static void copied_at_once(void **state)
{
	static const struct {
		uint32_t preemptive;
		enum peer_state peer;
		bool wants, wakes, held;
	} cases[] = {
		{ 0, PEER_BLOCKED, true, true, true },	  { 0, PEER_RUNNABLE, true, true, true },
		{ 0, PEER_RUNNABLE, false, true, true },  { 0, PEER_BLOCKED, false, true, false },
		{ 0, PEER_BLOCKED, true, false, false },  { 0, PEER_RUNNING, true, true, false },
		{ 0, PEER_OFF, true, true, false },	  { 1, PEER_BLOCKED, true, true, false },
		{ 1, PEER_RUNNABLE, false, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p = asleep(VIRTIO_F_EVENT_IDX);

		policy_set(POLICY_preemptive_copy, cases[i].preemptive);
		p.b->env.peer = cases[i].peer;
		p.b->env.on_interrupt = cases[i].wakes ? wake : NULL;
		drv_want_interrupt(&p.b->rx, cases[i].wants);
		sends(&p, 5);
		assert_int_equal(count(p.b, STAT_rx_packets), cases[i].held ? 0 : 5);
		arrive(p.b, p.a);
		port_service(p.a->port, 1, QUOTA);
		take(&p, 100);
		pair_destroy(&p);
	}
}

/* Switched on, it holds for those that wait already. */
static void switched_on(void **state)
{
	struct pair p = asleep(VIRTIO_F_EVENT_IDX);

	(void)state;
	sends(&p, 3);
	policy_set(POLICY_preemptive_copy, 1);
	assert_int_equal(port_service(p.a->port, 1, QUOTA), 3);
	take(&p, 100);
	pair_destroy(&p);
}

/* It wakes up and sleeps again, before anybody has served the queue. */
static void comes_and_goes(void **state)
{
	struct pair p = asleep(VIRTIO_F_EVENT_IDX);
	unsigned rounds = 0;

	(void)state;
	for (sends(&p, 3); count(p.b, STAT_rx_packets) == 0; rounds++) {
		assert_int_equal(arrive(p.b, p.a), 1);
		p.b->env.peer = PEER_BLOCKED;
		port_service(p.a->port, 1, QUOTA);
	}
	assert_int_equal(rounds, MOST_WAITS);
	take(&p, 100);
	/* and the next packets wait again */
	p.b->env.peer = PEER_RUNNABLE;
	sends(&p, 3);
	assert_int_equal(count(p.b, STAT_rx_packets), 3);
	arrive(p.b, p.a);
	port_service(p.a->port, 1, QUOTA);
	take(&p, 100);
	pair_destroy(&p);
}

/* What goes to others, or nowhere, passes only in its place: before, not behind. */
static void order_between_receivers(void **state)
{
	static const uint8_t dst[] = { 2, 3, 0, 2, 0, 3, 2 }; /* 0: too short, dropped */
	struct pair p = asleep(VIRTIO_F_EVENT_IDX);
	const struct guest_config c = { .name = "c", .features = VIRTIO_F_EVENT_IDX };
	struct guest *third = guest_create(p.sw, &c);

	(void)state;
	frame_make(frame, 64, 3, 3, 0);
	port_inject(third->port, frame, 64);
	while (drv_receive(p.b, got, sizeof(got)) != 0 || drv_receive(p.a, got, sizeof(got)) != 0)
		;
	p.b->env.peer = PEER_RUNNING;
	third->env.peer = PEER_RUNNABLE;
	for (size_t i = 0; i < sizeof(dst); i++) {
		frame_make(frame, 100, dst[i], 1, (uint32_t)i);
		assert_true(drv_send(p.a, NULL, frame, dst[i] ? 100 : 13, LAYOUT_TWO));
	}
	drv_publish(&p.a->tx);
	assert_int_equal(port_service(p.a->port, 1, QUOTA), 1);
	assert_int_equal(count(p.b, STAT_rx_packets), 1);
	assert_int_equal(count(p.a, STAT_tx_packets), 1);
	assert_int_equal(count(p.a, STAT_tx_bytes), 100);
	assert_int_equal(port_counter_drops(p.a->port, false), 0);

	p.b->env.peer = PEER_RUNNABLE;
	assert_int_equal(arrive(third, p.a), 1);
	assert_int_equal(port_service(p.a->port, 1, QUOTA), 2);
	assert_int_equal(count(third, STAT_rx_packets), 1);
	assert_int_equal(port_counter_drops(p.a->port, false), 1);
	assert_int_equal(arrive(p.b, p.a), 1);
	assert_int_equal(port_service(p.a->port, 1, QUOTA), 4);
	assert_int_equal(count(p.b, STAT_rx_packets), 3);
	assert_int_equal(count(third, STAT_rx_packets), 2);
	assert_int_equal(port_counter_drops(p.a->port, false), 2);
	assert_int_equal(count(p.a, STAT_tx_bytes), 5 * 100 + 2 * 13);
	guest_destroy(third);
	guest_destroy(p.b);
	guest_destroy(p.a);
	switch_destroy(p.sw);
	policies_as_at_boot();
}

/* Whoever goes away while packets wait: nothing is left behind, nothing hangs. */
static void resets(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct pair p = asleep(VIRTIO_F_EVENT_IDX);

		sends(&p, 3);
		if (i == 0) { /* the receiver: dropped, with a reason */
			port_stop_queue(p.b->port, 0);
			arrive(p.b, p.a);
			assert_int_equal(port_service(p.a->port, 1, QUOTA), 3);
			assert_int_equal(port_counter_drops(p.b->port, true), 3);
		} else { /* the sender: as if never sent; then it comes back */
			guest_reset(p.a);
			p.sent = 0;
			if (i == 2)
				arrive(p.b, p.a);
			sends(&p, 2);
			arrive(p.b, p.a);
			port_service(p.a->port, 1, QUOTA);
			take(&p, 100);
		}
		pair_destroy(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copied_when_it_runs),
		cmocka_unit_test(copied_at_once),
		cmocka_unit_test(switched_on),
		cmocka_unit_test(comes_and_goes),
		cmocka_unit_test(order_between_receivers),
		cmocka_unit_test(resets),
	};

	return cmocka_run_group_tests_name("vswitch/hold", tests, NULL, NULL);
}
