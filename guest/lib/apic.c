/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC and its timer (SDM 3A chapter 11). */
#include "guest/lib/apic.h"

#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"

enum { APIC_BASE_ENABLE = 1 << 11, APIC_BASE_X2APIC = 1 << 10, SVR_ENABLE = 1 << 8 };
enum { CPUID1_ECX_X2APIC = 1 << 21, CPUID1_ECX_DEADLINE = 1 << 24 };

enum { PIC_MASTER_MASK = 0x21, PIC_SLAVE_MASK = 0xa1 }; /* 8259A, OCW1 */

static bool x2apic, deadline;
static uint64_t window;	  /* without x2APIC: where the registers are */
static uint64_t armed_at; /* TSC, 0: not armed */

uint32_t lapic_init_cpu(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);
	uint32_t svr;

	base |= APIC_BASE_ENABLE;
	if (!(base & APIC_BASE_X2APIC)) /* which INIT leaves as it is */
		wrmsr(MSR_APIC_BASE, base);
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	svr = lapic_read(LAPIC_SVR);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_SVR, SVR_ENABLE | IRQ_SPURIOUS);
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED); /* no 8259, should there be one */
	lapic_write(LAPIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	return svr;
}

void lapic_init(void)
{
	uint32_t features = cpuid(1, 0).ecx;

	x2apic = features & CPUID1_ECX_X2APIC;
	deadline = features & CPUID1_ECX_DEADLINE;
	window = rdmsr(MSR_APIC_BASE) & 0xffffff000ull;
	/* Where there is a PC's firmware (QEMU without lasthop): an interrupt of the 8259 that waits must
	 * go before LINT0 is masked, else QEMU takes it later, as vector -1, which is a #GP. */
	out8(PIC_MASTER_MASK, 0xff);
	out8(PIC_SLAVE_MASK, 0xff);
	(void)lapic_init_cpu();
}

bool lapic_is_x2apic(void)
{
	return x2apic;
}

bool lapic_has_deadline(void)
{
	return deadline;
}

uint32_t lapic_read(unsigned reg)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + reg) : mmio_read32(window + 16 * reg);
}

void lapic_write(unsigned reg, uint32_t value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + reg, value);
	else
		mmio_write32(window + 16 * reg, value);
}

uint32_t lapic_id(void)
{
	return x2apic ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

void timer_arm(uint64_t tsc)
{
	uint64_t now, count;

	if (deadline) {
		if (!armed_at) {
			lapic_write(LAPIC_LVT_TIMER, IRQ_TIMER | LVT_TSC_DEADLINE);
			/* SDM 3A 11.5.4.1: the mode must be set before the deadline is */
			__asm__ volatile("mfence" : : : "memory");
		}
		wrmsr(MSR_TSC_DEADLINE, tsc);
	} else {
		now = rdtsc();
		count = tsc > now ? (tsc - now) * clock_apic_khz() / clock_tsc_khz() : 0;
		if (count > UINT32_MAX)
			count = UINT32_MAX;
		lapic_write(LAPIC_LVT_TIMER, IRQ_TIMER);
		lapic_write(LAPIC_TIMER_INITIAL, count ? (uint32_t)count : 1);
	}
	armed_at = tsc;
}

void timer_stop(void)
{
	if (deadline)
		wrmsr(MSR_TSC_DEADLINE, 0);
	else
		lapic_write(LAPIC_TIMER_INITIAL, 0);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	armed_at = 0;
}

uint64_t timer_armed(void)
{
	return armed_at;
}

void timer_fired(void)
{
	armed_at = 0;
}
