/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do the CPUs' accounts of time add up to the time that has passed, each stretch under its kind, the
 * one that lasts among them; and is none counted twice when it ends while somebody reads?
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hv/core/cpu_time.h"

static struct cpu machine[2];
struct cpu *cpus[MAX_CPUS] = { &machine[0], &machine[1] };
unsigned cpu_count = 2;

static void spin(uint64_t ticks)
{
	for (uint64_t end = rdtsc() + ticks; rdtsc() < end;)
		;
}

static uint64_t all(const uint64_t sum[TIME_KINDS])
{
	return sum[TIME_ROOT] + sum[TIME_GUEST] + sum[TIME_DRIVER] + sum[TIME_IDLE] +
	       sum[TIME_POLL];
}

static void stretches_under_their_kind(void **state)
{
	enum { LONG = 10000000, SHORT = 10000 };
	uint64_t sum[TIME_KINDS], begin = rdtsc();

	(void)state;
	cpu_time_sum(sum);
	assert_int_equal(all(sum), 0); /* none has begun its account */
	cpu_time_begin(&machine[0]);
	spin(SHORT);
	cpu_time_turn(&machine[0], TIME_POLL, TIME_ROOT); /* it was in vain, as it turns out */
	spin(2 * SHORT);
	cpu_time_turn(&machine[0], TIME_ROOT, TIME_GUEST);
	spin(LONG);
	cpu_time_sum(sum); /* it lasts */
	assert_true(sum[TIME_GUEST] >= LONG);
	assert_true(sum[TIME_ROOT] >= 2 * SHORT && sum[TIME_POLL] >= SHORT);
	assert_int_equal(sum[TIME_IDLE], 0);
	assert_true(all(sum) <= rdtsc() - begin);
	cpu_time_turn(&machine[0], TIME_GUEST, TIME_IDLE);
	spin(SHORT);
	cpu_time_sum(sum);
	assert_true(sum[TIME_IDLE] >= SHORT);
	assert_true(all(sum) <= rdtsc() - begin);
}

static _Atomic bool stop;

static void *turn_for_ever(void *arg)
{
	struct cpu *cpu = arg;

	while (!atomic_load(&stop)) {
		cpu_time_turn(cpu, TIME_ROOT, TIME_GUEST);
		spin(2000);
		cpu_time_turn(cpu, TIME_GUEST, TIME_ROOT);
	}
	return NULL;
}

/* A stretch that were counted twice, or lost, would show as more than passes, or as less. */
static void read_while_it_changes(void **state)
{
	uint64_t first[TIME_KINDS], sum[TIME_KINDS], before, after, began;
	pthread_t thread;

	(void)state;
	cpu_count = 1;
	cpu_time_begin(&machine[0]);
	assert_int_equal(pthread_create(&thread, NULL, turn_for_ever, &machine[0]), 0);
	began = rdtsc();
	cpu_time_sum(first);
	after = rdtsc();
	for (unsigned n = 0; n < 200000; n++) {
		uint64_t now = rdtsc(), grown;

		cpu_time_sum(sum);
		before = rdtsc();
		grown = all(sum) - all(first);
		assert_true(grown <= before - began);
		assert_true(grown >= now - after);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stretches_under_their_kind),
		cmocka_unit_test(read_while_it_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
