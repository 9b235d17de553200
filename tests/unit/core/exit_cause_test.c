/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each VM exit put down to what it was for: of host interrupts and deadlines, to the time that has come? */
#include "hv/core/exit_cause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/vcpu.h"

#include <cmocka.h> /* whose fail() is not ours */

#define PAST  1
#define NEVER TIMER_NEVER

static void times(void **state)
{
	static const struct {
		enum vmexit_kind kind;
		uint64_t timer, flush, slice;
		enum exit_cause want;
	} cases[] = {
		{ VMEXIT_DEADLINE, PAST, PAST, PAST, EXIT_CAUSE_timer },
		{ VMEXIT_DEADLINE, NEVER, PAST, PAST, EXIT_CAUSE_flush },
		{ VMEXIT_DEADLINE, NEVER, NEVER, PAST, EXIT_CAUSE_slice },
		{ VMEXIT_INTERRUPT, PAST, NEVER, NEVER, EXIT_CAUSE_timer }, /* SVM's deadline */
		{ VMEXIT_INTERRUPT, NEVER, NEVER, NEVER, EXIT_CAUSE_interrupt },
		{ VMEXIT_INTERRUPT_TAKEN, NEVER, NEVER, NEVER, EXIT_CAUSE_interrupt },
		{ VMEXIT_HLT, PAST, PAST, PAST, EXIT_CAUSE_hlt },
		{ VMEXIT_MMIO, PAST, PAST, PAST, EXIT_CAUSE_mmio },
		{ VMEXIT_CR8, PAST, PAST, PAST, EXIT_CAUSE_priority },
		{ VMEXIT_APIC_EOI, PAST, PAST, PAST, EXIT_CAUSE_eoi },
		{ VMEXIT_IRQ_WINDOW, PAST, PAST, PAST, EXIT_CAUSE_window },
		{ VMEXIT_PAUSE, PAST, PAST, PAST, EXIT_CAUSE_pause },
		{ VMEXIT_IO, PAST, PAST, PAST, EXIT_CAUSE_io },
		{ VMEXIT_CPUID, PAST, PAST, PAST, EXIT_CAUSE_other },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct vcpu v = { .timer_tsc = cases[i].timer,
					.flush_tsc = cases[i].flush,
					.slice_end_tsc = cases[i].slice };
		const struct vmexit exit = { .kind = cases[i].kind };

		assert_int_equal(exit_cause(&v, &exit), cases[i].want);
	}
}

static void registers(void **state)
{
	static const struct {
		uint64_t msr;
		enum exit_cause want;
	} cases[] = {
		{ 0x6e0, EXIT_CAUSE_timer },	 { 0x80b, EXIT_CAUSE_eoi },
		{ 0x830, EXIT_CAUSE_ipi },	 { 0x10, EXIT_CAUSE_other },
		{ 0x83f, EXIT_CAUSE_ipi },	 { 0x808, EXIT_CAUSE_priority },
		{ 0x10000080b, EXIT_CAUSE_eoi }, /* ECX counts */
	};
	const struct vmexit exit = { .kind = VMEXIT_WRMSR };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct vcpu v = { .gpr[GPR_RCX] = cases[i].msr };

		assert_int_equal(exit_cause(&v, &exit), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
