/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does an access reach the one device that is there, and only with widths it takes? */
#include "tests/unit/dev/fakes.h"

#include <cmocka.h>

#include "hv/dev/bus.h"

static struct bus bus;
static struct bus_access seen[8];
static unsigned accesses;

static void record(struct bus_region *region, struct bus_access *access)
{
	(void)region;
	if (!access->write)
		access->value = 0xffffffffffffff00ull | (0x10 + access->offset);
	seen[accesses++ % 8] = *access;
}

static struct bus_region region(uint64_t bytes, unsigned widest)
{
	return (struct bus_region){ .bytes = bytes, .widest = widest, .access = record };
}

static int setup(void **state)
{
	(void)state;
	memset(&bus, 0, sizeof(bus));
	accesses = 0;
	return 0;
}

static void overlaps_are_refused(void **state)
{
	struct bus_region a = region(16, 4), b = region(16, 4), c = region(16, 4);
	struct bus_region end = region(16, 4);

	(void)state;
	assert_true(bus_map(&bus, &a, 100));
	assert_false(bus_map(&bus, &a, 200)); /* mapped already */
	assert_false(bus_map(&bus, &b, 85));
	assert_false(bus_map(&bus, &b, 100));
	assert_false(bus_map(&bus, &b, 115));
	assert_true(bus_map(&bus, &b, 84));
	assert_true(bus_map(&bus, &c, 116));
	assert_false(bus_map(&bus, &end, 0xfffffffffffffff8ull)); /* wraps */
	assert_true(bus_map(&bus, &end, 0xfffffffffffffff0ull));
	bus_unmap(&bus, &a);
	bus_unmap(&bus, &a);
	assert_true(bus_map(&bus, &a, 100));
}

static void the_table_is_bounded(void **state)
{
	static struct bus_region many[BUS_MAX_REGIONS + 1];

	(void)state;
	for (unsigned i = 0; i <= BUS_MAX_REGIONS; i++) {
		many[i] = region(4, 4);
		assert_int_equal(bus_map(&bus, &many[i], 1000 - 8 * i), i < BUS_MAX_REGIONS);
	}
	for (unsigned i = 0; i < BUS_MAX_REGIONS; i++) {
		uint64_t value = 7;

		assert_true(bus_access(&bus, NULL, 1000 - 8 * i, 4, true, &value));
		assert_false(bus_access(&bus, NULL, 1000 - 8 * i + 4, 4, true, &value));
	}
}

static void wide_accesses_come_in_pieces(void **state)
{
	struct bus_region a = region(16, 2);
	uint64_t value = 0x1122334455667788ull;

	(void)state;
	assert_true(bus_map(&bus, &a, 32));
	assert_true(bus_access(&bus, NULL, 40, 8, true, &value));
	assert_int_equal(accesses, 4);
	assert_int_equal(seen[0].value, 0x7788);
	assert_int_equal(seen[3].value, 0x1122);
	assert_int_equal(seen[3].offset, 14);
	assert_true(bus_access(&bus, NULL, 32, 4, false, &value));
	assert_int_equal(value, 0xff12ff10); /* nothing beyond the width */
}

static void an_access_across_the_end_reads_ones(void **state)
{
	struct bus_region a = region(16, 4);
	uint64_t value = 0;

	(void)state;
	assert_true(bus_map(&bus, &a, 32));
	assert_true(bus_access(&bus, NULL, 46, 4, false, &value));
	assert_int_equal(value, 0xffffffff);
	assert_int_equal(accesses, 0);
	assert_false(bus_access(&bus, NULL, 31, 4, false, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(overlaps_are_refused, setup),
		cmocka_unit_test_setup(the_table_is_bounded, setup),
		cmocka_unit_test_setup(wide_accesses_come_in_pieces, setup),
		cmocka_unit_test_setup(an_access_across_the_end_reads_ones, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
