/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a quantile within 1.6 % of the value at its rank, and does every value find a bucket? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/bench/histogram.c"

static struct histogram h;

static void every_value_is_near_its_bucket(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < 1ull << 39; v = v * 9 / 8 + 1) {
		uint64_t middle = middle_of(index_of(v));
		uint64_t off = middle > v ? middle - v : v - middle;

		assert_true(off * 64 <= v);
	}
}

static void buckets_are_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
		assert_int_equal(index_of(middle_of(i)), i);
		assert_true(middle_of(i) < middle_of(i + 1));
	}
}

static void quantiles(void **state)
{
	(void)state;
	histogram_clear(&h);
	assert_int_equal(histogram_quantile(&h, 500), 0);
	for (unsigned v = 1; v <= 50; v++)
		histogram_add(&h, v);
	assert_int_equal(histogram_quantile(&h, 500), 25);
	assert_int_equal(histogram_quantile(&h, 990), 50);
	assert_int_equal(histogram_quantile(&h, 1000), 50);
	assert_int_equal(histogram_quantile(&h, 1), 1);
}

static void one_outlier_in_a_hundred(void **state)
{
	(void)state;
	histogram_clear(&h);
	for (unsigned i = 0; i < 99; i++)
		histogram_add(&h, 10);
	histogram_add(&h, 60);
	assert_int_equal(histogram_quantile(&h, 500), 10);
	assert_int_equal(histogram_quantile(&h, 990), 10);
	assert_int_equal(histogram_quantile(&h, 1000), 60);
}

static void huge_values(void **state)
{
	(void)state;
	histogram_clear(&h);
	histogram_add(&h, UINT64_MAX);
	histogram_add(&h, 1ull << 40);
	histogram_add(&h, (1ull << 40) - 1);
	assert_int_equal(h.count, 3);
	assert_int_equal(h.bucket[HISTOGRAM_BUCKETS - 1], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_is_near_its_bucket),
		cmocka_unit_test(buckets_are_in_order),
		cmocka_unit_test(quantiles),
		cmocka_unit_test(one_outlier_in_a_hundred),
		cmocka_unit_test(huge_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
