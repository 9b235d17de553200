/* SPDX-License-Identifier: BSD-2-Clause */
/* Two guests on a switch, a sender and a receiver, and what the tests of policies do with them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "tests/unit/vswitch/policies.h"

#define QUOTA 1024u

static uint8_t frame[2048], got[DRV_BUF];

struct pair {
	struct vswitch *sw;
	struct guest *a, *b;
	uint32_t sent, received;
};

static inline uint64_t count(const struct guest *g, enum stat_id id)
{
	return port_counter(g->port, id);
}

/* Packets from a to b, not yet seen by the switch. */
static inline void put(struct pair *p, unsigned packets, size_t bytes)
{
	for (; packets > 0; packets--) {
		frame_make(frame, bytes, 2, 1, p->sent++);
		assert_true(drv_send(p->a, NULL, frame, bytes, LAYOUT_ONE));
	}
}

/* All that was sent has arrived. */
static inline void take(struct pair *p, size_t bytes)
{
	for (; p->received < p->sent; p->received++) {
		assert_int_equal(drv_receive(p->b, got, sizeof(got)), bytes + DRV_HDR);
		assert_true(frame_is(got + DRV_HDR, bytes, 2, 1, p->received));
	}
	assert_int_equal(drv_receive(p->b, got, sizeof(got)), 0);
	drv_publish(&p->b->rx);
	drv_reap(p->a);
}

static inline struct pair pair_create(uint64_t features)
{
	const struct guest_config c = {
		.name = "g", .size = 1024, .per_slot = 2, .features = features
	};
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

static inline void pair_destroy(struct pair *p)
{
	assert_true(switch_counters_balance(p->sw));
	guest_destroy(p->a);
	guest_destroy(p->b);
	switch_destroy(p->sw);
	assert_int_equal(env_allocs, 0);
	policies_as_at_boot();
}

/* Puts packets one by one: the number of those for which the device wanted a kick, which it gets. */
static inline unsigned kicks_for(struct pair *p, unsigned packets)
{
	unsigned kicks = 0;

	for (; packets > 0; packets--) {
		put(p, 1, 100);
		if (!drv_publish(&p->a->tx))
			continue;
		kicks++;
		port_kick(p->a->port, 1, VS_BATCH);
		drv_reap(p->a);
	}
	return kicks;
}

static inline unsigned tx_interrupts(const struct pair *p)
{
	return atomic_load(&p->a->env.interrupts[1]);
}
