/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the sink tell new, late and repeated frames apart? Compared with a table of all numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/bench/sequence.c"

#define NUMBERS 400000

static struct sequence s;

static void in_order(void **state)
{
	(void)state;
	sequence_clear(&s);
	for (uint64_t n = 0; n < 3 * SEQUENCE_WINDOW; n++)
		assert_int_equal(sequence_note(&s, n), SEQUENCE_NEW);
	assert_int_equal(sequence_note(&s, 3 * SEQUENCE_WINDOW - 1), SEQUENCE_TWICE);
}

static void late_and_twice(void **state)
{
	(void)state;
	sequence_clear(&s);
	assert_int_equal(sequence_note(&s, 5), SEQUENCE_NEW);
	assert_int_equal(sequence_note(&s, 3), SEQUENCE_LATE);
	assert_int_equal(sequence_note(&s, 3), SEQUENCE_TWICE);
	assert_int_equal(sequence_note(&s, 0), SEQUENCE_LATE);
	assert_int_equal(sequence_note(&s, 6), SEQUENCE_NEW);
}

static void beyond_the_window(void **state)
{
	(void)state;
	sequence_clear(&s);
	assert_int_equal(sequence_note(&s, 1), SEQUENCE_NEW);
	assert_int_equal(sequence_note(&s, SEQUENCE_WINDOW), SEQUENCE_NEW);
	assert_int_equal(sequence_note(&s, 1), SEQUENCE_TWICE);
	assert_int_equal(sequence_note(&s, 2), SEQUENCE_LATE);
	assert_int_equal(sequence_note(&s, 0), SEQUENCE_TWICE); /* cannot be told */
	assert_int_equal(sequence_note(&s, 1ull << 62), SEQUENCE_NEW);
	assert_int_equal(sequence_note(&s, UINT64_MAX - 1), SEQUENCE_NEW);
	assert_int_equal(sequence_note(&s, UINT64_MAX - 2), SEQUENCE_LATE);
}

static void as_a_table(void **state)
{
	static uint8_t seen[NUMBERS];
	uint64_t highest = 0;

	(void)state;
	srand(7);
	sequence_clear(&s);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t n = highest + (uint64_t)(rand() % 40);

		n = n > 30 ? n - 30 : 0;
		if (n >= NUMBERS)
			break;
		assert_int_equal(sequence_note(&s, n), seen[n]		  ? SEQUENCE_TWICE
						       : i && n < highest ? SEQUENCE_LATE
									  : SEQUENCE_NEW);
		seen[n] = 1;
		highest = n > highest ? n : highest;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(late_and_twice),
		cmocka_unit_test(beyond_the_window),
		cmocka_unit_test(as_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
