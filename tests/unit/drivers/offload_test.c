/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does offload_parse() find the headers of what a NIC is to do, refuse what makes no sense, and stay
 * within the frame whatever it holds? The frame's memory ends where the frame does: ASan watches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/offload.c"
#include "tests/unit/drivers/frames.h"

enum { ALL = NIC_CSUM | NIC_TSO4 | NIC_TSO6, PAYLOAD = 3000, SEGMENT = 1000 };

static struct nic_frame frame;
static uint8_t *memory;

static void hold(const uint8_t *bytes, uint32_t count)
{
	free(memory);
	memory = malloc(count);
	assert_non_null(memory);
	memcpy(memory, bytes, count);
	frame.bytes = count;
	frame.segments = 1;
	frame.segment[0] = (struct nic_segment){ .data = memory, .bytes = count };
}

static void hold_tcp(bool ipv4, uint16_t segment)
{
	static uint8_t bytes[8192];

	hold(bytes, tcp_frame(bytes, ipv4, PAYLOAD));
	frame.header = tcp_header(ipv4, segment);
}

static void finds_headers(void **state)
{
	struct offload o;

	(void)state;
	for (int ipv4 = 0; ipv4 < 2; ipv4++) {
		hold_tcp(ipv4, SEGMENT);
		assert_true(offload_parse(&frame, ALL, &o));
		assert_true(o.csum && o.tso && o.ipv4 == ipv4);
		assert_int_equal(o.l3, L3);
		assert_int_equal(o.l4, tcp_at(ipv4));
		assert_int_equal(o.csum_at, tcp_at(ipv4) + 16);
		assert_int_equal(o.headers, tcp_at(ipv4) + TCP_BYTES);
		assert_int_equal(o.segment, SEGMENT);
		assert_int_equal(o.payload, PAYLOAD);
		hold_tcp(ipv4, 0);
		assert_true(offload_parse(&frame, NIC_CSUM, &o));
		assert_true(o.csum && !o.tso);
	}
	frame.header = (struct net_header){ .flags = NET_DATA_VALID };
	assert_true(offload_parse(&frame, 0, &o));
	assert_false(o.csum || o.tso);
}

static void refuses_what_was_not_agreed(void **state)
{
	struct offload o;

	(void)state;
	hold_tcp(true, 0);
	assert_false(offload_parse(&frame, 0, &o));
	hold_tcp(true, SEGMENT);
	assert_false(offload_parse(&frame, NIC_CSUM | NIC_TSO6, &o));
	assert_false(offload_parse(&frame, NIC_TSO4, &o));
	hold_tcp(false, SEGMENT);
	assert_false(offload_parse(&frame, NIC_CSUM | NIC_TSO4, &o));
}

/* One byte of a good frame changed (at: from the frame's beginning), or one field of its header */
static void refuses_nonsense(void **state)
{
	static const struct {
		const char *what;
		unsigned at;
		uint8_t value;
	} bytes[] = {
		{ "another type", 13, 0x06 },
		{ "tags without an end", 12, 0x81 },
		{ "IPv6 in IPv4's place", L3, 0x65 },
		{ "an IPv4 header that is shorter", L3, 0x44 },
		{ "an IPv4 header that is longer", L3, 0x46 },
		{ "UDP", L3 + 9, 17 },
		{ "a TCP header of 16 bytes", L3 + 20 + 12, 0x40 },
	};
	static const struct net_header headers[] = {
		{ NET_NEEDS_CSUM, NET_GSO_TCPV4, 66, 0, 34, 16, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_TCPV4, 66, 1000, 34, 6, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_TCPV4, 66, 1000, 35, 16, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_TCPV4, 66, 1000, 13, 16, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_TCPV4, 66, 1000, 0xffff, 16, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_TCPV4, 66, 1000, 34, 0xffff, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_TCPV6, 66, 1000, 34, 16, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_UDP_L4, 66, 1000, 34, 16, 0 },
		{ NET_NEEDS_CSUM, 0x81, 66, 1000, 34, 16, 0 },
		{ 0, NET_GSO_TCPV4, 66, 1000, 34, 16, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_NONE, 0, 0, 3065, 0, 0 },
		{ NET_NEEDS_CSUM, NET_GSO_NONE, 0, 0, 0xffff, 0xffff, 0 },
	};
	struct offload o;

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		hold_tcp(true, SEGMENT);
		memory[bytes[i].at] = bytes[i].value;
		if (offload_parse(&frame, ALL, &o))
			fail_msg("%s was taken", bytes[i].what);
	}
	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		hold_tcp(true, SEGMENT);
		frame.header = headers[i];
		if (offload_parse(&frame, ALL, &o))
			fail_msg("header %u was taken", i);
	}
}

/* Headers that are not all in the first segment */
static void refuses_torn_headers(void **state)
{
	struct offload o;

	(void)state;
	for (uint32_t first = 0; first < 34 + TCP_BYTES; first++) {
		static uint8_t bytes[8192];
		uint32_t count = tcp_frame(bytes, true, PAYLOAD);

		hold(bytes, first ? first : 1);
		frame.bytes = count;
		frame.segment[0].bytes = first;
		frame.header = tcp_header(true, SEGMENT);
		assert_false(offload_parse(&frame, ALL, &o));
	}
}

static void skips_vlan_tags(void **state)
{
	static uint8_t bytes[8192];
	struct offload o;

	(void)state;
	for (uint32_t tags = 1; tags <= 3; tags++) {
		uint32_t count = tcp_frame(bytes + 4 * tags, true, PAYLOAD) + 4 * tags;

		for (uint32_t i = 0; i < tags; i++)
			put16(bytes + 12 + 4 * i, i ? 0x8100 : 0x88a8);
		put16(bytes + 12 + 4 * tags, 0x0800);
		hold(bytes, count);
		frame.header = tcp_header(true, SEGMENT);
		frame.header.csum_start = (uint16_t)(frame.header.csum_start + 4 * tags);
		assert_int_equal(offload_parse(&frame, ALL, &o), tags <= 2);
	}
}

static void stays_within_any_frame(void **state)
{
	static uint8_t bytes[256];
	struct offload o;
	unsigned taken = 0;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 300000; i++) {
		uint32_t count = 14 + (uint32_t)rand() % 120;
		bool ipv4 = rand() & 1;

		(void)tcp_frame(bytes, ipv4, 80);
		for (unsigned n = (unsigned)rand() % 4; n; n--)
			bytes[(unsigned)rand() % count] = (uint8_t)rand();
		hold(bytes, count);
		frame.header = tcp_header(ipv4, 8);
		frame.bytes += (uint32_t)rand() % 3 * 1000;
		if (!(rand() & 3))
			frame.header.csum_start = (uint16_t)((unsigned)rand() % 80);
		if (!offload_parse(&frame, ALL, &o))
			continue;
		taken++;
		assert_true(o.l3 + 20 <= o.l4 && o.l4 + 20 <= o.headers && o.headers <= count);
		assert_int_equal(o.headers + o.payload, frame.bytes);
		offload_clear_lengths(&frame, &o);
	}
	assert_true(taken > 1000);
	free(memory);
	memory = NULL;
}

static void clears_lengths(void **state)
{
	struct offload o;

	(void)state;
	for (int ipv4 = 0; ipv4 < 2; ipv4++) {
		hold_tcp(ipv4, SEGMENT);
		assert_true(offload_parse(&frame, ALL, &o));
		offload_clear_lengths(&frame, &o);
		assert_int_equal(get16(memory + L3 + (ipv4 ? 2 : 4)), 0);
		if (ipv4)
			assert_int_equal(get16(memory + L3 + 10), 0);
		assert_int_equal(get16(memory + o.csum_at), fold(pseudo_sum(memory, ipv4, 0)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_headers),
		cmocka_unit_test(refuses_what_was_not_agreed),
		cmocka_unit_test(refuses_nonsense),
		cmocka_unit_test(refuses_torn_headers),
		cmocka_unit_test(skips_vlan_tags),
		cmocka_unit_test(clears_lengths),
		cmocka_unit_test(stays_within_any_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
