/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which MSRs does a guest reach without an exit? With its APIC virtualised those x2APIC registers that
 * the processor answers right, and no other: all MSRs are tried. Links: hv/cpu/vmx/msr.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/vmx/vmx_impl.h"

#include <cmocka.h> /* last: it has a macro fail() */

void vmx_begin(struct vmx_vcpu *v)
{
	(void)v;
}

void vmx_end(struct vmx_vcpu *v)
{
	(void)v;
}

bool efer_write(struct vmx_vcpu *v, uint64_t value)
{
	(void)v;
	return value == 0;
}

/* SDM 3A, "x2APIC Register Address Space": those that exist, by how they are reached. */
static const struct {
	uint32_t first, last;
	bool read, write;
} rows[] = {
	{ 0x802, 0x803, true, false }, /* ID, version */
	{ 0x808, 0x808, true, true },  /* TPR */
	{ 0x80a, 0x80a, true, false }, /* PPR */
	{ 0x80b, 0x80b, false, true }, /* EOI */
	{ 0x80d, 0x80d, true, false }, /* LDR; 0x80e, DFR, is no MSR */
	{ 0x80f, 0x80f, true, false }, /* SVR */
	{ 0x810, 0x828, true, false }, /* ISR, TMR, IRR, ESR */
	{ 0x832, 0x838, true,
	  false }, /* LVT, initial count; 0x830, ICR, and 0x839, the count, exit */
	{ 0x83e, 0x83e, true, false }, /* divide configuration */
	{ 0x83f, 0x83f, false, true }, /* SELF IPI */
};

static bool listed(uint32_t msr, bool write)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (msr >= rows[i].first && msr <= rows[i].last)
			return write ? rows[i].write : rows[i].read;
	return false;
}

static void x2apic_registers(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 0x4000; i++) {
		uint32_t msr = i < 0x2000 ? i : 0xc0000000 + i - 0x2000;

		assert_int_equal(x2apic_passes(msr, false), listed(msr, false));
		assert_int_equal(x2apic_passes(msr, true), listed(msr, true));
		if (msr >= 0x800 && msr <= 0x8ff)
			assert_false(msr_passes(msr)); /* they would be this CPU's own */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(x2apic_registers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
