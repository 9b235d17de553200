/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: do packets get from one guest to another, whole and in order, whatever features were
 * negotiated and however they lie in memory, with the kicks and interrupts that were asked for?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"

#define QUOTA 1024u

static uint8_t frame[DRV_BUF], got[DRV_BUF * 4];

static uint64_t count(const struct guest *g, enum stat_id id)
{
	return port_counter(g->port, id);
}

static void send_one(struct guest *g, size_t bytes, unsigned dst, unsigned src, uint32_t seed,
		     enum layout layout)
{
	frame_make(frame, bytes, dst, src, seed);
	assert_true(drv_send(g, NULL, frame, bytes, layout));
}

/* Kicks, if the device asked for it. */
static void publish(struct guest *g)
{
	if (drv_publish(&g->tx))
		port_kick(g->port, 1, QUOTA);
}

static void expect_one(struct guest *g, size_t bytes, unsigned dst, unsigned src, uint32_t seed)
{
	assert_int_equal(drv_receive(g, got, sizeof(got)), bytes + DRV_HDR);
	assert_true(frame_is(got + DRV_HDR, bytes, dst, src, seed));
	assert_int_equal(got[0] | got[1], 0);
	drv_publish(&g->rx);
}

/* Guest 2 says who it is, so that guest 1's packets to it are not flooded. */
static void introduce(struct guest *g, unsigned self)
{
	send_one(g, 64, self, self, 0, LAYOUT_ONE);
	publish(g);
	drv_reap(g);
}

struct pair {
	struct vswitch *sw;
	struct guest *a, *b;
};

static struct pair pair_create(const struct guest_config *ca, const struct guest_config *cb)
{
	struct pair p = { .sw = switch_create("lan") };

	p.a = guest_create(p.sw, ca);
	p.b = guest_create(p.sw, cb);
	introduce(p.a, 1);
	introduce(p.b, 2);
	while (drv_receive(p.b, got, sizeof(got)) > 0)
		;
	drv_publish(&p.b->rx);
	return p;
}

static void pair_destroy(struct pair *p)
{
	assert_true(switch_counters_balance(p->sw));
	guest_destroy(p->a);
	guest_destroy(p->b);
	switch_destroy(p->sw);
	assert_int_equal(env_allocs, 0);
}

static const uint64_t feature_bits[] = { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC,
					 VIRTIO_NET_F_MRG_RXBUF, VIRTIO_F_RING_PACKED };

static uint64_t features(unsigned choice)
{
	uint64_t set = 0;

	for (unsigned i = 0; i < 4; i++)
		if (choice >> i & 1)
			set |= feature_bits[i];
	return set;
}

static bool layout_allowed(enum layout layout, uint64_t set)
{
	return (layout != LAYOUT_INDIRECT && layout != LAYOUT_MIXED) ||
	       (set & VIRTIO_F_INDIRECT_DESC);
}

/* Sizes around each border: header pieces, buffer sizes, the largest. */
static void all_sizes(struct pair *p, enum layout tx, uint32_t largest)
{
	static const uint32_t sizes[] = { 14,  15,  20,	  35,	60,   64,   100,  256,
					  500, 501, 1514, 2036, 2037, 4084, 9014, 9018 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (sizes[i] > largest)
			break;
		send_one(p->a, sizes[i], 2, 1, (uint32_t)i, tx);
		publish(p->a);
		assert_int_equal(drv_reap(p->a), 1);
		expect_one(p->b, sizes[i], 2, 1, (uint32_t)i);
	}
}

static void every_combination(void **state)
{
	(void)state;
	for (unsigned fa = 0; fa < 16; fa++)
		for (unsigned fb = 0; fb < 16; fb++)
			for (unsigned l = 0; l < LAYOUT_COUNT * LAYOUT_COUNT; l++) {
				const bool merge = features(fb) & VIRTIO_NET_F_MRG_RXBUF;
				struct guest_config ca = { .name = "a",
							   .size = 64,
							   .features = features(fa) };
				struct guest_config cb = { .name = "b",
							   .size = 256,
							   .features = features(fb) };
				enum layout tx = l % LAYOUT_COUNT;
				struct pair p;

				cb.rx_layout = l / LAYOUT_COUNT;
				cb.rx_bytes = merge ? 512 : 10000;
				if (!layout_allowed(tx, ca.features) ||
				    !layout_allowed(cb.rx_layout, cb.features))
					continue;
				p = pair_create(&ca, &cb);
				all_sizes(&p, tx, 9018);
				pair_destroy(&p);
			}
}

/* More packets than an index has values, in batches of changing size. */
static void indices_wrap(void **state)
{
	struct guest_config c = { .name = "a", .size = 128, .per_slot = 2 };
	uint32_t sent = 0, received = 0;

	(void)state;
	for (unsigned f = 0; f < 16; f++) {
		struct pair p;

		c.features = features(f);
		p = pair_create(&c, &c);
		for (sent = received = 0; sent < 70000;) {
			for (unsigned n = sent % 63 + 1; n > 0; n--)
				send_one(p.a, 64, 2, 1, sent++, LAYOUT_TWO);
			publish(p.a);
			drv_reap(p.a);
			for (; received < sent; received++)
				expect_one(p.b, 64, 2, 1, received);
		}
		assert_int_equal(count(p.a, STAT_tx_packets), sent + 1); /* the introduction */
		assert_int_equal(count(p.b, STAT_rx_packets), sent);
		assert_int_equal(p.b->env.broken[0] + p.a->env.broken[1], 0);
		pair_destroy(&p);
	}
}

static void one_of_each(uint64_t set)
{
	struct guest_config c = { .name = "g", .size = 1024, .features = set };
	struct pair p = pair_create(&c, &c);
	unsigned rx = p.b->env.interrupts[0], tx = p.a->env.interrupts[1];
	uint64_t kicks = count(p.a, STAT_kicks), batches = count(p.a, STAT_batches);

	drv_want_interrupt(&p.b->rx, true);
	drv_want_interrupt(&p.a->tx, true);
	for (unsigned i = 0; i < 64; i++)
		send_one(p.a, 900, 2, 1, i, LAYOUT_ONE);
	publish(p.a);
	assert_int_equal(p.b->env.interrupts[0] - rx, 1);
	assert_int_equal(p.a->env.interrupts[1] - tx, 1);
	assert_int_equal(count(p.a, STAT_kicks) - kicks, 1);
	assert_int_equal(count(p.a, STAT_batches) - batches, 1);
	assert_int_equal(drv_reap(p.a), 64);
	for (unsigned i = 0; i < 64; i++)
		expect_one(p.b, 900, 2, 1, i);
	pair_destroy(&p);
}

static void batch_is_one_of_each(void **state)
{
	(void)state;
	one_of_each(features(7));
	one_of_each(features(15));
}

/* No interrupt when none is wanted, and each counted by the state the receiver was in. */
static void interrupts_by_state(void **state)
{
	static const struct {
		enum peer_state peer;
		bool want;
		enum stat_id id;
	} cases[] = {
		{ PEER_RUNNING, true, STAT_interrupts_running },
		{ PEER_RUNNABLE, true, STAT_interrupts_runnable },
		{ PEER_BLOCKED, true, STAT_interrupts_blocked },
		{ PEER_OFF, true, STAT_interrupts_blocked },
		{ PEER_RUNNING, false, STAT_interrupts_saved },
	};

	(void)state;
	for (unsigned f = 0; f < 16; f++) {
		struct guest_config c = { .name = "g", .features = features(f) };
		struct pair p = pair_create(&c, &c);

		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			uint64_t before = count(p.b, cases[i].id);
			unsigned raised = p.b->env.interrupts[0];

			p.b->env.peer = cases[i].peer;
			drv_want_interrupt(&p.b->rx, cases[i].want);
			send_one(p.a, 64, 2, 1, 0, LAYOUT_ONE);
			publish(p.a);
			drv_reap(p.a);
			expect_one(p.b, 64, 2, 1, 0);
			assert_int_equal(count(p.b, cases[i].id) - before, 1);
			assert_int_equal(p.b->env.interrupts[0] - raised, cases[i].want);
		}
		pair_destroy(&p);
	}
}

/* A kick is asked for when the queue is empty, and not while it is being served or out of quota. */
static void kicks_only_when_idle(void **state)
{
	(void)state;
	for (unsigned f = 0; f < 4; f++) {
		struct guest_config c = { .name = "g",
					  .size = 1024,
					  .features = features(f % 2 | (f / 2) << 3) };
		struct pair p = pair_create(&c, &c);

		send_one(p.a, 64, 2, 1, 0, LAYOUT_ONE);
		send_one(p.a, 64, 2, 1, 1, LAYOUT_ONE);
		assert_true(drv_publish(&p.a->tx));
		assert_int_equal(port_service(p.a->port, 1, 1), 1);
		assert_int_equal(p.a->env.more_work[1], 1);
		send_one(p.a, 64, 2, 1, 2, LAYOUT_ONE);
		assert_false(drv_publish(&p.a->tx));
		assert_int_equal(port_service(p.a->port, 1, 100), 2);
		assert_int_equal(p.a->env.more_work[1], 1);
		send_one(p.a, 64, 2, 1, 3, LAYOUT_ONE);
		assert_true(drv_publish(&p.a->tx));
		assert_int_equal(port_service(p.a->port, 1, 100), 1);
		/* receive buffers never ask for one */
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(drv_receive(p.b, got, sizeof(got)), 64 + DRV_HDR);
		assert_false(drv_publish(&p.b->rx));
		pair_destroy(&p);
	}
}

/* What the driver adds while it is served, without a kick, is found. */
static struct guest *busy_guest;
static unsigned busy_left;

static void send_more(struct port *port, unsigned queue)
{
	(void)port;
	if (queue != 1 || busy_left == 0)
		return;
	busy_left--;
	send_one(busy_guest, 64, 2, 1, busy_left, LAYOUT_ONE);
	drv_publish(&busy_guest->tx);
	/* this CPU serves already, and so would another: both leave it to the one that does */
	assert_int_equal(port_service(busy_guest->port, 1, QUOTA), 0);
}

static void found(uint64_t set)
{
	struct guest_config c = { .name = "g", .size = 1024, .features = set };
	struct pair p = pair_create(&c, &c);

	busy_guest = p.a;
	busy_left = 20;
	p.a->env.on_interrupt = send_more;
	send_one(p.a, 64, 2, 1, 99, LAYOUT_ONE);
	drv_publish(&p.a->tx);
	assert_int_equal(port_service(p.a->port, 1, QUOTA), 21);
	assert_int_equal(drv_reap(p.a), 21);
	p.a->env.on_interrupt = NULL;
	pair_destroy(&p);
}

static void found_without_kick(void **state)
{
	(void)state;
	found(0);
	found(VIRTIO_F_RING_PACKED);
}

static void quota(uint64_t set)
{
	struct guest_config c = { .name = "g", .size = 1024, .features = set };
	struct pair p = pair_create(&c, &c);

	for (unsigned i = 0; i < 100; i++)
		send_one(p.a, 64, 2, 1, i, LAYOUT_ONE);
	drv_publish(&p.a->tx);
	assert_int_equal(port_service(p.a->port, 1, 0), 0);
	assert_int_equal(port_service(p.a->port, 1, 70), 70);
	assert_int_equal(port_service(p.a->port, 1, 70), 30);
	assert_int_equal(port_service(p.a->port, 1, 70), 0);
	assert_int_equal(p.a->env.more_work[1], 2);
	for (unsigned i = 0; i < 100; i++)
		expect_one(p.b, 64, 2, 1, i);
	/* other queues have nothing to serve */
	assert_int_equal(port_service(p.a->port, 0, 70), 0);
	assert_int_equal(port_service(p.a->port, 2, 70), 0);
	pair_destroy(&p);
}

static void quota_is_kept(void **state)
{
	(void)state;
	quota(0);
	quota(VIRTIO_F_RING_PACKED);
}

/* Packed rings of any size, chains of several entries: each border of the ring falls anywhere. */
static void odd_ring_sizes(void **state)
{
	static const unsigned sizes[] = { 1, 2, 3, 5, 7, 100, 255, 1000 };

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		struct guest_config c = { .name = "g", .size = sizes[i / 2] };
		enum layout layout = sizes[i / 2] < 8 ? LAYOUT_ONE : LAYOUT_ODD;
		struct pair p;

		c.features = VIRTIO_F_RING_PACKED | (i % 2 ? VIRTIO_F_EVENT_IDX : 0);
		c.rx_layout = layout;
		p = pair_create(&c, &c);
		for (uint32_t n = 0; n < 5000; n++) {
			send_one(p.a, 60 + n % 40, 2, 1, n, n % 3 ? layout : LAYOUT_ONE);
			publish(p.a);
			assert_int_equal(drv_reap(p.a), 1);
			expect_one(p.b, 60 + n % 40, 2, 1, n);
		}
		pair_destroy(&p);
	}
}

/* A chain of 4 GiB and 11 bytes, which is 513 times the same memory: the average of its bytes is what kicks are
 * reckoned by. */
static void immense_chain(void **state)
{
	const struct guest_config c = { .name = "g", .size = 1024, .per_slot = 2 };
	struct vswitch *sw = switch_create("lan");
	struct guest *g = guest_create(sw, &c);
	uint64_t left = (1ull << 32) + 11;
	uint16_t n = 0;

	(void)state;
	while (left > 0) {
		uint32_t bytes = left < 8u << 20 ? (uint32_t)left : 8u << 20;

		left -= bytes;
		g->tx.desc[n] = (struct drv_desc){ g->mem.extent[0].gpa, bytes,
						   left > 0 ? DESC_NEXT : 0, (uint16_t)(n + 1) };
		n++;
	}
	g->tx.avail[2] = 0;
	atomic_store(&g->tx.avail[1], 1);
	assert_int_equal(port_kick(g->port, 1, VS_BATCH), 1);
	assert_int_equal(port_counter(g->port, STAT_tx_drop_long), 1);
	assert_true(switch_counters_balance(sw));
	guest_destroy(g);
	switch_destroy(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(immense_chain),       cmocka_unit_test(every_combination),
		cmocka_unit_test(indices_wrap),	       cmocka_unit_test(batch_is_one_of_each),
		cmocka_unit_test(interrupts_by_state), cmocka_unit_test(kicks_only_when_idle),
		cmocka_unit_test(found_without_kick),  cmocka_unit_test(quota_is_kept),
		cmocka_unit_test(odd_ring_sizes),
	};

	return cmocka_run_group_tests_name("vswitch/service", tests, NULL, NULL);
}
