/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does nobody wait for a passed-through function that is being reset, and is it taken when it is back? */
#define WAIT_UNTIL(tsc) (fake_now = (tsc))
#include "tests/unit/core/fake_clock.h"
#include "tests/unit/dev/passthrough_env.h"

#include "hv/core/lifecycle.h"

#undef fail /* cmocka's macro, the core's function */
#define get reset_get
#define put reset_put
#include "hv/dev/pci_reset.c"
#undef get
#undef put

#define DEVSTA 0x62u /* of its PCIe capability, add_nic() */

/* One look at it, when it is to be looked at: what that says, and when the next one is to be, in us. */
static int look(uint64_t *wait_us)
{
	uint64_t again_tsc = 0;
	int err = passthrough_join(&all, &fake_vm, &pcie, &ioapic, &again_tsc);

	*wait_us = 0;
	if (err == LH_AGAIN) {
		assert_true(again_tsc >= fake_now);
		*wait_us = (again_tsc - fake_now) / tsc_from_us(1);
		fake_now = again_tsc;
	}
	return err;
}

static bool flr_begun(void)
{
	return strstr(fake_journal, "60.2=8000\n") != NULL;
}

/* The VM has ended, and a next one is being made. */
static void ends(void)
{
	fake_journal_clear();
	passthrough_destroy(&all);
	memset(&io, 0, sizeof(io));
	memset(&memory, 0, sizeof(memory));
	memset(&pcie, 0, sizeof(pcie));
	memset(&ioapic, 0, sizeof(ioapic));
	assert_int_equal(pcie_init(&pcie, &io, &memory, &fake_vm.log_limit), 0);
	assert_int_equal(ioapic_init(&ioapic, &fake_vm, &memory), 0);
	assert_int_equal(passthrough_create(&all, &fake_vm), 0);
}

/* It is left alone until it may be accessed, and nobody waits meanwhile. */
static void it_is_looked_at_when_its_time_has_come(void **state)
{
	const uint64_t begun = fake_now;
	unsigned reads;
	uint64_t wait_us;

	(void)state;
	ends();
	assert_true(flr_begun());
	assert_int_equal(fake_now, begun);
	reads = fake_config_reads;
	assert_int_equal(look(&wait_us), LH_AGAIN);
	assert_int_equal(wait_us, SETTLE_US);
	fake_now--;
	assert_int_equal(look(&wait_us), LH_AGAIN);
	assert_int_equal(fake_now, begun + tsc_from_us(SETTLE_US));
	assert_int_equal(fake_config_reads, reads);
	assert_int_equal(look(&wait_us), 0);
	assert_true(fake_config_reads > reads);
	assert_int_equal(command(), 0x003);
}

/* It is told after a second and so many looks; from then on each try is one look. */
static void a_function_that_does_not_come_back_is_told(void **state)
{
	const uint64_t begun = fake_now;
	unsigned looks = 0;
	uint64_t wait_us;
	int err;

	(void)state;
	ends();
	fake_pci_set(nic, 0, 4, 0xffffffff);
	while ((err = look(&wait_us)) == LH_AGAIN)
		assert_true(++looks <= 1 + BACK_US / LOOK_US);
	assert_int_equal(err, LH_TIMEOUT);
	assert_int_equal(fake_now, begun + tsc_from_us(SETTLE_US + BACK_US));
	assert_int_equal(look(&wait_us), LH_TIMEOUT);
	fake_pci_set(nic, 0, 4, NIC);
	assert_int_equal(look(&wait_us), 0);
	assert_int_equal(command(), 0x003);
}

/* It asks for patience (vendor 1), or does not answer yet. */
static void a_function_that_comes_back_late_is_taken(void **state)
{
	static const uint32_t ids[] = { 0xffffffff, 0xffff0001 };
	uint64_t wait_us;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		ends();
		fake_pci_set(nic, 0, 4, ids[i]);
		assert_int_equal(look(&wait_us), LH_AGAIN);
		assert_int_equal(look(&wait_us), LH_AGAIN);
		assert_int_equal(wait_us, LOOK_US);
		fake_pci_set(nic, 0, 4, NIC);
		assert_int_equal(look(&wait_us), 0);
	}
	/* another one has its place */
	ends();
	fake_pci_set(nic, 0, 4, 0x12341234);
	assert_int_equal(look(&wait_us), LH_AGAIN);
	assert_int_equal(look(&wait_us), LH_TIMEOUT);
	fake_pci_set(nic, 0, 4, NIC);
	assert_int_equal(look(&wait_us), 0);
}

/* What it has asked for comes before the reset, if it comes; nobody waits for that either. */
static void what_is_under_way_ends_first(void **state)
{
	uint64_t begun, wait_us;

	(void)state;
	for (unsigned comes = 0; comes < 2; comes++) {
		begun = fake_now;
		fake_pci_set(nic, DEVSTA, 2, DEVSTA_PENDING);
		ends();
		assert_false(flr_begun());
		assert_int_equal(fake_now, begun);
		assert_int_equal(look(&wait_us), LH_AGAIN);
		if (comes)
			fake_pci_set(nic, DEVSTA, 2, 0);
		while (!flr_begun()) {
			assert_int_equal(look(&wait_us), LH_AGAIN);
			assert_true(fake_now <= begun + tsc_from_us(PENDING_US + SETTLE_US));
		}
		assert_int_equal(wait_us, SETTLE_US);
		assert_int_equal(fake_now,
				 begun + tsc_from_us((comes ? LOOK_US : PENDING_US) + SETTLE_US));
		assert_int_equal(look(&wait_us), 0);
	}
}

/* All ones say nothing of what is under way, and nothing of it is found any more. */
static void a_device_that_is_gone_has_nothing_under_way(void **state)
{
	(void)state;
	for (unsigned virtio = 0; virtio < 2; virtio++) {
		uint8_t there[sizeof(nic->config)], writable[sizeof(nic->writable)];
		uint64_t begun, wait_us;

		if (virtio) {
			add_virtio(3, 0x3000);
			fake_pci_set(nic, 0x5c, 4, 0); /* no FLR: its status is all there is */
			assert_int_equal(build(), 0);
			assert_int_equal(host_functions[0].reset, RESET_OWN);
		}
		begun = fake_now;
		memcpy(there, nic->config, sizeof(there));
		memcpy(writable, nic->writable, sizeof(writable));
		memset(nic->config, 0xff, sizeof(nic->config));
		memset(nic->writable, 0, sizeof(nic->writable));
		ends();
		assert_int_equal(flr_begun(), !virtio);
		while (look(&wait_us) == LH_AGAIN)
			;
		assert_int_equal(fake_now, begun + tsc_from_us((virtio ? 0 : SETTLE_US) + BACK_US));
		memcpy(nic->config, there, sizeof(there));
		memcpy(nic->writable, writable, sizeof(writable));
		assert_int_equal(look(&wait_us), 0);
		passthrough_destroy(&all);
	}
}

/* Virtio's own reset is over when its status reads zero. */
static void virtio_is_waited_for(void **state)
{
	volatile uint8_t *status = &fake_device[0x43000 + 20];
	uint64_t wait_us;

	(void)state;
	add_virtio(3, 0x3000);
	assert_int_equal(build(), 0);
	lived(END_RESTARTED, 1);
	ends();
	assert_true(host_functions[0].lightly);
	set_step(&host_functions[0], STEP_ENDS, 0, PENDING_US); /* as if it was not at once */
	*status = 0x0f;
	assert_int_equal(look(&wait_us), LH_AGAIN);
	assert_int_equal(wait_us, LOOK_US);
	*status = 0;
	assert_int_equal(look(&wait_us), LH_AGAIN);
	assert_int_equal(wait_us, 0);
	assert_int_equal(look(&wait_us), 0);
	passthrough_destroy(&all);
}

/* From D3, also one that stays there: its driver will find out. */
static void a_function_that_sleeps_is_woken(void **state)
{
	uint64_t wait_us;

	(void)state;
	for (unsigned wakes = 0; wakes < 2; wakes++) {
		nic->writable[0x44] = wakes ? 3 : 0; /* of its PM capability */
		ends();
		fake_pci_set(nic, 0x44, 1, 3);
		assert_int_equal(look(&wait_us), LH_AGAIN);
		assert_int_equal(look(&wait_us), LH_AGAIN);
		assert_int_equal(wait_us, D0_WAIT_US);
		assert_int_equal(look(&wait_us), 0);
		assert_int_equal(fake_pci_get(nic, 0x44, 1), wakes ? 0 : 3);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(it_is_looked_at_when_its_time_has_come),
		CASE(a_function_that_does_not_come_back_is_told),
		CASE(a_function_that_comes_back_late_is_taken),
		CASE(what_is_under_way_ends_first),
		CASE(a_device_that_is_gone_has_nothing_under_way),
		cmocka_unit_test(virtio_is_waited_for),
		CASE(a_function_that_sleeps_is_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
