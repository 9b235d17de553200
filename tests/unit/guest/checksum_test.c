/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the checksum of 64 bits at a time the one of RFC 1071, for every length, place and split? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/bench/checksum.c"

/* RFC 1071 word by word, in network order. */
static uint16_t by_the_book(const uint8_t *at, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)at[i] << 8 | (i + 1 < n ? at[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t swapped(uint16_t x)
{
	return (uint16_t)(x << 8 | x >> 8);
}

static uint8_t data[512];

static int setup(void **state)
{
	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(rand() >> 7);
	return 0;
}

static void each_length_and_place(void **state)
{
	(void)state;
	for (size_t at = 0; at < 9; at++) {
		for (size_t n = 1; n < 200; n++) {
			uint16_t sum = checksum_fold(checksum_add(0, data + at, n));

			assert_int_equal(swapped(sum), by_the_book(data + at, n));
		}
	}
}

static void each_split(void **state)
{
	uint16_t whole = by_the_book(data, 301);

	(void)state;
	for (size_t cut = 0; cut <= 301; cut++) {
		uint64_t sum = checksum_add(0, data, cut);

		sum = checksum_add_at(sum, cut, data + cut, 301 - cut);
		assert_int_equal(swapped(checksum_fold(sum)), whole);
	}
}

static void carries(void **state)
{
	uint8_t ones[64];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(checksum_fold(checksum_add(0, ones, sizeof(ones))), 0xffff);
	assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(checksum_fold(0), 0);
	assert_int_equal(checksum_fold(0x0001ffffffff0001), 0x0002);
	assert_int_equal(checksum_plus(UINT64_MAX, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_length_and_place),
		cmocka_unit_test(each_split),
		cmocka_unit_test(carries),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
