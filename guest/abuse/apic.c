/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC by its MSRs and its page, and the I/O APIC. */
#include "guest/abuse/abuse.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"

enum { PAGE = 0, BASE_ENABLE = 1 << 11, BASE_X2APIC = 1 << 10 };
enum { ICR = 0x30, ICR_HIGH = 0x31, IOAPIC_PINS = 24, MODE_INIT = 5 };
#define LAPIC_PAGE  0xfee00000ull
#define IOAPIC_PAGE 0xfec00000ull

/* INIT would restart the VM. */
static uint64_t icr_value(void)
{
	uint64_t mode = random_below(8);

	if (mode == MODE_INIT)
		mode = 0;
	return (random_u64() & 0xc08ff) | mode << 8 | (one_in(8) ? random_u64() & 0xfffff000 : 0) |
	       (one_in(2) ? 0 : random_value() << 32);
}

static void write_reg(unsigned reg, uint64_t value)
{
	if (reg == ICR)
		value = icr_value();
	if (lapic_is_x2apic() && rdmsr(MSR_APIC_BASE) & BASE_X2APIC)
		wrmsr(MSR_X2APIC + reg, value);
	else
		mmio_write32(LAPIC_PAGE + 16 * reg, (uint32_t)value);
}

static void wild_register(void)
{
	write_reg((unsigned)random_below(0x40), random_value());
}

static void timer(void)
{
	static const uint32_t counts[] = { 0, 1, 2, 1000, 0x7fffffff, 0xffffffff };
	static const uint64_t moments[] = { 0, 1, ~0ull, ~0ull - 1, 1ull << 63 };

	write_reg(LAPIC_TIMER_DIVIDE, random_below(16));
	write_reg(LAPIC_LVT_TIMER, random_u64() & 0x700ff);
	write_reg(LAPIC_TIMER_INITIAL, counts[random_below(6)]);
	wrmsr(MSR_TSC_DEADLINE,
	      one_in(2) ? moments[random_below(5)] : rdtsc() + random_below(5000));
	write_reg(LAPIC_LVT_TIMER, random_u64() & 0x700ff);
}

static void mode(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	if (one_in(2))
		wrmsr(MSR_APIC_BASE, base & ~(uint64_t)(BASE_ENABLE | BASE_X2APIC));
	if (one_in(2))
		wrmsr(MSR_APIC_BASE, (base & ~(uint64_t)BASE_X2APIC) | BASE_ENABLE);
	if (one_in(2))
		wrmsr(MSR_APIC_BASE, base ^ random_value());
}

static void self_storm(void)
{
	for (uint64_t n = random_below(300); n; n--)
		write_reg(one_in(3) ? ICR : LAPIC_SELF_IPI, 16 + random_below(240));
}

static void eoi_storm(void)
{
	for (uint64_t n = random_below(300); n; n--)
		write_reg(LAPIC_EOI, 0);
}

static void ioapic(void)
{
	for (unsigned i = 0; i < 16; i++) {
		uint32_t reg = one_in(4) ? (uint32_t)random_u64() & 0xff
					 : 0x10 + (uint32_t)random_below(2 * IOAPIC_PINS);

		mmio_write32(IOAPIC_PAGE, reg);
		mmio_write32(IOAPIC_PAGE + 0x10,
			     (uint32_t)random_value() & (one_in(2) ? ~0x10000u : ~0u));
		if (one_in(4))
			mmio_write32(IOAPIC_PAGE + 0x40, (uint32_t)random_u64());
		out8(0x3f9, (uint8_t)random_below(16)); /* the UART's interrupts pull its pin */
		(void)in8(0x3fa);
	}
}

static void page(void)
{
	uint64_t at = LAPIC_PAGE + random_below(4096);

	mmio_write32(LAPIC_PAGE + 16 * ICR_HIGH, (uint32_t)random_value());
	(void)mmio_read64(at);
	(void)mmio_read8(at);
	if ((at & 0xff0) != 16 * ICR)
		mmio_write32(at, (uint32_t)random_value());
}

void act_apic(void)
{
	static abuse_act *const acts[] = { wild_register, wild_register, timer,	 mode,
					   self_storm,	  eoi_storm,	 ioapic, page };

	for (unsigned i = 0; i < 8; i++)
		acts[random_below(sizeof(acts) / sizeof(acts[0]))]();
}

void mend_apic(void)
{
	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++) {
		mmio_write32(IOAPIC_PAGE, 0x10 + 2 * pin);
		mmio_write32(IOAPIC_PAGE + 0x10, 0x10000); /* masked */
	}
	out8(0x3f9, 0);
}
