/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: is the EOI without a VM exit offered when it may wait, and only then, and is it taken for
 * what it was?
 */
#include "tests/unit/dev/fakes.h"

#include "hv/core/guest_map.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/vlapic_impl.h"

#include <cmocka.h>

#define X2(reg) (MSR_X2APIC_FIRST + (reg))

void pc_eoi(struct vm *vm, uint8_t vector)
{
	(void)vm;
	(void)vector;
}

static bool wr(uint32_t msr, uint64_t value)
{
	return vlapic_msr_write(&fake_vcpu[0], msr, value);
}

static uint64_t rd(uint32_t msr)
{
	uint64_t value = 0;

	assert_true(vlapic_msr_read(&fake_vcpu[0], msr, &value));
	return value;
}

static int take(void)
{
	int vector = vlapic_irq_pending(&fake_vcpu[0]);

	if (vector >= 0)
		vlapic_irq_taken(&fake_vcpu[0], (uint8_t)vector);
	return vector;
}

static int setup(void **state)
{
	(void)state;
	fake_reset(1);
	if (vlapic_create(&fake_vcpu[0]))
		return 1;
	wr(MSR_APIC_BASE, GUEST_LAPIC_BASE | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	wr(X2(APIC_SVR), 0x1ff);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vlapic_destroy(&fake_vcpu[0]);
	return fake_allocs != 0;
}

#define EOI_WORD 0x1234

static uint32_t eoi_word(void)
{
	uint32_t word;

	assert_true(vm_read(&fake_vm, (gpa_t){ EOI_WORD }, &word, sizeof(word)));
	return word;
}

/* The guest runs for a while, and takes the offered EOI or not: was it offered? */
static bool runs(bool takes)
{
	const uint32_t nothing = 0;
	bool offered;

	vlapic_before_entry(&fake_vcpu[0]);
	offered = eoi_word() & 1;
	if (takes)
		assert_true(vm_write(&fake_vm, (gpa_t){ EOI_WORD }, &nothing, sizeof(nothing)));
	vlapic_after_exit(&fake_vcpu[0]);
	assert_int_equal(eoi_word(), 0);
	return offered;
}

static bool in_service(uint8_t vector)
{
	return rd(X2(APIC_ISR + vector / 32)) >> (vector & 31) & 1;
}

static void eoi_without_an_exit(void **state)
{
	(void)state;
	msi_deliver(&fake_vm, 0xfee00000, 0x41);
	assert_int_equal(take(), 0x41);
	assert_false(runs(true)); /* not asked for */
	assert_true(in_service(0x41));
	wr(MSR_KVM_EOI, EOI_WORD | 1);
	assert_int_equal(rd(MSR_KVM_EOI), EOI_WORD | 1);
	assert_true(runs(false)); /* it exits before its EOI, and gets the offer again */
	assert_true(in_service(0x41));
	assert_true(runs(true));
	assert_false(in_service(0x41));
	assert_false(runs(true)); /* nothing in service */

	msi_deliver(&fake_vm, 0xfee00000, 0x51);
	assert_int_equal(take(), 0x51);
	msi_deliver(&fake_vm, 0xfee00000, 0x31);
	assert_false(runs(true)); /* another one waits for this EOI */
	assert_true(in_service(0x51));
	wr(X2(APIC_EOI), 0);
	assert_int_equal(take(), 0x31);
	wr(MSR_KVM_EOI, 0);
	assert_false(runs(true));
	assert_true(in_service(0x31));
	wr(MSR_KVM_EOI, EOI_WORD | 1);
	vlapic_init(&fake_vcpu[0]);
	assert_int_equal(rd(MSR_KVM_EOI), 0);
}

static void eoi_the_ioapic_waits_for_exits(void **state)
{
	const struct apic_message level = { .dest = 0, .vector = 0x41, .level = true };

	(void)state;
	wr(MSR_KVM_EOI, EOI_WORD | 1);
	apic_deliver(&fake_vm, &level);
	assert_int_equal(take(), 0x41);
	assert_false(runs(true));
	assert_true(in_service(0x41));
}

static void eoi_word_lies_in_ram(void **state)
{
	(void)state;
	assert_false(wr(MSR_KVM_EOI, EOI_WORD | 3));
	assert_false(wr(MSR_KVM_EOI, FAKE_RAM | 1));
	assert_false(wr(MSR_KVM_EOI, ~0ull & ~2ull));
	assert_int_equal(rd(MSR_KVM_EOI), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(eoi_without_an_exit),
		T(eoi_the_ioapic_waits_for_exits),
		T(eoi_word_lies_in_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
