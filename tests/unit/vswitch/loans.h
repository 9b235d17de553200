/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest `a`, another, and an uplink to which it sends: what is lent is read as a device would do it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lasthop/uplink.h"
#include "tests/unit/vswitch/driver.h"
#include "tests/unit/vswitch/packet.h"
#include "tests/unit/vswitch/policies.h"
#include "vswitch/gso.h"

enum { A = 1, B = 2, WORLD = 100, EVERYBODY = 0xff, BYTES = 4000 };
#define ALL                                                                                        \
	(VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MRG_RXBUF | OFFLOAD_FEATURES)

static struct vswitch *sw;
static struct guest *up, *a, *b;
static uint8_t frame[DRV_BUF], got[DRV_BUF], whole[DRV_BUF];
static uint32_t sent, received;
static unsigned per_slot; /* descriptors of a packet in rings, at most */
static bool complete;	  /* no port has gone */

static inline struct guest *make(unsigned number, uint64_t features, bool uplink)
{
	const uint8_t mac[6] = { 0x52, 0x54, 0, 0, 0, (uint8_t)number };
	struct guest *g = guest_create(sw, &(struct guest_config){ .name = "g",
								   .mac = mac,
								   .rx_bytes = 2048,
								   .per_slot = per_slot,
								   .features = features,
								   .uplink = uplink });

	frame_make(frame, 64, EVERYBODY, number == 10 ? WORLD : number, 0);
	port_inject(g->port, frame, 64);
	g->env.shares_left = 1000000;
	return g;
}

static inline void drop_all(struct guest *g)
{
	while (drv_receive(g, got, sizeof(got)) != 0)
		;
	drv_publish(&g->rx);
}

static inline void begin(uint64_t uplink, uint64_t sender)
{
	policies_as_at_boot();
	policy_set(POLICY_buffer_reuse, REUSE_ON);
	sw = switch_create("lan");
	up = make(10, uplink, true);
	a = make(A, sender, false);
	b = make(B, ALL, false);
	drop_all(up);
	drop_all(a);
	drop_all(b);
	sent = received = 0;
	complete = true;
}

static inline int setup(void **state)
{
	(void)state;
	per_slot = 8;
	begin(ALL | UPLINK_F_REUSE, ALL);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	assert_true(!complete || switch_counters_balance(sw));
	guest_destroy(a);
	guest_destroy(b);
	guest_destroy(up);
	switch_destroy(sw);
	policies_as_at_boot();
	return env_allocs != 0;
}

static inline uint64_t lent(void)
{
	return port_counter(up->port, STAT_lent);
}

static inline void put(struct guest *g, unsigned to, size_t bytes, enum layout layout)
{
	frame_make(frame, bytes, to, A, sent++);
	assert_true(drv_send(g, NULL, frame, bytes, layout));
}

static inline void serve(struct guest *g)
{
	drv_publish(&g->tx);
	port_service(g->port, 1, 1024);
}

/* The next frame at the uplink, with what a device reads of it, in whole[]: its length with the header. */
static inline size_t take(bool *is_lent)
{
	size_t bytes = drv_receive(up, got, sizeof(got)), at = DRV_HDR;
	struct uplink_piece piece;

	*is_lent = bytes > 0 && got[0] & UPLINK_LENT;
	memcpy(whole, got, sizeof(whole));
	if (!*is_lent)
		return bytes;
	at += pkt_get16((uint8_t[]){ got[3], got[2] });
	for (size_t i = uplink_pieces_at((uint32_t)at - DRV_HDR); i < bytes; i += sizeof(piece)) {
		memcpy(&piece, got + i, sizeof(piece));
		assert_int_not_equal(piece.address, 0);
		assert_true(at + piece.bytes <= sizeof(whole));
		memcpy(whole + at, (const void *)(uintptr_t)piece.address, piece.bytes);
		at += piece.bytes;
	}
	assert_true(bytes <= UPLINK_LENT_BYTES);
	assert_true(at > bytes);
	return at;
}

static inline void expect(size_t bytes, bool want_lent)
{
	bool is_lent;

	assert_int_equal(take(&is_lent), bytes + DRV_HDR);
	assert_int_equal(is_lent, want_lent);
	assert_true(frame_is(whole + DRV_HDR, bytes, WORLD, A, received++));
}

/* The uplink's driver gives back what it took; its kick, if one is asked for; what that means for a. */
static inline bool give_back(void)
{
	bool kick = drv_publish(&up->rx);

	if (kick)
		port_kick(up->port, 0, VS_BATCH);
	if (atomic_exchange(&a->env.more_work[1], 0) > 0)
		port_service(a->port, 1, VS_BATCH);
	return kick;
}
