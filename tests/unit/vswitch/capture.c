/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does a capture tell each packet of a port once, both ways, with what became of it and with its
 * bytes, as many as the counters say; does it count what had no room; and does it end at once? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/capture.h"
#include "vswitch/filter.h"
#include "vswitch/switch_impl.h"

#define ROOM CAPTURE_LEAST /* all that is there in one piece */

static struct vswitch *sw;
static struct guest *a, *b;
static struct capture *of_a, *of_b;
static uint8_t frame[DRV_BUF_GSO], got[DRV_BUF_GSO];
static uint8_t out[ROOM];

/* What was read of a capture last. */
static struct told {
	unsigned records, in, out, dropped;
	struct capture_record last;
	const uint8_t *frame;
	unsigned of[VERDICT_COUNT];
	uint64_t lost; /* by the numbers of all that was read of it */
} told;

static const uint32_t mark = 0x12345678;
static uint32_t next_number[2]; /* of of_a, of_b */

/* All there is, checked for what holds for every record. */
static void hear(struct capture *c)
{
	uint32_t *next = &next_number[c == of_b];
	size_t bytes;

	memset(&told, 0, sizeof(told));
	while ((bytes = capture_read(c, out, sizeof(out))) != 0) {
		for (size_t at = 0; at < bytes; at += told.last.bytes) {
			assert_true(bytes - at >= sizeof(told.last));
			memcpy(&told.last, out + at, sizeof(told.last));
			assert_true(told.last.bytes <= bytes - at && told.last.bytes % 8 == 0);
			assert_int_equal(told.last.bytes, capture_bytes(told.last.kept));
			assert_int_equal(load32(out + at + told.last.bytes - 4), told.last.place);
			assert_int_equal(told.last.mark, mark);
			assert_true(told.last.kept <= told.last.whole);
			assert_true(told.last.verdict < VERDICT_COUNT);
			told.frame = out + at + sizeof(told.last);
			for (size_t i = told.last.kept; i < told.last.bytes - sizeof(told.last) - 4;
			     i++)
				assert_int_equal(told.frame[i], 0);
			told.records++;
			told.in += told.last.direction == CAPTURE_IN;
			told.out += told.last.direction == CAPTURE_OUT;
			told.of[told.last.verdict]++;
			told.dropped += told.last.verdict > VERDICT_FLOODED;
			told.lost += told.last.number - *next;
			*next = told.last.number + 1;
		}
	}
}

static const struct guest_config plain = { .name = "g",
					   .rx_bytes = DRV_BUF,
					   .features = VIRTIO_F_INDIRECT_DESC };

/* Both ports captured, and b's address known. */
static void begin_with(uint32_t snap, const struct guest_config *of_sender)
{
	next_number[0] = next_number[1] = 0;
	env_clock_us = 1000;
	sw = switch_create("lan");
	a = guest_create(sw, of_sender);
	b = guest_create(sw, &plain);
	of_a = capture_create(CAPTURE_LEAST, snap, mark);
	of_b = capture_create(CAPTURE_LEAST, snap, mark);
	assert_non_null(of_a);
	assert_non_null(of_b);
	frame_make(frame, 64, 2, 2, 0);
	port_inject(b->port, frame, 64);
	drv_receive(a, got, sizeof(got));
	drv_publish(&a->rx);
	port_capture(a->port, of_a);
	port_capture(b->port, of_b);
}

static void begin(uint32_t snap)
{
	begin_with(snap, &plain);
}

static void end_all(void)
{
	guest_destroy(a);
	guest_destroy(b);
	capture_destroy(of_a);
	capture_destroy(of_b);
	switch_destroy(sw);
	assert_int_equal(env_allocs, 0);
}

static void end(void)
{
	assert_true(switch_counters_balance(sw));
	end_all();
}

static void send(size_t bytes, unsigned dst, uint32_t seed, enum layout layout)
{
	frame_make(frame, bytes, dst, 1, seed);
	assert_true(drv_send(a, NULL, frame, bytes, layout));
	drv_publish(&a->tx);
	port_kick(a->port, 1, VS_BATCH);
	drv_reap(a);
}

static void receive_all(void)
{
	while (drv_receive(b, got, sizeof(got)) != 0)
		;
	drv_publish(&b->rx);
}

/* Records and counters of a port say the same, but for begin()'s one packet, from b to itself. */
static void balance(struct guest *g, struct capture *c)
{
	hear(c);
	assert_int_equal(told.in + (g == b), port_counter(g->port, STAT_tx_packets));
	assert_int_equal(told.out, port_counter(g->port, STAT_rx_packets) +
					   port_counter_drops(g->port, true));
	assert_int_equal(told.dropped + (g == b),
			 port_counter_drops(g->port, false) + port_counter_drops(g->port, true));
	assert_int_equal(told.lost, 0);
}

static void both_ends(void **state)
{
	static const size_t sizes[] = { 14, 60, 61, 1514, 9018 };

	(void)state;
	begin(VS_MAX_FRAME);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (enum layout l = 0; l < LAYOUT_COUNT; l++) {
			env_clock_us++;
			send(sizes[i], 2, i, l);
			receive_all();
			for (unsigned end_of = 0; end_of < 2; end_of++) {
				hear(end_of ? of_b : of_a);
				assert_int_equal(told.records, 1);
				assert_int_equal(told.of[VERDICT_DELIVERED], 1);
				assert_int_equal(told.last.direction,
						 end_of ? CAPTURE_OUT : CAPTURE_IN);
				assert_int_equal(told.last.kept, sizes[i]);
				assert_int_equal(told.last.whole, sizes[i]);
				assert_int_equal(told.last.pair, 0);
				assert_int_equal(told.last.time_us, env_clock_us);
				assert_true(frame_is(told.frame, sizes[i], 2, 1, i));
			}
		}
	}
	end();
}

static void counters_agree(void **state)
{
	struct filter none = { .nouni = true };

	(void)state;
	begin(64);
	for (unsigned i = 0; i < 20; i++)
		send(100, 2, i, LAYOUT_ONE); /* delivered */
	send(100, 0xff, 0, LAYOUT_ONE);	     /* flooded */
	send(100, 1, 0, LAYOUT_ONE);	     /* unknown, or its own */
	send(13, 2, 0, LAYOUT_ONE);	     /* short */
	send(9019, 2, 0, LAYOUT_ODD);	     /* long */
	for (unsigned i = 0; i < 300; i++)
		send(100, 2, i, LAYOUT_TWO); /* until there are no buffers */
	receive_all();
	port_set_filter(b->port, &none);
	send(100, 2, 0, LAYOUT_ONE); /* filtered */
	port_set_filter(b->port, NULL);
	port_set_link(a->port, false);
	send(100, 2, 0, LAYOUT_ONE); /* unplugged */
	port_set_link(a->port, true);
	port_stop_queue(b->port, 0);
	send(100, 2, 0, LAYOUT_ONE); /* no queue */
	a->tx.avail[1] =
		(uint16_t)(a->tx.avail_idx + 1000); /* breaks its queue, with nothing taken */
	port_kick(a->port, 1, VS_BATCH);
	balance(a, of_a);
	assert_true(told.of[VERDICT_DELIVERED] > 20);
	assert_int_equal(told.of[VERDICT_DROP_SHORT], 1);
	assert_int_equal(told.of[VERDICT_DROP_LONG], 1);
	assert_int_equal(told.of[VERDICT_DROP_FILTERED], 1);
	assert_int_equal(told.of[VERDICT_DROP_UNPLUGGED], 1);
	assert_int_equal(told.of[VERDICT_DROP_LINK_DOWN], 1);
	assert_true(told.of[VERDICT_DROP_NO_BUFFER] > 50);
	balance(b, of_b);
	assert_int_equal(told.of[VERDICT_DROP_FILTERED], 1);
	assert_int_equal(told.of[VERDICT_DROP_LINK_DOWN], 1);
	assert_true(told.of[VERDICT_DROP_NO_BUFFER] > 50);
	end();
}

static void snap_length(void **state)
{
	static const uint32_t snaps[] = { 0, 1, 14, 60, 96 };

	(void)state;
	for (unsigned i = 0; i < sizeof(snaps) / sizeof(snaps[0]); i++) {
		begin(snaps[i]);
		send(200, 2, 7, LAYOUT_ODD);
		frame_make(frame, 200, 2, 1, 7);
		for (unsigned end_of = 0; end_of < 2; end_of++) {
			hear(end_of ? of_b : of_a);
			assert_int_equal(told.records, 1);
			assert_int_equal(told.last.whole, 200);
			assert_int_equal(told.last.kept, snaps[i]);
			assert_memory_equal(told.frame, frame, snaps[i]);
		}
		end();
	}
}

/* A chain that breaks a rule behind packets of the same batch is a record without a frame. */
static void broken_chain(void **state)
{
	(void)state;
	begin(VS_MAX_FRAME);
	frame_make(frame, 100, 2, 1, 1);
	assert_true(drv_send(a, NULL, frame, 100, LAYOUT_ONE));
	assert_true(drv_send(a, NULL, frame, 100, LAYOUT_ONE));
	a->tx.desc[a->tx.avail[2 + 1]].addr = 1ull << 50;
	drv_publish(&a->tx);
	port_kick(a->port, 1, VS_BATCH);
	hear(of_a);
	assert_int_equal(told.records, 2);
	assert_int_equal(told.of[VERDICT_DELIVERED], 1);
	assert_int_equal(told.of[VERDICT_DROP_BROKEN], 1);
	assert_int_equal(told.records, port_counter(a->port, STAT_tx_packets));
	end();
}

/* Nobody reads: what has no room is counted, and the next record that has some tells by its number. */
static void lost(void **state)
{
	uint64_t without;
	unsigned sent = 0, heard;

	(void)state;
	begin(VS_MAX_FRAME);
	for (; sent < CAPTURE_LEAST / 1514 + 10; sent++) {
		send(1514, 2, sent, LAYOUT_ONE);
		receive_all();
		hear(of_b);
		assert_int_equal(told.records, 1);
	}
	assert_int_equal(capture_count(of_a), sent);
	hear(of_a);
	heard = told.records;
	without = sent - heard;
	assert_int_equal(told.lost, 0);
	assert_in_range(heard, CAPTURE_LEAST / 1600, CAPTURE_LEAST / 1514);
	for (unsigned i = 0; i < 5000;
	     i++) { /* many times round the ring, in all places of its end */
		send(60 + i % 700, 2, i, LAYOUT_ONE);
		receive_all();
		if (i % 7 != 0)
			continue;
		hear(of_a);
		assert_true(frame_is(told.frame, told.last.kept, 2, 1, i));
		assert_int_equal(told.lost, i == 0 ? without : 0);
		hear(of_b);
	}
	assert_int_equal(capture_count(of_a), sent + 5000);
	end();
}

/* Of nine records: they were not written at the same place, nor were they the same. */
static void clear_places(uint8_t *bytes, size_t count)
{
	struct capture_record r;

	for (size_t at = 0; at < count; at += r.bytes) {
		memcpy(&r, bytes + at, sizeof(r));
		store32(bytes + at + offsetof(struct capture_record, place), 0);
		store32(bytes + at + offsetof(struct capture_record, number), 0);
		store32(bytes + at + r.bytes - 4, 0);
	}
}

/* A reader may have room for part of a record only: the bytes are the same. */
static void reads_in_pieces(void **state)
{
	static uint8_t whole[4096], pieces[4096];
	size_t bytes, fill = 0;

	(void)state;
	for (size_t room = 1; room < 300; room += 7) {
		begin(100);
		for (unsigned i = 0; i < 9; i++)
			send(90 + i, 2, i, LAYOUT_ONE);
		port_capture(a->port, NULL);
		bytes = capture_read(of_a, whole, sizeof(whole));
		assert_in_range(bytes, 9 * 136, 9 * 144);
		port_capture(a->port, of_a);
		for (unsigned i = 0; i < 9; i++)
			send(90 + i, 2, i, LAYOUT_ONE);
		for (size_t n; (n = capture_read(of_a, pieces + fill, room)) != 0; fill += n)
			assert_true(n <= room);
		assert_int_equal(fill, bytes);
		clear_places(whole, bytes);
		clear_places(pieces, bytes);
		assert_memory_equal(pieces, whole, bytes);
		assert_int_equal(capture_read(of_a, pieces, room), 0);
		fill = 0;
		end();
	}
}

static void ends_at_once(void **state)
{
	(void)state;
	begin(100);
	assert_true(port_captured(a->port, of_a));
	port_capture(a->port, NULL);
	assert_false(port_captured(a->port, of_a));
	assert_false(port_captured(a->port, NULL));
	send(100, 2, 0, LAYOUT_ONE);
	hear(of_a);
	assert_int_equal(told.records, 0);
	hear(of_b);
	assert_int_equal(told.records, 1);
	port_retire(b->port); /* lets go by itself, and takes no other */
	assert_false(port_captured(b->port, of_b));
	port_capture(b->port, of_b);
	assert_false(port_captured(b->port, of_b));
	end_all();
}

static void no_such_ring(void **state)
{
	(void)state;
	assert_null(capture_create(CAPTURE_LEAST / 2, 100, mark));
	assert_null(capture_create(CAPTURE_MOST * 2, 100, mark));
	assert_null(capture_create(CAPTURE_LEAST + 8, 100, mark));
	assert_null(capture_create(0, 100, mark));
	env_alloc_fail = 0;
	assert_null(capture_create(CAPTURE_LEAST, 100, mark));
	env_alloc_fail = -1;
	capture_destroy(NULL);
	assert_int_equal(env_allocs, 0);
}

/* A large frame: one record where it comes in, one for each segment where it goes out. */
static void segments(void **state)
{
	static const struct guest_config sender = { .name = "a",
						    .slot_bytes = DRV_BUF_GSO,
						    .features = VIRTIO_NET_F_CSUM |
								VIRTIO_NET_F_HOST_USO };
	uint8_t hdr[DRV_HDR] = { 1, 5, 42, 0, 0xe8, 3, 34, 0, 6, 0 }; /* USO, 1000 bytes each */
	uint32_t bytes = 14 + 20 + 8 + 4500;

	(void)state;
	begin_with(VS_MAX_FRAME, &sender);
	frame_make(frame, bytes, 2, 1, 3);
	memcpy(frame + 12, (const uint8_t[]){ 8, 0, 0x45, 0 }, 4);
	store_be16(frame + 16, (uint16_t)(bytes - 14));
	memcpy(frame + 18, (const uint8_t[]){ 0, 1, 0, 0, 64, 17 }, 6);
	store_be16(frame + 38, (uint16_t)(bytes - 34));
	assert_true(drv_send(a, hdr, frame, bytes, LAYOUT_TWO));
	drv_publish(&a->tx);
	port_kick(a->port, 1, VS_BATCH);
	hear(of_a);
	assert_int_equal(told.records, 1);
	assert_int_equal(told.last.whole, bytes);
	assert_int_equal(told.last.verdict, VERDICT_DELIVERED);
	hear(of_b);
	assert_int_equal(told.records, 5);
	assert_int_equal(told.last.whole, 42 + 500);
	assert_memory_equal(told.frame + 42, frame + 42 + 4000, 500);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends),	cmocka_unit_test(counters_agree),
		cmocka_unit_test(snap_length),	cmocka_unit_test(broken_chain),
		cmocka_unit_test(lost),		cmocka_unit_test(reads_in_pieces),
		cmocka_unit_test(ends_at_once), cmocka_unit_test(no_such_ring),
		cmocka_unit_test(segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
