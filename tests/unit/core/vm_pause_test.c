/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the devices of a VM that is paused stand still only while none of its vCPUs runs? */
#include "tests/unit/core/lifecycle_env.h"

static struct vcpu vcpu[2];

static void tell(enum vm_command command)
{
	const char *why;

	order[0] = 0;
	assert_int_equal(vm_command("guest", command, &why), 0);
}

static void out(unsigned i, const char *expected)
{
	order[0] = 0;
	atomic_store(&vcpu[i].state, VCPU_BLOCKED);
	vm_paused_out(vcpu[i].vm);
	assert_string_equal(order, expected);
}

static void two_vcpus(uint32_t first, uint32_t second)
{
	struct vm *vm = vm_table[GUEST];

	memset(vcpu, 0, sizeof(vcpu));
	for (unsigned i = 0; i < 2; i++) {
		vm->vcpus[i] = &vcpu[i];
		vcpu[i].vm = vm;
	}
	vm->vcpu_count = 2;
	atomic_store(&vcpu[0].state, first);
	atomic_store(&vcpu[1].state, second);
}

/* A driver that runs finds its device alive: on the way into the pause, and on the way out. */
static void devices_stand_still_while_no_vcpu_runs(void **state)
{
	(void)state;
	two_vcpus(VCPU_RUNNING, VCPU_RUNNING);
	tell(VM_PAUSE);
	assert_string_equal(order, "kick-paused kick-paused ");
	out(1, "");
	out(0, "silent ");
	tell(VM_RESUME);
	assert_string_equal(order, "on kick kick ");
	out(0, ""); /* it has seen the pause, and comes late */
}

/* One that waits for a CPU sees the pause before it enters the guest. */
static void nobody_runs_already(void **state)
{
	(void)state;
	two_vcpus(VCPU_BLOCKED, VCPU_RUNNABLE);
	tell(VM_PAUSE);
	assert_string_equal(order, "kick-paused kick-paused silent ");
	tell(VM_RESUME);
	assert_string_equal(order, "on kick kick ");
}

/* From then on its devices are its last vCPU's, and soon nobody's. */
static void one_that_ends_is_not_silenced_by_its_pause(void **state)
{
	(void)state;
	two_vcpus(VCPU_RUNNING, VCPU_BLOCKED);
	tell(VM_PAUSE);
	vm_end(vm_table[GUEST], END_STOPPED, "test");
	out(0, "");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(devices_stand_still_while_no_vcpu_runs),
		CASE(nobody_runs_already),
		CASE(one_that_ends_is_not_silenced_by_its_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
