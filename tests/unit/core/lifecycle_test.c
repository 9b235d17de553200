/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a driver domain come back that could not be made again at once? */
#include "tests/unit/core/lifecycle_env.h"

static void it_is_tried_until_it_can_and_told_once(void **state)
{
	static const uint64_t gaps_ms[] = { 200, 400, 800, 1600, 3200, 6400, 6400, 6400 };

	(void)state;
	for (unsigned again = 0; again < 2; again++) {
		netd_dies_and_cannot_be_made(8);
		for (unsigned i = 0; i < 8; i++) {
			assert_null(vm_table[NETD]);
			assert_int_equal(wait_for_timer(), gaps_ms[i] * 1000);
		}
		assert_non_null(vm_table[NETD]);
		assert_false(again_waits(NETD));
		assert_int_equal(wait_for_timer(), 0);
		assert_int_equal(tried, 9 * (again + 1));
		assert_int_equal(silent_tries, 8 * (again + 1)); /* all but the first */
		assert_int_equal(waits_told, again + 1);
		assert_int_equal(waits_logged, again + 1);
		assert_int_equal(ends_told, 0); /* it lives on */
	}
	assert_false(quiet);
	assert_int_equal(all_told, 0);
}

static void the_user_starts_it(void **state)
{
	static const enum vm_command commands[] = { VM_START, VM_RESTART };
	const char *why;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		netd_dies_and_cannot_be_made(3);
		assert_int_equal(vm_command("netd", VM_PAUSE, &why), LH_BUSY);
		assert_string_equal(why, "it does not run");
		assert_int_equal(vm_command("netd", commands[i], &why), LH_NOMEM);
		assert_true(again_waits(NETD)); /* as before */
		(void)wait_for_timer();
		assert_null(vm_table[NETD]);
		assert_int_equal(vm_command("netd", commands[i], &why), 0);
		assert_non_null(vm_table[NETD]);
		assert_int_equal(wait_for_timer(), 0);
	}
	assert_int_equal(tried, 8);
	assert_int_equal(atomic_load(&vms_live), 2);
}

static void the_user_stops_it(void **state)
{
	const char *why;

	(void)state;
	netd_dies_and_cannot_be_made(1);
	ends(GUEST, END_OK);
	assert_int_equal(ends_told, 1);
	assert_int_equal(vm_command("netd", VM_STOP, &why), 0);
	assert_int_equal(ends_told, 2);
	assert_string_equal(last_end, END_STOPPED);
	assert_int_equal(atomic_load(&vms_live), 0);
	assert_false(lifecycle_runs(NETD));
	assert_int_equal(wait_for_timer(), 0);
	assert_int_equal(vm_command("netd", VM_STOP, &why), LH_BUSY);
	assert_int_equal(vm_command("netd", VM_START, &why), 0);
	assert_non_null(vm_table[NETD]);
}

/* What was started in vain by the user is not tried by itself, and a guest never is. */
static void others_are_not_tried(void **state)
{
	const char *why;

	(void)state;
	ends(NETD, END_STOPPED);
	failing = 1;
	assert_int_equal(vm_command("netd", VM_START, &why), LH_NOMEM);
	assert_false(lifecycle_runs(NETD));
	failing = 1;
	ends(GUEST, END_REBOOT);
	assert_string_equal(last_end, END_FAILED);
	assert_false(lifecycle_runs(GUEST));
	assert_int_equal(wait_for_timer(), 0);
	assert_int_equal(waits_told, 0);
	assert_int_equal(atomic_load(&vms_live), 0);
}

static void a_new_config_takes_its_place(void **state)
{
	struct vm *vm;

	(void)state;
	for (unsigned again = 0; again < 2; again++) {
		netd_dies_and_cannot_be_made(1);
		assert_true(lifecycle_take(NETD, again));
		assert_int_equal(ends_told, 1); /* of the first, which was not to be made again */
		assert_int_equal(wait_for_timer(), 0);
		assert_int_equal(vm_create(&config.vms[NETD], NETD, false, &vm), 0);
		lifecycle_give(NETD, vm);
		assert_int_equal(atomic_load(&vms_live), 2);
	}
	/* it is wanted while it is being made */
	holds_on_failure = true;
	failing = 1;
	ends(NETD, END_CRASH);
	assert_true(lifecycle_take(NETD, true));
	assert_int_equal(wait_for_timer(), 0);
	assert_int_equal(vm_create(&config.vms[NETD], NETD, false, &vm), 0);
	lifecycle_give(NETD, vm);
	assert_int_equal(atomic_load(&vms_live), 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(it_is_tried_until_it_can_and_told_once),
		CASE(the_user_starts_it),
		CASE(the_user_stops_it),
		CASE(others_are_not_tried),
		CASE(a_new_config_takes_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
