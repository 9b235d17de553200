/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does an interrupt reach the device that has its vector and no other, and is one that never ends held
 * back? Faked: time, and the timers, which fire when the test wants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/core/fake_clock.h"
#include "hv/core/host_irq.c"
#include "tests/unit/core/fake_timer.h"

#define VECTOR_MAX 256

static unsigned lines;

uint64_t tsc_from_us(uint64_t us)
{
	return us;
}

void log_limited(struct log_limit *limit, const char *fmt, ...)
{
	(void)limit;
	(void)fmt;
	lines++;
}

int fail(enum lh_err err, const char *fmt, ...)
{
	(void)fmt;
	return err;
}

struct device {
	struct host_irq irq;
	unsigned handled;
	struct host_irq_window window;
	bool held, off;
};

static void handle(struct host_irq *irq)
{
	container_of(irq, struct device, irq)->handled++;
}

static void hold(struct host_irq *irq, bool on)
{
	container_of(irq, struct device, irq)->held = on;
}

static void cut_off(struct host_irq *irq, bool on)
{
	container_of(irq, struct device, irq)->off = on;
}

static const struct host_irq_ops ops = { .handle = handle, .hold = hold, .cut_off = cut_off };
static struct device devices[VECTORS + 1];

static int setup(void **state)
{
	(void)state;
	memset(slots, 0, sizeof(slots));
	memset(devices, 0, sizeof(devices));
	for (unsigned i = 0; i <= VECTORS; i++)
		devices[i].irq = (struct host_irq){ .ops = &ops,
						    .window = &devices[i].window,
						    .owner = "vm" };
	fake_timer = NULL;
	lines = 0;
	fake_now = 1000000;
	host_irq_init();
	host_irq_share(0);
	return 0;
}

static void vectors_are_one_device_s(void **state)
{
	bool seen[VECTOR_MAX] = { 0 };

	(void)state;
	for (unsigned i = 0; i < VECTORS; i++) {
		int vector;

		assert_int_equal(host_irq_alloc(&devices[i].irq), 0);
		vector = devices[i].irq.vector;
		assert_in_range(vector, FIRST_VECTOR, LAST_VECTOR);
		assert_false(seen[vector]);
		seen[vector] = true;
	}
	assert_int_equal(host_irq_alloc(&devices[VECTORS].irq), LH_NOMEM);
	for (unsigned v = 0; v < VECTOR_MAX; v++)
		assert_int_equal(host_irq_handle((uint8_t)v),
				 v >= FIRST_VECTOR && v <= LAST_VECTOR);
	for (unsigned i = 0; i < VECTORS; i++)
		assert_int_equal(devices[i].handled, 1);
}

/* One device that wants all gets its share, and the others theirs. */
static void none_takes_all(void **state)
{
	const unsigned least = VECTORS / 8;

	(void)state;
	host_irq_share(8);
	for (unsigned i = 0; i < 4 * (least + 1); i++)
		devices[i].irq.window = &devices[i / (least + 1)].window;
	for (unsigned i = 0; i < 4 * (least + 1); i++)
		assert_int_equal(host_irq_alloc(&devices[i].irq),
				 i % (least + 1) < least ? 0 : LH_NOMEM);
	assert_int_equal(host_irq_count(), 4 * least);
	host_irq_free(&devices[0].irq);
	host_irq_free(&devices[0].irq);
	assert_int_equal(host_irq_alloc(&devices[least].irq), 0);
	assert_int_equal(host_irq_alloc(&devices[0].irq), LH_NOMEM);
}

static void a_vector_that_was_freed_is_nobody_s(void **state)
{
	uint8_t vector;

	(void)state;
	assert_int_equal(host_irq_alloc(&devices[0].irq), 0);
	vector = (uint8_t)devices[0].irq.vector;
	host_irq_free(&devices[0].irq);
	host_irq_free(&devices[0].irq);
	assert_false(host_irq_handle(vector));
	assert_int_equal(devices[0].handled, 0);
	assert_int_equal(host_irq_alloc(&devices[1].irq), 0);
	assert_int_equal(devices[1].irq.vector, vector);
}

static void a_storm_is_held_back(void **state)
{
	uint8_t vector;

	(void)state;
	assert_int_equal(host_irq_alloc(&devices[0].irq), 0);
	vector = (uint8_t)devices[0].irq.vector;
	for (unsigned i = 0; i < WINDOW_MAX - 1; i++)
		assert_true(host_irq_handle(vector));
	assert_false(devices[0].held);
	assert_true(host_irq_handle(vector));
	assert_true(devices[0].held);
	assert_int_equal(lines, 1);
	assert_non_null(fake_timer);
	assert_int_equal(fake_timer->deadline_tsc, fake_now + WINDOW_US);
	fake_now += WINDOW_US;
	fake_timer->fire(fake_timer);
	assert_false(devices[0].held);
	assert_int_equal(devices[0].handled, WINDOW_MAX + 1); /* one may have been lost */
}

/* One may have been on the way. From the next on it is cut off, and nothing of it is handled. */
static void a_mask_that_is_ignored(void **state)
{
	uint8_t vector;

	(void)state;
	assert_int_equal(host_irq_alloc(&devices[0].irq), 0);
	vector = (uint8_t)devices[0].irq.vector;
	for (unsigned i = 0; i < WINDOW_MAX + ON_THE_WAY; i++)
		assert_true(host_irq_handle(vector));
	assert_false(devices[0].off);
	assert_int_equal(lines, 1);
	for (unsigned i = 0; i < 1000; i++)
		assert_true(host_irq_handle(vector));
	assert_true(devices[0].off);
	assert_int_equal(lines, 2);
	assert_int_equal(devices[0].handled, WINDOW_MAX);
	fake_now += WINDOW_US;
	fake_timer->fire(fake_timer);
	assert_false(devices[0].off);
	assert_false(devices[0].held);
	assert_int_equal(devices[0].handled, WINDOW_MAX + 1);
	assert_true(host_irq_handle(vector));
	assert_int_equal(devices[0].handled, WINDOW_MAX + 2);
}

/* However many it has. */
static void vectors_of_a_device_share_its_window(void **state)
{
	unsigned handled = 0;

	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		devices[i].irq.window = &devices[0].window;
		assert_int_equal(host_irq_alloc(&devices[i].irq), 0);
	}
	for (unsigned n = 0; n < 100; n++)
		for (unsigned i = 0; i < 32; i++)
			assert_true(host_irq_handle((uint8_t)devices[i].irq.vector));
	for (unsigned i = 0; i < 32; i++) {
		assert_true(devices[i].held);
		assert_true(devices[i].off);
		handled += devices[i].handled;
	}
	assert_int_equal(handled, WINDOW_MAX - 1 + 32);
}

static void a_steady_stream_is_not(void **state)
{
	(void)state;
	assert_int_equal(host_irq_alloc(&devices[0].irq), 0);
	for (unsigned i = 0; i < 10 * WINDOW_MAX; i++) {
		fake_now += WINDOW_US / (WINDOW_MAX / 2);
		assert_true(host_irq_handle((uint8_t)devices[0].irq.vector));
	}
	assert_false(devices[0].held);
	assert_null(fake_timer);
}

static void a_timer_that_comes_late_finds_nobody(void **state)
{
	struct timer *late;
	uint8_t vector;

	(void)state;
	assert_int_equal(host_irq_alloc(&devices[0].irq), 0);
	vector = (uint8_t)devices[0].irq.vector;
	for (unsigned i = 0; i < WINDOW_MAX; i++)
		host_irq_handle(vector);
	late = fake_timer;
	host_irq_free(&devices[0].irq);
	assert_null(fake_timer);
	assert_int_equal(host_irq_alloc(&devices[1].irq), 0);
	late->fire(late);
	assert_int_equal(devices[0].handled, WINDOW_MAX);
	assert_int_equal(devices[1].handled, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(vectors_are_one_device_s, setup),
		cmocka_unit_test_setup(none_takes_all, setup),
		cmocka_unit_test_setup(a_vector_that_was_freed_is_nobody_s, setup),
		cmocka_unit_test_setup(a_storm_is_held_back, setup),
		cmocka_unit_test_setup(a_mask_that_is_ignored, setup),
		cmocka_unit_test_setup(vectors_of_a_device_share_its_window, setup),
		cmocka_unit_test_setup(a_steady_stream_is_not, setup),
		cmocka_unit_test_setup(a_timer_that_comes_late_finds_nobody, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
