/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the switch take exactly the packets that the virtio-net and Ethernet headers
 * allow? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "vswitch/copy.h"
#include "vswitch/frame.h"

static void lengths(void **state)
{
	static const struct {
		uint64_t bytes;
		uint32_t mtu;
		enum verdict want;
	} cases[] = {
		{ 0, 1500, VERDICT_DROP_BAD_HEADER },	{ 11, 1500, VERDICT_DROP_BAD_HEADER },
		{ 12, 1500, VERDICT_DROP_SHORT },	{ 25, 1500, VERDICT_DROP_SHORT },
		{ 26, 1500, VERDICT_DELIVERED },	{ 12 + 1518, 1500, VERDICT_DELIVERED },
		{ 12 + 1519, 1500, VERDICT_DROP_LONG }, { 12 + 9018, 9000, VERDICT_DELIVERED },
		{ 12 + 9019, 9000, VERDICT_DROP_LONG }, { UINT64_MAX, 65535, VERDICT_DROP_LONG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(frame_check_length(cases[i].bytes, cases[i].mtu + ETH_SLACK),
				 cases[i].want);
}

static void headers(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
		enum verdict want;
	} cases[] = {
		{ 0, 0xff, VERDICT_DELIVERED }, /* the virtio-net header: see gso.c */
		{ 1, 0xff, VERDICT_DELIVERED },
		{ 12, 0xff, VERDICT_DELIVERED },       /* destination: a group */
		{ 18, 0x53, VERDICT_DROP_BAD_SOURCE }, /* source: a group */
		{ 24, 0xff, VERDICT_DELIVERED },       /* type: any */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t head[HEAD_BYTES] = { [18] = 0x52, [23] = 1 };

		head[cases[i].at] = cases[i].value;
		assert_int_equal(frame_check_head(head), cases[i].want);
	}
}

static void zero_source(void **state)
{
	const uint8_t head[HEAD_BYTES] = { 0 };

	(void)state;
	assert_int_equal(frame_check_head(head), VERDICT_DROP_BAD_SOURCE);
}

static void addresses(void **state)
{
	uint8_t head[HEAD_BYTES] = { 0 };

	(void)state;
	memcpy(head + 12, "\x01\x02\x03\x04\x05\x06\x0a\x0b\x0c\x0d\x0e\x0f", 12);
	assert_int_equal(frame_dst(head), 0x010203040506);
	assert_int_equal(frame_src(head), 0x0a0b0c0d0e0f);
	assert_true(mac_is_group(frame_dst(head)));
	assert_false(mac_is_group(frame_src(head)));
}

static void rx_header(void **state)
{
	uint8_t head[HEAD_BYTES], want[12] = { [10] = 0x34, [11] = 0x12 };

	(void)state;
	memset(head, 0xee, sizeof(head));
	frame_clear_rx_header(head);
	frame_set_num_buffers(head, 0x1234);
	assert_memory_equal(head, want, 12);
	assert_int_equal(head[12], 0xee);
}

/* Every way to cut a source and a target into three pieces gives the same bytes. */
static void copy_layouts(void **state)
{
	enum { N = 40, HEAD = 7 };
	uint8_t from[N], to[N];

	(void)state;
	for (unsigned i = 0; i < N; i++)
		from[i] = (uint8_t)(i * 7 + 1);
	for (uint32_t a = 1; a < N - HEAD - 1; a++) {
		for (uint32_t b = 1; b < N - 1; b++) {
			const struct seg src[] = { { from + HEAD, a },
						   { from + HEAD + a, N - HEAD - a } };
			const struct seg dst[] = { { to, b }, { to + b, N - b } };

			memset(to, 0, sizeof(to));
			copy_packet(dst, from, HEAD, src, N);
			assert_memory_equal(to, from, N);
		}
	}
}

static void copy_lengths(void **state)
{
	static uint8_t from[600], to[600];

	(void)state;
	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 13 + 5);
	for (uint32_t n = 1; n < sizeof(from) - 1; n++) {
		const struct seg dst = { to, n };

		memset(to, 0, sizeof(to));
		copy_packet(&dst, from, n, NULL, n);
		assert_memory_equal(to, from, n);
		assert_int_equal(to[n], 0);
	}
}

static void gather(void **state)
{
	uint8_t from[40], out[26];

	(void)state;
	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)i;
	for (uint32_t a = 1; a < 39; a++) {
		struct seg seg[] = { { from, a }, { from + a, 40 - a } };
		unsigned whole = copy_gather(out, 26, seg);

		assert_memory_equal(out, from, 26);
		assert_int_equal(whole, a <= 26);
		assert_ptr_equal(seg[whole].ptr, from + 26);
		assert_int_equal(seg[whole].len, whole ? 14 : a - 26);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths),	cmocka_unit_test(headers),
		cmocka_unit_test(zero_source),	cmocka_unit_test(addresses),
		cmocka_unit_test(rx_header),	cmocka_unit_test(copy_layouts),
		cmocka_unit_test(copy_lengths), cmocka_unit_test(gather),
	};

	return cmocka_run_group_tests_name("vswitch/frame", tests, NULL, NULL);
}
