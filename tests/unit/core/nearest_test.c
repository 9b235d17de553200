/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the helper chosen that polls the fewest queues, and of those the one with the nearest cache? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hv/core/nearest.h"

/* EAX of the leaf: type, level, IDs that share it */
#define CACHE(type, level, ids) ((type) | (level) << 5 | ((ids)-1u) << 14)

/* Two threads a core, L2 for a core, L3 for eight cores. */
static const uint32_t usual[] = {
	CACHE(1, 1, 2), CACHE(2, 1, 2), CACHE(3, 2, 2), CACHE(3, 3, 16), 0, CACHE(3, 4, 64)
};

static struct cache_levels levels_of(const uint32_t *eax, unsigned count)
{
	struct cache_levels levels;

	cache_levels_from(&levels, eax, count);
	return levels;
}

static void levels(void **state)
{
	static const uint32_t odd[] = { CACHE(3, 3, 6), CACHE(3, 7, 2), CACHE(3, 0, 2) };
	static const uint32_t none[] = { 0 };
	struct cache_levels l = levels_of(usual, 6);

	(void)state;
	assert_int_equal(l.count, 3); /* what follows the end is not looked at */
	assert_int_equal(l.shift[0], 1);
	assert_int_equal(l.shift[1], 1);
	assert_int_equal(l.shift[2], 4);
	l = levels_of(odd, 3);
	assert_int_equal(l.count, 3);
	assert_int_equal(l.shift[1], 0);
	assert_int_equal(l.shift[2], 3); /* six IDs need three bits */
	assert_int_equal(levels_of(none, 1).count, 0);
}

static void distances(void **state)
{
	const struct cache_levels l = levels_of(usual, 6);
	const struct cache_levels none = { 0 };

	(void)state;
	assert_int_equal(cpu_distance(&l, 4, 5), 0);
	assert_int_equal(cpu_distance(&l, 4, 6), 2);
	assert_int_equal(cpu_distance(&l, 4, 15), 2);
	assert_int_equal(cpu_distance(&l, 4, 16), 3);
	assert_int_equal(cpu_distance(&none, 4, 5), 0);
}

static void choice(void **state)
{
	static const struct {
		struct helper helpers[4];
		unsigned count;
		int want;
	} cases[] = {
		{ { { 0, 0 } }, 0, -1 },
		{ { { 99, 4 } }, 1, 0 },
		{ { { 16, 0 }, { 6, 0 }, { 5, 0 } }, 3, 2 },
		{ { { 16, 0 }, { 6, 0 }, { 5, 1 } }, 3, 1 },
		{ { { 16, 1 }, { 6, 2 }, { 5, 2 } }, 3, 0 },
		{ { { 7, 0 }, { 6, 0 } }, 2, 0 },
	};
	const struct cache_levels l = levels_of(usual, 6);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(nearest_helper(&l, 4, cases[i].helpers, cases[i].count),
				 cases[i].want);
}

static void real_machine(void **state)
{
	struct cache_levels l;

	(void)state;
	cache_levels_read(&l);
	assert_true(l.count <= NEAREST_LEVELS);
	assert_int_equal(cpu_distance(&l, 3, 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(distances),
		cmocka_unit_test(choice),
		cmocka_unit_test(real_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
