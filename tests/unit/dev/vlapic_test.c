/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the local APIC deliver by priority, end service in order, keep time in each of the
 * timer's modes, and refuse what the manual reserves? */
#include "tests/unit/dev/fakes.h"

#include "hv/core/guest_map.h"
#include "hv/core/timer.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/vlapic_impl.h"

/* Time stands still, but when a test moves it. */
static uint64_t test_now;
#define rdtsc() test_now
#include "hv/dev/vlapic_timer.c"
#undef rdtsc

#include <cmocka.h>

#define X2(reg)	     (MSR_X2APIC_FIRST + (reg))
#define TICKS_PER_NS 3 /* of fakes.c's TSC */

static unsigned eois;
static uint8_t eoi_vector;

void pc_eoi(struct vm *vm, uint8_t vector)
{
	(void)vm;
	eois++;
	eoi_vector = vector;
}

static bool wr(unsigned cpu, uint32_t msr, uint64_t value)
{
	return vlapic_msr_write(&fake_vcpu[cpu], msr, value);
}

static uint64_t rd(unsigned cpu, uint32_t msr)
{
	uint64_t value = 0xdead;

	assert_true(vlapic_msr_read(&fake_vcpu[cpu], msr, &value));
	return value;
}

static int pending(unsigned cpu)
{
	return vlapic_irq_pending(&fake_vcpu[cpu]);
}

static int take(unsigned cpu)
{
	int vector = pending(cpu);

	if (vector >= 0)
		vlapic_irq_taken(&fake_vcpu[cpu], (uint8_t)vector);
	return vector;
}

/* Three vCPUs with x2APIC and the software enable bit on. */
static int setup(void **state)
{
	(void)state;
	fake_reset(FAKE_VCPUS);
	test_now = 1000000;
	eois = 0;
	fake_vm.tsc_offset = 0 - 500000ull;
	for (unsigned i = 0; i < FAKE_VCPUS; i++) {
		if (vlapic_create(&fake_vcpu[i]))
			return 1;
		wr(i, MSR_APIC_BASE, GUEST_LAPIC_BASE | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
		wr(i, X2(APIC_SVR), 0x1ff);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		vlapic_destroy(&fake_vcpu[i]);
	return fake_allocs != 0;
}

static void reset_state(void **state)
{
	uint64_t value;

	(void)state;
	vlapic_destroy(&fake_vcpu[1]);
	assert_int_equal(vlapic_create(&fake_vcpu[1]), 0);
	assert_int_equal(rd(0, MSR_APIC_BASE),
			 0xfee00d00); /* the boot processor's, in x2APIC mode */
	assert_int_equal(rd(1, MSR_APIC_BASE), 0xfee00800);
	assert_false(vlapic_msr_read(&fake_vcpu[1], X2(APIC_ID), &value)); /* not in xAPIC mode */
	assert_int_equal(rd(0, X2(APIC_ID)), 0);
	assert_int_equal(rd(2, X2(APIC_ID)), 2);
	assert_int_equal(rd(2, X2(APIC_LDR)), 4);
	assert_int_equal(rd(0, X2(APIC_VERSION)), 0x50014);
	assert_int_equal(rd(0, X2(APIC_LVT_TIMER)), LVT_MASKED);
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), TIMER_NEVER);
	assert_int_equal(pending(0), -1);
}

static void modes_change_as_the_manual_allows(void **state)
{
	const uint64_t on = GUEST_LAPIC_BASE | APIC_BASE_ENABLE;
	const uint64_t x2 = on | APIC_BASE_X2APIC;

	(void)state;
	assert_false(wr(0, MSR_APIC_BASE, on));			   /* x2APIC to xAPIC */
	assert_false(wr(0, MSR_APIC_BASE, x2 ^ APIC_BASE_ENABLE)); /* extended but not enabled */
	assert_false(wr(0, MSR_APIC_BASE, x2 + 0x1000));	   /* elsewhere */
	assert_false(wr(0, MSR_APIC_BASE, x2 | 1));
	assert_false(wr(0, MSR_APIC_BASE, x2 | BIT(52)));
	assert_true(wr(0, MSR_APIC_BASE, GUEST_LAPIC_BASE));
	assert_false(wr(0, MSR_APIC_BASE, x2)); /* off to x2APIC */
	assert_true(wr(0, MSR_APIC_BASE, on));
	assert_true(wr(0, MSR_APIC_BASE, x2));
	assert_int_equal(rd(0, X2(APIC_SVR)), 0xff); /* off was a reset */
}

static void reserved_things_fault(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} bad[] = {
		{ X2(APIC_ID), 1 },
		{ X2(APIC_VERSION), 0 },
		{ X2(APIC_TPR), 0x100 },
		{ X2(APIC_PPR), 0 },
		{ X2(APIC_EOI), 1 },
		{ X2(APIC_LDR), 1 },
		{ X2(APIC_DFR), 0 },
		{ X2(APIC_SVR), 0x11ff },
		{ X2(APIC_ISR), 0 },
		{ X2(APIC_IRR + 7), 0 },
		{ X2(APIC_ESR), 1 },
		{ X2(APIC_ICR_HIGH), 0 },
		{ X2(APIC_ICR), BIT(12) },
		{ X2(APIC_LVT_TIMER), 0x80000 },
		{ X2(APIC_LVT_ERROR), 0x100000000ull },
		{ X2(APIC_INITIAL_COUNT), 0x100000000ull },
		{ X2(APIC_CURRENT_COUNT), 0 },
		{ X2(APIC_DIVIDE), 4 },
		{ X2(APIC_SELF_IPI), 0x100 },
		{ X2(0x40), 0 },
		{ X2(0xff), 0 },
		{ X2(0), 0 },
		{ X2(9), 0 },
	};
	uint64_t value;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(wr(0, bad[i].msr, bad[i].value));
	assert_false(vlapic_msr_read(&fake_vcpu[0], X2(APIC_EOI), &value));
	assert_false(vlapic_msr_read(&fake_vcpu[0], X2(APIC_SELF_IPI), &value));
	assert_false(vlapic_msr_read(&fake_vcpu[0], X2(0x3a), &value));
}

static void priorities_and_eoi(void **state)
{
	(void)state;
	wr(0, X2(APIC_SELF_IPI), 0x35);
	wr(0, X2(APIC_SELF_IPI), 0x81);
	wr(0, X2(APIC_SELF_IPI), 0x8f);
	assert_int_equal(take(0), 0x8f);
	assert_int_equal(pending(0), -1); /* 0x81 is of the same class */
	assert_int_equal(rd(0, X2(APIC_PPR)), 0x80);
	assert_int_equal(rd(0, X2(APIC_ISR + 4)), 0x8000);
	assert_int_equal(rd(0, X2(APIC_IRR + 4)), 2);
	wr(0, X2(APIC_SELF_IPI), 0x95);
	assert_int_equal(take(0), 0x95); /* nested */
	wr(0, X2(APIC_EOI), 0);
	assert_int_equal(rd(0, X2(APIC_ISR + 4)), 0x8000); /* the higher one ended */
	assert_int_equal(pending(0), -1);
	wr(0, X2(APIC_EOI), 0);
	assert_int_equal(take(0), 0x81);
	wr(0, X2(APIC_EOI), 0);
	wr(0, X2(APIC_TPR), 0x30);
	assert_int_equal(pending(0), -1);
	wr(0, X2(APIC_TPR), 0x2f);
	assert_int_equal(rd(0, X2(APIC_PPR)), 0x2f);
	assert_int_equal(take(0), 0x35);
	wr(0, X2(APIC_EOI), 0);
	wr(0, X2(APIC_EOI), 0); /* one too many */
	assert_int_equal(eois, 0);
	assert_int_equal(pending(0), -1);
}

static void disabled_means_no_interrupts(void **state)
{
	(void)state;
	wr(0, X2(APIC_LVT_ERROR), 0x55);
	wr(0, X2(APIC_SVR), 0xff);
	assert_int_equal(rd(0, X2(APIC_LVT_ERROR)), 0x10055);
	wr(0, X2(APIC_LVT_ERROR), 0x55);
	assert_int_equal(rd(0, X2(APIC_LVT_ERROR)), 0x10055); /* stays masked */
	msi_deliver(&fake_vm, 0xfee00000, 0x41);
	wr(0, X2(APIC_SVR), 0x1ff);
	assert_int_equal(pending(0), -1);
}

static void vectors_below_16_are_errors(void **state)
{
	(void)state;
	wr(0, X2(APIC_LVT_ERROR), 0x55);
	wr(0, X2(APIC_SELF_IPI), 15);
	assert_int_equal(take(0), 0x55);
	assert_int_equal(rd(0, X2(APIC_ESR)), 0); /* until written */
	wr(0, X2(APIC_ESR), 0);
	assert_int_equal(rd(0, X2(APIC_ESR)), ESR_SEND_ILLEGAL);
	msi_deliver(&fake_vm, 0xfee00000, 3);
	assert_int_equal(rd(0, X2(APIC_IRR)), 0);
}

static void ipis_find_their_targets(void **state)
{
	(void)state;
	wr(0, X2(APIC_ICR), 2ull << 32 | 0x4041);
	assert_int_equal(pending(2), 0x41);
	assert_int_equal(pending(1), -1);
	assert_int_equal(fake_kicks[2], 1);
	wr(0, X2(APIC_ICR), 6ull << 32 | 0x4842); /* logical: 1 and 2 */
	assert_int_equal(take(1), 0x42);
	assert_int_equal(take(2), 0x42);
	wr(0, X2(APIC_ICR), 0xc4091); /* all but self */
	assert_int_equal(pending(0), -1);
	assert_int_equal(take(1), 0x91);
	wr(1, X2(APIC_ICR), 0x840a1); /* all */
	assert_int_equal(take(0), 0xa1);
	assert_int_equal(take(1), 0xa1);
	wr(0, X2(APIC_ICR), 0xffffffffull << 32 | 0x40b1);
	assert_int_equal(take(2), 0xb1);
	wr(0, X2(APIC_ICR), 0x440c1); /* self */
	assert_int_equal(take(0), 0xc1);
	assert_int_equal(fake_kicks[0], 1); /* only by vCPU 1: one sees what one sends oneself */
	wr(0, X2(APIC_ICR), 1ull << 32 | 0x4400); /* NMI */
	assert_int_equal(fake_signals[1], SIGNAL_NMI);
}

static void vcpus_start_each_other(void **state)
{
	(void)state;
	wr(0, X2(APIC_ICR), 1ull << 32 | 0x8500); /* INIT, de-assert: ignored */
	assert_int_equal(fake_signals[1], 0);
	wr(0, X2(APIC_ICR), 1ull << 32 | 0x4500);
	assert_int_equal(fake_signals[1], SIGNAL_INIT);
	wr(0, X2(APIC_ICR), 1ull << 32 | 0x4608);
	assert_int_equal(fake_signals[1], SIGNAL_INIT | SIGNAL_SIPI);
	assert_int_equal(fake_sipi, 8);
	assert_int_equal(fake_signals[0] | fake_signals[2] | fake_kicks[1], 0);
}

static void devices_start_no_vcpu(void **state)
{
	(void)state;
	msi_deliver(&fake_vm, 0xfee01000, 0x500);
	msi_deliver(&fake_vm, 0xfee01000, 0x608);
	assert_int_equal(fake_signals[1], 0);
	msi_deliver(&fake_vm, 0xfee01000, 0x400);
	assert_int_equal(fake_signals[1], SIGNAL_NMI);
}

static void msis_are_routed(void **state)
{
	(void)state;
	msi_deliver(&fake_vm, 0xfee01000, 0x51);
	assert_int_equal(take(1), 0x51);
	assert_int_equal(fake_kicks[1], 1);
	wr(1, X2(APIC_EOI), 0);
	msi_deliver(&fake_vm, 0xfee06004, 0x152); /* logical, lowest priority: one of 1 and 2 */
	assert_int_equal((take(1) == 0x52) + (take(2) == 0x52), 1);
	msi_deliver(&fake_vm, 0xfeeff000, 0x53); /* all */
	assert_int_equal(take(0), 0x53);
	msi_deliver(&fake_vm, 0xfed01000, 0x54);
	msi_deliver(&fake_vm, 0x1fee01000ull, 0x54);
	msi_deliver(&fake_vm, 0xfee07000, 0x54); /* nobody */
	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		assert_int_not_equal(pending(i), 0x54);
	assert_ptr_equal(msi_target(&fake_vm, 0xfee02000), &fake_vcpu[2]);
	assert_null(msi_target(&fake_vm, 0xfee09000));
}

static void level_triggered_tells_the_ioapic(void **state)
{
	struct apic_message m = { .dest = 0, .vector = 0x61, .level = true };

	(void)state;
	apic_deliver(&fake_vm, &m);
	assert_int_equal(rd(0, X2(APIC_TMR + 3)), 2);
	assert_int_equal(take(0), 0x61);
	wr(0, X2(APIC_EOI), 0);
	assert_int_equal(eois, 1);
	assert_int_equal(eoi_vector, 0x61);
	wr(0, X2(APIC_SELF_IPI), 0x61); /* an edge test_now */
	assert_int_equal(take(0), 0x61);
	wr(0, X2(APIC_EOI), 0);
	assert_int_equal(eois, 1);
}

static void one_shot(void **state)
{
	(void)state;
	wr(0, X2(APIC_DIVIDE), 0xb); /* by 1 */
	wr(0, X2(APIC_LVT_TIMER), 0x70);
	wr(0, X2(APIC_INITIAL_COUNT), 1000);
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), test_now + 1000 * TICKS_PER_NS);
	test_now += 400 * TICKS_PER_NS;
	assert_int_equal(rd(0, X2(APIC_CURRENT_COUNT)), 600);
	assert_int_equal(pending(0), -1);
	test_now += 600 * TICKS_PER_NS;
	assert_int_equal(take(0), 0x70);
	assert_int_equal(rd(0, X2(APIC_CURRENT_COUNT)), 0);
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), TIMER_NEVER);
	wr(0, X2(APIC_EOI), 0);
	wr(0, X2(APIC_DIVIDE), 0); /* by 2 */
	wr(0, X2(APIC_INITIAL_COUNT), 0xffffffff);
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]),
			 test_now + 2 * TICKS_PER_NS * 0xffffffffull);
	wr(0, X2(APIC_INITIAL_COUNT), 0);
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), TIMER_NEVER);
}

static void divide_values(void **state)
{
	static const uint8_t codes[] = { 0xb, 0, 1, 2, 3, 8, 9, 0xa };

	(void)state;
	wr(0, X2(APIC_LVT_TIMER), 0x70);
	for (unsigned i = 0; i < 8; i++) {
		wr(0, X2(APIC_DIVIDE), codes[i]);
		wr(0, X2(APIC_INITIAL_COUNT), 100);
		assert_int_equal(vlapic_next_timer(&fake_vcpu[0]),
				 test_now + (100ull << i) * TICKS_PER_NS);
		assert_int_equal(rd(0, X2(APIC_CURRENT_COUNT)), 100);
	}
}

static void periodic(void **state)
{
	uint64_t first;

	(void)state;
	wr(0, X2(APIC_DIVIDE), 0xb);
	wr(0, X2(APIC_LVT_TIMER), 0x20071);
	wr(0, X2(APIC_INITIAL_COUNT), 100000);
	first = vlapic_next_timer(&fake_vcpu[0]);
	test_now = first + 7;
	assert_int_equal(take(0), 0x71);
	wr(0, X2(APIC_EOI), 0);
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), first + 100000 * TICKS_PER_NS);
	test_now += 1000000 * TICKS_PER_NS; /* nine are missed */
	assert_int_equal(take(0), 0x71);
	wr(0, X2(APIC_EOI), 0);
	assert_int_equal(pending(0), -1);
	assert_true(vlapic_next_timer(&fake_vcpu[0]) > test_now);
	wr(0, X2(APIC_INITIAL_COUNT), 1); /* absurd: bounded */
	test_now += TICKS_PER_NS;
	assert_int_equal(take(0), 0x71);
	assert_true(vlapic_next_timer(&fake_vcpu[0]) >= test_now + 40000 * TICKS_PER_NS);
	wr(0, X2(APIC_LVT_TIMER), 0x30071); /* masked */
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), TIMER_NEVER);
}

static void tsc_deadline(void **state)
{
	uint64_t guest_now = test_now + fake_vm.tsc_offset;

	(void)state;
	wr(0, MSR_TSC_DEADLINE, guest_now + 100); /* not in this mode: ignored */
	assert_int_equal(rd(0, MSR_TSC_DEADLINE), 0);
	wr(0, X2(APIC_LVT_TIMER), 0x40072);
	wr(0, X2(APIC_INITIAL_COUNT), 5); /* likewise */
	assert_int_equal(rd(0, X2(APIC_INITIAL_COUNT)), 0);
	wr(0, MSR_TSC_DEADLINE, guest_now + 100);
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), test_now + 100);
	assert_int_equal(rd(0, MSR_TSC_DEADLINE), guest_now + 100);
	assert_int_equal(pending(0), -1);
	test_now += 100;
	assert_int_equal(take(0), 0x72);
	assert_int_equal(rd(0, MSR_TSC_DEADLINE), 0);
	wr(0, X2(APIC_EOI), 0);
	wr(0, MSR_TSC_DEADLINE, 1); /* long ago: at once */
	assert_int_equal(take(0), 0x72);
	wr(0, X2(APIC_EOI), 0);
	wr(0, MSR_TSC_DEADLINE, ~0ull); /* never */
	assert_int_equal(pending(0), -1);
	wr(0, MSR_TSC_DEADLINE, guest_now + 5000);
	wr(0, MSR_TSC_DEADLINE, 0); /* disarmed */
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), TIMER_NEVER);
	wr(0, MSR_TSC_DEADLINE, guest_now + 5000);
	wr(0, X2(APIC_LVT_TIMER), 0x72); /* another mode disarms */
	assert_int_equal(vlapic_next_timer(&fake_vcpu[0]), TIMER_NEVER);
}

static uint64_t page(unsigned offset, unsigned bytes, bool write, uint64_t value)
{
	struct bus_access access = { .vcpu = &fake_vcpu[0],
				     .offset = offset,
				     .bytes = bytes,
				     .write = write,
				     .value = value };

	vlapic_page_access(NULL, &access);
	return access.value;
}

static void the_page_is_for_xapic_mode(void **state)
{
	(void)state;
	assert_int_equal(page(0x30, 4, false, 0), 0xffffffff);
	wr(0, MSR_APIC_BASE, GUEST_LAPIC_BASE);
	wr(0, MSR_APIC_BASE, GUEST_LAPIC_BASE | APIC_BASE_ENABLE);
	assert_int_equal(page(0x30, 4, false, 0), 0x50014);
	assert_int_equal(page(0x32, 1, false, 0) & 0xff, 5);
	page(0xf0, 4, true, 0x1ff);
	page(0xd0, 4, true, 0x01000000);
	page(0xe0, 4, true, 0xffffffff);
	page(0x310, 4, true, 2u << 24); /* to vCPU 2 */
	page(0x300, 4, true, 0x4041);
	assert_int_equal(pending(2), 0x41);
	assert_int_equal(page(0x310, 4, false, 0), 2u << 24);
	msi_deliver(&fake_vm, 0xfee01004, 0x44); /* logical, flat: bit 0 */
	assert_int_equal(take(0), 0x44);
	page(0xb0, 4, true, 0);
	assert_int_equal(page(0x120, 4, false, 0), 0);
	page(0xe0, 4, true, 0); /* cluster 0 */
	msi_deliver(&fake_vm, 0xfee01004, 0x45);
	assert_int_equal(take(0), 0x45);
	page(0x380, 2, true, 99); /* not 32 bits: ignored */
	assert_int_equal(page(0x380, 4, false, 0), 0);
	page(0x400, 4, true, 0);
	page(0x280, 4, true, 0);
	assert_int_equal(page(0x280, 4, false, 0), ESR_REGISTER);
}

static void garbage_by_seed(void **state)
{
	uint64_t seed = 42, value;

	(void)state;
	for (unsigned i = 0; i < fake_rounds(200000); i++) {
		unsigned cpu = (unsigned)(fake_random(&seed) % FAKE_VCPUS);
		uint32_t msr = X2(fake_random(&seed) % 0x48);

		test_now += fake_random(&seed) % 100000;
		switch (fake_random(&seed) % 6) {
		case 0:
			vlapic_msr_read(&fake_vcpu[cpu], msr, &value);
			break;
		case 1:
			vlapic_msr_write(&fake_vcpu[cpu], msr, fake_random(&seed));
			break;
		case 2:
			vlapic_msr_write(&fake_vcpu[cpu], msr, fake_random(&seed) & 0xcffff);
			break;
		case 3:
			wr(cpu, MSR_APIC_BASE, GUEST_LAPIC_BASE | (fake_random(&seed) & 0xc00));
			break;
		case 4:
			page(fake_random(&seed) % 4093, 1u << fake_random(&seed) % 3,
			     fake_random(&seed) & 1, fake_random(&seed) & 0xffffffff);
			break;
		default:
			wr(cpu, MSR_TSC_DEADLINE, fake_random(&seed) >> fake_random(&seed) % 64);
			take(cpu);
			break;
		}
		assert_true(pending(cpu) == -1 || pending(cpu) >= FIRST_VECTOR);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(reset_state),
		T(modes_change_as_the_manual_allows),
		T(reserved_things_fault),
		T(priorities_and_eoi),
		T(disabled_means_no_interrupts),
		T(vectors_below_16_are_errors),
		T(ipis_find_their_targets),
		T(vcpus_start_each_other),
		T(devices_start_no_vcpu),
		T(msis_are_routed),
		T(level_triggered_tells_the_ioapic),
		T(one_shot),
		T(divide_values),
		T(periodic),
		T(tsc_deadline),
		T(the_page_is_for_xapic_mode),
		T(garbage_by_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
