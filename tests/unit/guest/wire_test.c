/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Are frames built as the RFCs want, is every damaged byte of one found, in whatever pieces it
 * arrives, and is ARP answered rightly?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/bench/checksum.c"
#include "guest/bench/wire.c"

static const struct wire_end alice = { { 2, 0, 0, 0, 0, 1 }, 0x0a000001 };
static const struct wire_end bob = { { 2, 0, 0, 0, 0, 2 }, 0x0a000002 };

static uint8_t bytes[WIRE_MAX_LARGE];
static struct net_header header;

static int setup(void **state)
{
	(void)state;
	wire_init();
	return 0;
}

static void build(uint32_t n, uint16_t port)
{
	struct wire_stamp stamp = { .magic = WIRE_MAGIC, .session = 7, .sequence = 42 };

	wire_headers(bytes, n, &alice, &bob, port);
	memcpy(bytes + WIRE_HEADERS, &stamp, sizeof(stamp));
	memcpy(bytes + WIRE_HEADERS + WIRE_STAMP, wire_pattern, n - WIRE_HEADERS - WIRE_STAMP);
	wire_seal(bytes, wire_udp_sum(bytes, n));
}

/* The frame in pieces: the first one of first bytes, the others of step. */
static struct net_frame cut(uint32_t n, uint32_t first, uint32_t step)
{
	struct net_frame f = { .header = &header, .bytes = n };
	uint32_t at = 0;

	while (at < n) {
		uint32_t part = f.segments ? step : first;

		if (part > n - at || f.segments == NET_MAX_SEGMENTS - 1)
			part = n - at;
		f.segment[f.segments++] = (struct net_segment){ .data = bytes + at, .bytes = part };
		at += part;
	}
	return f;
}

static enum wire_kind kind(uint32_t n)
{
	struct net_frame f = cut(n, n, 0);

	return wire_check(&f, &bob);
}

static void a_known_packet(void **state)
{
	static const uint8_t wanted[WIRE_HEADERS] = {
		2,    0, 0,  0,	   0, 2, 2,    0,    0,	   0,	 0,    1,    8,	 0, /* Ethernet */
		0x45, 0, 0,  0x2e, 0, 0, 0x40, 0,    0x40, 0x11, 0x26, 0xbd, 10, 0,
		0,    1, 10, 0,	   0, 2, 0x4c, 0x49, 0x4c, 0x49, 0,    0x1a, 0,	 0, /* UDP */
	};

	(void)state;
	wire_headers(bytes, 60, &alice, &bob, PORT_STREAM);
	assert_memory_equal(bytes, wanted, sizeof(wanted));
}

static void kinds(void **state)
{
	(void)state;
	build(64, PORT_STREAM);
	assert_int_equal(kind(64), WIRE_STREAM);
	build(WIRE_MAX_FRAME, PORT_RR);
	assert_int_equal(kind(WIRE_MAX_FRAME), WIRE_RR);
	build(138, PORT_CONTROL);
	assert_int_equal(kind(138), WIRE_CONTROL);
	build(64, 9);
	assert_int_equal(kind(64), WIRE_FOREIGN);
	build(64, PORT_STREAM);
	assert_int_equal(kind(40), WIRE_FOREIGN);
	assert_int_equal(kind(60), WIRE_DAMAGED); /* cut off */
}

static void every_split(void **state)
{
	(void)state;
	for (uint32_t n = 1500; n < 1502; n++) {
		build(n, PORT_STREAM);
		for (uint32_t first = WIRE_HEADERS; first < 100; first++) {
			for (uint32_t step = 210; step < 260; step++) {
				struct net_frame f = cut(n, first, step);
				struct wire_stamp stamp;

				assert_int_equal(wire_check(&f, &bob), WIRE_STREAM);
				assert_true(wire_pattern_ok(&f));
				assert_true(wire_copy(&f, WIRE_HEADERS, &stamp, sizeof(stamp)));
				assert_int_equal(stamp.sequence, 42);
				assert_false(wire_copy(&f, n - 8, &stamp, sizeof(stamp)));
			}
		}
	}
}

static void every_damaged_bit(void **state)
{
	(void)state;
	build(128, PORT_STREAM);
	for (unsigned bit = 0; bit < 128 * 8; bit++) {
		enum wire_kind k;

		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		k = kind(128);
		/* The sender's MAC is covered by nothing but the FCS */
		if (bit / 8 >= 6 && bit / 8 < 12)
			assert_int_equal(k, WIRE_STREAM);
		else
			assert_int_equal(k, bit / 8 < 14 ? WIRE_FOREIGN : WIRE_DAMAGED);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void words_that_changed_places(void **state)
{
	struct net_frame f;
	uint8_t *at = bytes + 100;

	(void)state;
	build(1514, PORT_STREAM);
	swap(at, at + 2, 2);
	f = cut(1514, 1514, 0);
	assert_int_equal(wire_check(&f, &bob), WIRE_STREAM); /* the checksum cannot see it */
	assert_false(wire_pattern_ok(&f));
}

static void the_sum_without_the_sequence_number(void **state)
{
	(void)state;
	for (uint64_t n = 1; n; n <<= 3) {
		uint64_t zero = 0, sum;

		build(256, PORT_STREAM);
		memcpy(bytes + WIRE_HEADERS + 8, &zero, 8);
		bytes[UDP_CHECKSUM] = bytes[UDP_CHECKSUM + 1] = 0;
		sum = wire_udp_sum(bytes, 256);
		memcpy(bytes + WIRE_HEADERS + 8, &n, 8);
		wire_seal(bytes, checksum_plus(sum, n));
		assert_int_equal(kind(256), WIRE_STREAM);
	}
}

/* What comes whole has no checksum but that of the pseudo header: the pattern tells. */
static void large(void **state)
{
	struct net_frame f = { 0 };

	(void)state;
	build(WIRE_MAX_LARGE, PORT_STREAM);
	assert_int_equal(kind(WIRE_MAX_LARGE), WIRE_STREAM);
	wire_seal_partial(bytes);
	assert_int_equal(kind(WIRE_MAX_LARGE), WIRE_DAMAGED);
	header.flags = NET_NEEDS_CSUM;
	assert_int_equal(kind(WIRE_MAX_LARGE), WIRE_STREAM);
	f = cut(WIRE_MAX_LARGE, 4084, 4096);
	assert_int_equal(wire_check(&f, &bob), WIRE_STREAM);
	assert_true(wire_pattern_ok(&f));
	bytes[60000] ^= 1;
	assert_false(wire_pattern_ok(&f));
	header.flags = 0;
}

static void turned_round(void **state)
{
	struct wire_end from;
	struct net_frame f;

	(void)state;
	build(200, PORT_RR);
	wire_turn(bytes);
	f = cut(200, 200, 0);
	assert_int_equal(wire_check(&f, &alice), WIRE_RR);
	assert_int_equal(wire_check(&f, &bob), WIRE_FOREIGN);
	wire_sender(&f, WIRE_RR, &from);
	assert_memory_equal(from.mac, bob.mac, 6);
	assert_int_equal(from.ip, bob.ip);
}

static void arp(void **state)
{
	struct net_frame f;
	struct wire_end from;

	(void)state;
	wire_arp(bytes, true, &alice, &bob);
	f = cut(WIRE_ARP_FRAME, WIRE_ARP_FRAME, 0);
	assert_int_equal(wire_check(&f, &bob), WIRE_ARP);
	assert_true(wire_arp_asks(&f, &bob));
	assert_false(wire_arp_asks(&f, &alice));
	wire_sender(&f, WIRE_ARP, &from);
	assert_memory_equal(from.mac, alice.mac, 6);
	assert_int_equal(from.ip, alice.ip);

	wire_arp(bytes, false, &bob, &from);
	assert_int_equal(wire_check(&f, &alice), WIRE_ARP);
	assert_int_equal(wire_check(&f, &bob), WIRE_FOREIGN);
	assert_false(wire_arp_asks(&f, &alice));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_known_packet),
		cmocka_unit_test(kinds),
		cmocka_unit_test(every_split),
		cmocka_unit_test(every_damaged_bit),
		cmocka_unit_test(words_that_changed_places),
		cmocka_unit_test(the_sum_without_the_sequence_number),
		cmocka_unit_test(large),
		cmocka_unit_test(turned_round),
		cmocka_unit_test(arp),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
