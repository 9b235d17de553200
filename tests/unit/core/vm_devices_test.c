/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a VM made as soon as its devices are back from their reset, and does nobody wait for them? */
#include "tests/unit/core/lifecycle_env.h"

static void devices_need(uint64_t us)
{
	back_tsc = fake_now + us;
	looks = silent_looks = 0;
}

/* Nobody waits for the devices: the CPU goes on with others until they are back, and then with the VM. */
static void it_is_made_when_its_devices_are_back(void **state)
{
	static const unsigned ids[] = { NETD, GUEST };
	const char *why;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		devices_need(100000);
		ends(ids[i], END_REBOOT);
		assert_null(vm_table[ids[i]]);
		assert_true(lifecycle_runs(ids[i]));
		assert_false(again_waits(ids[i])); /* nothing is wrong */
		assert_int_equal(looks, 1);
		assert_int_equal(vm_command(config.vms[ids[i]].name, VM_STOP, &why), LH_BUSY);
		vm_reap();
		assert_int_equal(looks, 1);
		assert_int_equal(wait_for_timer(), 100000);
		assert_non_null(vm_table[ids[i]]);
		assert_int_equal(looks, 2);
		assert_int_equal(silent_looks, 0);
		assert_int_equal(wait_for_timer(), 0);
	}
	assert_int_equal(tried, 2); /* made once */
	assert_int_equal(waits_told, 0);
	assert_int_equal(atomic_load(&vms_live), 2);
}

/* As one that cannot be made: a driver domain is tried again, quietly, and a guest has ended. */
static void its_devices_do_not_come_back(void **state)
{
	(void)state;
	devices_need(100000);
	never_back = true;
	ends(NETD, END_CRASH);
	assert_int_equal(wait_for_timer(), 100000);
	assert_null(vm_table[NETD]);
	assert_int_equal(waits_told, 1);
	assert_int_equal(wait_for_timer(), 200000);
	assert_int_equal(wait_for_timer(), 400000);
	assert_int_equal(waits_told, 1);
	assert_int_equal(silent_looks, 2); /* all but that of the first try, and before it */
	never_back = false;
	assert_int_equal(wait_for_timer(), 800000);
	assert_non_null(vm_table[NETD]);

	devices_need(100000);
	never_back = true;
	ends(GUEST, END_REBOOT);
	assert_int_equal(ends_told, 0);
	assert_int_equal(wait_for_timer(), 100000);
	assert_string_equal(last_end, END_FAILED);
	assert_false(lifecycle_runs(GUEST));
	assert_int_equal(wait_for_timer(), 0);
	assert_int_equal(atomic_load(&vms_live), 1);
}

/* The user's start says that it is done, and is soon. */
static void the_user_does_not_wait_for_devices(void **state)
{
	const char *why;

	(void)state;
	ends(NETD, END_STOPPED);
	devices_need(50000);
	assert_int_equal(vm_command("netd", VM_START, &why), 0);
	assert_null(vm_table[NETD]);
	assert_int_equal(vm_command("netd", VM_START, &why), LH_BUSY);
	assert_int_equal(wait_for_timer(), 50000);
	assert_non_null(vm_table[NETD]);
	assert_int_equal(atomic_load(&vms_live), 2);
}

/* A new config gets the place when the VM has been made, and ended. */
static void a_new_config_waits_for_devices(void **state)
{
	struct vm *vm;

	(void)state;
	devices_need(50000);
	ends(NETD, END_CRASH);
	assert_false(lifecycle_take(NETD, true));
	assert_int_equal(wait_for_timer(), 50000);
	assert_false(lifecycle_take(NETD, true));
	vm_last_out(vm_table[NETD]);
	vm_reap();
	assert_true(lifecycle_take(NETD, true));
	assert_int_equal(vm_create(&config.vms[NETD], NETD, false, &vm), 0);
	lifecycle_give(NETD, vm);
	assert_int_equal(atomic_load(&vms_live), 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(it_is_made_when_its_devices_are_back),
		CASE(its_devices_do_not_come_back),
		CASE(the_user_does_not_wait_for_devices),
		CASE(a_new_config_waits_for_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
