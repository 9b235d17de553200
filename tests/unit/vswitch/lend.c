/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does a packet that is lent to a driver domain arrive whole, does its sender get the buffer back
 * when the domain has given it back and not before, and always in the end, whoever of the two starts anew
 * meanwhile, and whatever a hostile domain gives back?
 */
#include "tests/unit/vswitch/loans_hostile.h"

static void whole_and_withheld(void **state)
{
	unsigned n = 0;

	(void)state;
	for (enum layout layout = 0; layout < LAYOUT_COUNT; layout++, n++)
		put(a, WORLD, BYTES, layout);
	serve(a);
	assert_int_equal(lent(), n);
	assert_int_equal(drv_reap(a), 0);
	for (unsigned i = 0; i < n; i++)
		expect(BYTES, true);
	assert_int_equal(drv_reap(a), 0);
	assert_true(up->env.shared > 0);
	assert_true(give_back());
	assert_int_equal(drv_reap(a), n);
	assert_int_equal(up->env.shared, 0);
	assert_int_equal(port_counter(up->port, STAT_lent_bytes), n * BYTES);
	assert_int_equal(port_counter(up->port, STAT_lent_mapped), n); /* a piece each: see env.c */
	assert_int_equal(port_counter(up->port, STAT_lent_flushes), n);
	assert_int_equal(port_counter(a->port, STAT_tx_delivered), n);
}

/* The same for senders with packed rings, whose used entries come out of turn as well. */
static void packed_sender(void **state)
{
	uint16_t turn = 0;

	(void)state;
	teardown(state);
	begin(ALL | UPLINK_F_REUSE, ALL | VIRTIO_F_RING_PACKED);
	for (unsigned i = 0; i < 300; i++) {
		put(a, WORLD, BYTES, LAYOUT_ODD);
		put(a, WORLD, 100, LAYOUT_TWO);
		put(a, WORLD, BYTES + 1, LAYOUT_INDIRECT);
		serve(a);
		assert_int_equal(drv_reap(a), 1);
		expect(BYTES, true);
		expect(100, false);
		expect(BYTES + 1, true);
		give_back();
		assert_int_equal(drv_reap(a), 2);
		turn |= (uint16_t)(1u << (a->tx.avail_idx >> 15));
	}
	assert_int_equal(turn, 3); /* round the ring */
}

static void out_of_turn(void **state)
{
	(void)state;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	put(a, WORLD, 64, LAYOUT_TWO);
	put(a, B, BYTES, LAYOUT_TWO);
	serve(a);
	assert_int_equal(drv_reap(a), 2);
	expect(BYTES, true);
	expect(64, false);
	give_back();
	assert_int_equal(drv_reap(a), 1);
	drop_all(b);
}

/* What is seen on the way to the next packet needs no kick and no further service. */
static void found_by_the_next_packet(void **state)
{
	(void)state;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, true);
	drv_publish(&up->rx);
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	assert_int_equal(a->env.more_work[1], 0);
	assert_int_equal(drv_reap(a), 1);
	expect(BYTES, true);
	give_back();
	assert_int_equal(drv_reap(a), 1);
}

/* However few buffers come back at a time, the last one comes with a kick. */
static void kicks_until_the_last(void **state)
{
	unsigned kicks = 0, reaped = 0;

	(void)state;
	for (unsigned i = 0; i < 13; i++)
		put(a, WORLD, BYTES, LAYOUT_INDIRECT);
	serve(a);
	for (unsigned i = 0; i < 13; i++) {
		expect(BYTES, true);
		kicks += give_back();
		reaped += drv_reap(a);
	}
	assert_int_equal(reaped, 13);
	assert_int_equal(kicks, 4); /* 7, 3, 2 and 1 of them */
	/* and then none is asked for */
	put(a, WORLD, 64, LAYOUT_TWO);
	serve(a);
	expect(64, false);
	assert_false(give_back());
}

static void copied(void **state)
{
	uint8_t header[PKT_HDR];
	struct pkt_kind kind = { 0 };
	bool is_lent;

	(void)state;
	policy_set(POLICY_buffer_reuse, REUSE_OFF);
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, false);
	policy_set(POLICY_buffer_reuse, REUSE_ON);
	up->env.shares_left = 0;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, false);
	up->env.shares_left = 100;
	frame_make(frame, BYTES, WORLD, A, sent++);
	port_inject(a->port, frame, BYTES);
	expect(BYTES, false);
	put(a, EVERYBODY, BYTES, LAYOUT_TWO);
	serve(a);
	assert_int_equal(take(&is_lent), BYTES + DRV_HDR);
	assert_false(is_lent);
	/* a checksum that is to be made on the way */
	port_set_guest_offloads(up->port, 0);
	pkt_header(header, &kind, 0);
	assert_true(drv_send(a, header, frame, pkt_make(frame, &kind, WORLD, A, 3000, 1, 0),
			     LAYOUT_TWO));
	serve(a);
	assert_int_equal(take(&is_lent), pkt_headers(&kind) + 3000 + DRV_HDR);
	assert_false(is_lent);
	assert_int_equal(drv_reap(a), 4);
	assert_int_equal(lent(), 0);
	drop_all(b);
}

/* A driver that has not accepted it, or has a packed ring. */
static void other_drivers(void **state)
{
	const uint64_t features[] = { ALL, ALL | VIRTIO_F_RING_PACKED | UPLINK_F_REUSE };

	for (unsigned i = 0; i < 2; i++) {
		teardown(state);
		begin(features[i], ALL);
		put(a, WORLD, BYTES, LAYOUT_TWO);
		serve(a);
		expect(BYTES, false);
		assert_int_equal(drv_reap(a), 1);
	}
}

static void segmented_by_the_nic(void **state)
{
	const struct pkt_kind kind = { .tcp_options = 12 };
	uint8_t header[PKT_HDR];
	bool is_lent;
	uint32_t bytes;

	(void)state;
	pkt_header(header, &kind, 1448);
	bytes = pkt_make(frame, &kind, WORLD, A, 16000, 5, PKT_ACK);
	assert_true(drv_send(a, header, frame, bytes, LAYOUT_INDIRECT));
	serve(a);
	assert_int_equal(take(&is_lent), bytes + DRV_HDR);
	assert_true(is_lent);
	assert_int_equal(whole[0], PKT_NEEDS_CSUM | UPLINK_LENT);
	assert_int_equal(whole[1], PKT_TCPV4);
	assert_int_equal(whole[10], 1); /* num_buffers */
	assert_memory_equal(whole + DRV_HDR, frame, bytes);
	assert_int_equal(port_counter(up->port, STAT_gso_whole), 1);
	give_back();
	assert_int_equal(drv_reap(a), 1);
}

/* A domain that keeps all has half of the ring; the rest goes on serving. */
static void withheld(void **state)
{
	unsigned held;

	teardown(state);
	per_slot = 2;
	begin(ALL | UPLINK_F_REUSE, ALL);
	held = a->tx.size / 2 / 2; /* two descriptors each */
	for (unsigned i = 0; i < 3 * a->tx.slots; i++) {
		put(a, i % 2 ? B : WORLD, BYTES, LAYOUT_TWO);
		serve(a);
		drv_reap(a);
		drop_all(b);
	}
	assert_int_equal(lent(), held);
	assert_int_equal(a->tx.free_count, a->tx.slots - held);
	assert_int_equal(port_counter(up->port, STAT_rx_drop_no_buffer) > 0, 1);
}

/* A domain keeps all that was lent to it: the sender is told all the same of what others have taken. */
static void withheld_and_asleep(void **state)
{
	for (unsigned packed = 0; packed < 2; packed++) {
		unsigned slots = packed ? 2 : 1, held, before;

		teardown(state);
		per_slot = 2;
		begin(ALL | UPLINK_F_REUSE, ALL | (packed ? VIRTIO_F_RING_PACKED : 0));
		held = a->tx.size / 2 / 2;
		for (unsigned i = 0; i < held; i++)
			put(a, WORLD, BYTES, LAYOUT_TWO);
		serve(a);
		assert_int_equal(lent(), held);
		for (unsigned round = 0; round < 4; round++) { /* also round the ring */
			for (unsigned i = 0; i < held / 2; i++)
				put(a, B, 64, LAYOUT_TWO);
			want_interrupt_late(&a->tx, slots * (held + held / 2));
			before = a->env.interrupts[1];
			serve(a);
			assert_int_equal(a->env.interrupts[1], before + 1);
			assert_int_equal(drv_reap(a), held / 2);
			drop_all(b);
		}
		while (drv_receive(up, got, sizeof(got)) != 0)
			;
		want_interrupt_late(&a->tx, slots * held);
		before = a->env.interrupts[1];
		give_back();
		assert_int_equal(a->env.interrupts[1], before + 1);
		assert_int_equal(drv_reap(a), held);
	}
}

static void uplink_restarts(void **state)
{
	(void)state;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, true);
	port_detach(up->port);
	assert_int_equal(up->env.shared, 0);
	assert_int_equal(up->env.reclaimed, 1);
	assert_true(a->env.more_work[1] > 0);
	port_service(a->port, 1, VS_BATCH);
	assert_int_equal(drv_reap(a), 2);
	port_attach(up->port, &up->mem, &up->env);
	guest_reset(up);
	received = sent;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, true);
	give_back();
	assert_int_equal(drv_reap(a), 1);
}

static void sender_restarts(void **state)
{
	(void)state;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, true);
	guest_reset(a);
	assert_int_equal(a->env.revoked, 1);
	assert_true(up->env.shared > 0); /* the NIC may still have it */
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, true);
	give_back(); /* both of them */
	assert_int_equal(up->env.shared, 0);
	assert_int_equal(drv_reap(a), 1);
	assert_int_equal(a->tx.free_count, a->tx.slots);
	guest_reset(a);
	assert_int_equal(a->env.revoked, 1); /* nothing was out */
}

/* Others' loans, of the same VM or not, are theirs still. */
static void another_sender_restarts(void **state)
{
	(void)state;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, true);
	put(b, WORLD, BYTES, LAYOUT_TWO);
	serve(b);
	expect(BYTES, true);
	assert_int_equal(up->env.shared, 2);
	guest_reset(b);
	assert_int_equal(up->env.disowned, 1);
	give_back();
	assert_int_equal(up->env.shared, 0);
	assert_int_equal(up->env.disowned, 0); /* as such they were given back */
	assert_int_equal(drv_reap(a), 1);
	/* and when the uplink's driver starts anew */
	put(b, WORLD, BYTES, LAYOUT_TWO);
	serve(b);
	guest_reset(b);
	assert_int_equal(up->env.disowned, 1);
	guest_reset(up);
	assert_int_equal(up->env.shared, 0);
	assert_int_equal(up->env.disowned, 0);
}

static void sender_goes(void **state)
{
	(void)state;
	put(b, WORLD, BYTES, LAYOUT_TWO);
	serve(b);
	expect(BYTES, true);
	complete = false;
	port_retire(b->port);
	assert_int_equal(b->env.revoked, 1);
	give_back();
	assert_int_equal(up->env.shared, 0);
}

/* The same descriptor twice, others' and none at all: each chain comes back once. */
static void hostile_returns(void **state)
{
	uint16_t first = *offered(0), third = *offered(2);

	(void)state;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	offer(0xffff);
	offer(third); /* the switch has it already, and nothing is lent by it */
	assert_int_equal(drv_reap(a), 0);
	offer(first);
	assert_int_equal(drv_reap(a), 1);
	offer(first);
	assert_int_equal(drv_reap(a), 0);
	assert_int_equal(up->env.shared, 1);
	/* an index that goes back and comes again */
	up->rx.avail[1] = (uint16_t)(up->rx.avail_idx - 3);
	port_kick(up->port, 0, VS_BATCH);
	up->rx.avail[1] = up->rx.avail_idx;
	port_kick(up->port, 0, VS_BATCH);
	assert_int_equal(drv_reap(a), 0);
	guest_reset(up);
	port_service(a->port, 1, VS_BATCH);
	assert_int_equal(drv_reap(a), 1);
	assert_int_equal(up->env.shared, 0);
}

/* It changes what it has offered after that was searched: a descriptor that is lent is taken again. */
static void hostile_change(void **state)
{
	uint16_t first = *offered(0);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		put(a, WORLD, BYTES, LAYOUT_TWO);
		serve(a);
		*offered(0) = first;
	}
	port_service(a->port, 1, VS_BATCH);
	assert_int_equal(drv_reap(a), 3);
	assert_int_equal(up->env.shared, 1);
	guest_reset(up);
	port_service(a->port, 1, VS_BATCH);
	assert_int_equal(drv_reap(a), 1);
}

/* A packet for which there is no room in its buffer is not shared any more, and its chain comes back at once. */
static void shared_in_vain(void **state)
{
	(void)state;
	teardown(state);
	begin((ALL & ~VIRTIO_NET_F_MRG_RXBUF) | UPLINK_F_REUSE, ALL);
	up->rx.buf_bytes = 256;
	guest_reset(up);
	put(a, WORLD, BYTES, LAYOUT_ONE);
	serve(a);
	assert_int_equal(up->env.shares, 1);
	assert_int_equal(up->env.shared, 0);
	assert_int_equal(lent(), 0);
	assert_int_equal(drv_reap(a), 1);
}

/* What cannot be lent is not shared before that is known: its link is down, */
static void unplugged(void **state)
{
	(void)state;
	port_set_link(up->port, false);
	put(a, WORLD, BYTES, LAYOUT_ONE);
	serve(a);
	assert_int_equal(drv_reap(a), 1);
	assert_int_equal(up->env.shares, 0);
}

/* ... or it lies in more pieces than a loan has room for, */
static void in_many_pieces(void **state)
{
	struct drv_desc *table = guest_alloc(a, 24 * sizeof(*table), 16);
	struct drv_desc *d;

	(void)state;
	for (unsigned n = UPLINK_PIECES; n <= UPLINK_PIECES + 1; n++) {
		uint64_t rest = DRV_HDR + BYTES - HEAD_ROOM;
		struct drv_desc whole_packet;

		put(a, WORLD, BYTES, LAYOUT_ONE);
		d = &a->tx.desc[a->tx.avail[2 + ((a->tx.avail_idx - 1) & (a->tx.size - 1))]];
		whole_packet = *d;
		/* the headers, then n pieces */
		table[0] = (struct drv_desc){ d->addr, HEAD_ROOM, DESC_NEXT, 1 };
		for (unsigned i = 1; i <= n; i++) {
			table[i].addr = d->addr + HEAD_ROOM + (i - 1) * 64;
			table[i].len = i < n ? 64 : (uint32_t)rest - (n - 1) * 64;
			table[i].flags = i < n ? DESC_NEXT : 0;
			table[i].next = (uint16_t)(i + 1);
		}
		d->addr = guest_gpa(a, table);
		d->len = (uint32_t)((n + 1) * sizeof(*table));
		d->flags = DESC_INDIRECT;
		serve(a);
		*d = whole_packet;
		expect(BYTES, n == UPLINK_PIECES);
		give_back();
		assert_int_equal(drv_reap(a), 1);
		assert_int_equal(up->env.shares, 1);
	}
}

/* ... or there is no buffer for it. */
static void without_buffers(void **state)
{
	unsigned reaped = 0;

	(void)state;
	for (unsigned i = 0; i < up->rx.slots + 3; i++) {
		put(a, WORLD, i < up->rx.slots - 1 ? 64 : BYTES, LAYOUT_ONE);
		serve(a);
		reaped += drv_reap(a);
	}
	assert_int_equal(lent(), 1);
	assert_int_equal(up->env.shared, 1);
	assert_int_equal(up->env.shares, 1);
	assert_int_equal(reaped, sent - 1);
}

static void no_memory(void **state)
{
	(void)state;
	env_alloc_fail = 0;
	guest_reset(up);
	env_alloc_fail = -1;
	put(a, WORLD, BYTES, LAYOUT_TWO);
	serve(a);
	expect(BYTES, false);
	assert_int_equal(drv_reap(a), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whole_and_withheld),
		TEST(packed_sender),
		TEST(out_of_turn),
		TEST(found_by_the_next_packet),
		TEST(kicks_until_the_last),
		TEST(copied),
		TEST(other_drivers),
		TEST(segmented_by_the_nic),
		TEST(withheld),
		TEST(withheld_and_asleep),
		TEST(uplink_restarts),
		TEST(sender_restarts),
		TEST(another_sender_restarts),
		TEST(sender_goes),
		TEST(hostile_returns),
		TEST(hostile_change),
		TEST(shared_in_vain),
		TEST(unplugged),
		TEST(in_many_pieces),
		TEST(without_buffers),
		TEST(no_memory),
	};

	return cmocka_run_group_tests_name("lend", tests, NULL, NULL);
}
