/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does each policy do what docs/policies.md says, alone, and may it be changed between any
 * two packets without one being lost?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/policy.h"

#define QUOTA 1024u

static uint8_t frame[2048], got[DRV_BUF];

struct pair {
	struct vswitch *sw;
	struct guest *a, *b;
	uint32_t sent, received;
};

static uint64_t count(const struct guest *g, enum stat_id id)
{
	return port_counter(g->port, id);
}

static void policies_as_at_boot(void)
{
#define WORD(id, name, words, initial, example, help) policy_set(POLICY_##id, initial);
#define NUMBER(id, name, least, most, initial, help)  policy_set(POLICY_##id, initial);
	POLICY_WORDS(WORD)
	POLICY_NUMBERS(NUMBER)
#undef WORD
#undef NUMBER
}

/* Packets from a to b, not yet seen by the switch. */
static void put(struct pair *p, unsigned packets, size_t bytes)
{
	for (; packets > 0; packets--) {
		frame_make(frame, bytes, 2, 1, p->sent++);
		assert_true(drv_send(p->a, NULL, frame, bytes, LAYOUT_ONE));
	}
}

/* All that was sent has arrived. */
static void take(struct pair *p, size_t bytes)
{
	for (; p->received < p->sent; p->received++) {
		assert_int_equal(drv_receive(p->b, got, sizeof(got)), bytes + DRV_HDR);
		assert_true(frame_is(got + DRV_HDR, bytes, 2, 1, p->received));
	}
	assert_int_equal(drv_receive(p->b, got, sizeof(got)), 0);
	drv_publish(&p->b->rx);
	drv_reap(p->a);
}

static struct pair pair_create(uint64_t features)
{
	const struct guest_config c = { .name = "g", .size = 1024, .features = features };
	struct pair p = { .sw = switch_create("lan") };

	policies_as_at_boot();
	p.a = guest_create(p.sw, &c);
	p.b = guest_create(p.sw, &c);
	frame_make(frame, 64, 2, 2, 0);
	port_inject(p.b->port, frame, 64);
	drv_receive(p.a, got, sizeof(got));
	drv_publish(&p.a->rx);
	return p;
}

static void pair_destroy(struct pair *p)
{
	assert_true(switch_counters_balance(p->sw));
	guest_destroy(p->a);
	guest_destroy(p->b);
	switch_destroy(p->sw);
	assert_int_equal(env_allocs, 0);
	policies_as_at_boot();
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(immediate_notification),
		cmocka_unit_test(batch_limits),
	};

	return cmocka_run_group_tests_name("vswitch/policy", tests, NULL, NULL);
}
