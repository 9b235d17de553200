/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the rate found at which a receiver begins to lose frames? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "guest/bench/search.c"

enum { FRAMES = 20000 };

/* A sender that can `most` frames a second, a receiver that can `receives`: the search's end. */
static struct search find(unsigned permille, uint64_t most, uint64_t receives)
{
	struct search s;

	for (search_begin(&s, permille); !s.done;) {
		uint64_t rate = s.rate && s.rate < most ? s.rate : most;
		uint64_t got = rate <= receives ? FRAMES : FRAMES * receives / rate;

		search_note(&s, FRAMES, got, FRAMES * SECOND_NS / rate);
	}
	return s;
}

static void assert_about(uint64_t found, uint64_t wanted)
{
	assert_in_range(found, wanted * 985 / 1000, wanted * 1005 / 1000);
}

static void the_receiver_is_slower(void **state)
{
	(void)state;
	for (uint64_t receives = 1000; receives < 1000000; receives += 997) {
		struct search s = find(0, 1000000, receives);

		assert_about(s.best, receives);
		assert_true(s.trials <= 20);
	}
}

static void some_loss_is_allowed(void **state)
{
	(void)state;
	assert_about(find(5, 1000000, 500000).best, 502500);
	assert_about(find(500, 1000000, 400000).best, 800000);
}

static void the_sender_is_slower(void **state)
{
	struct search s = find(0, 100000, 200000);

	(void)state;
	assert_int_equal(s.trials, 1);
	assert_about(s.best, 100000);
}

static void nothing_arrives(void **state)
{
	struct search s = find(0, 100000, 0);

	(void)state;
	assert_int_equal(s.best, 0);
	assert_true(s.trials <= SEARCH_MAX_TRIALS);
	search_begin(&s, 0);
	search_note(&s, 0, 0, 0);
	assert_true(s.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_receiver_is_slower),
					    cmocka_unit_test(some_loss_is_allowed),
					    cmocka_unit_test(the_sender_is_slower),
					    cmocka_unit_test(nothing_arrives) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
