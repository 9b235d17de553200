/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's local APIC (SDM 3A, "Advanced Programmable Interrupt Controller"). One set of register
 * numbers: an x2APIC register is MSR 0x800 + n, an xAPIC one lies at n * 16. All local vectors
 * are masked but the timer's; what the firmware left in service is ended. SVR bit 12 stays 0: it
 * faults under Bochs in x2APIC mode.
 */
#include "hv/cpu/lapic.h"

#include "hv/cpu/msr.h"

enum lapic_register { /* SDM 3A, table "Local APIC Register Address Map", offset / 16 */
		      LAPIC_ID = 0x02,
		      LAPIC_VERSION = 0x03,
		      LAPIC_TPR = 0x08,
		      LAPIC_EOI = 0x0b,
		      LAPIC_SVR = 0x0f,
		      LAPIC_ISR = 0x10,
		      LAPIC_ESR = 0x28,
		      LAPIC_ICR_LOW = 0x30,
		      LAPIC_ICR_HIGH = 0x31,
		      LAPIC_LVT_TIMER = 0x32,
		      LAPIC_LVT_THERMAL = 0x33,
		      LAPIC_LVT_PERF = 0x34,
		      LAPIC_LVT_LINT0 = 0x35,
		      LAPIC_LVT_LINT1 = 0x36,
		      LAPIC_LVT_ERROR = 0x37,
		      LAPIC_TIMER_INITIAL = 0x38,
		      LAPIC_TIMER_CURRENT = 0x39,
		      LAPIC_TIMER_DIVIDE = 0x3e,
};

#define SVR_ENABLE	 0x100u
#define LVT_MASKED	 0x10000u
#define LVT_PERIODIC	 0x20000u
#define LVT_TSC_DEADLINE 0x40000u
#define DIVIDE_BY_1	 0x0bu
#define ICR_FIXED	 0x000u
#define ICR_NMI		 0x400u
#define ICR_INIT	 0x500u
#define ICR_SIPI	 0x600u
#define ICR_PENDING	 0x1000u
#define ICR_ASSERT	 0x4000u
#define ICR_SELF	 0x40000u

#define ICR_WAIT_READS 1000000u
#define CALIBRATE_MS   10
#define LEAST_US       20 /* of the count-down timer, which repeats until it is set anew */

#define NEVER (~0ull)

static volatile uint32_t *xapic; /* constant after lapic_probe() */
static bool x2apic;
static bool tsc_deadline;
static uint64_t counts_per_tick; /* of the count-down timer per TSC tick, times 2^32 */
static uint32_t least_counts;

static uint32_t lapic_read(enum lapic_register reg)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC_FIRST + reg) : xapic[reg * 4];
}

static void lapic_write(enum lapic_register reg, uint32_t value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC_FIRST + reg, value);
	else
		xapic[reg * 4] = value;
}

bool lapic_probe(void *mmio)
{
	uint32_t features = cpuid(1, 0).ecx;

	xapic = mmio;
	x2apic = features & BIT(21);
	tsc_deadline = features & BIT(24);
	return x2apic || xapic;
}

bool lapic_is_x2apic(void)
{
	return x2apic;
}

/* The firmware may have been in a handler when it left: end what is in service. */
static void end_all_in_service(void)
{
	for (unsigned i = 0; i < 8; i++)
		for (unsigned n = 0; n < 32 && lapic_read(LAPIC_ISR + i); n++)
			lapic_eoi();
}

static void mask_local_vectors(void)
{
	unsigned max_lvt = lapic_read(LAPIC_VERSION) >> 16 & 0xff;

	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LVT_MASKED);
	lapic_write(LAPIC_LVT_ERROR, LVT_MASKED | VECTOR_SPURIOUS);
	if (max_lvt >= 4)
		lapic_write(LAPIC_LVT_PERF, LVT_MASKED);
	if (max_lvt >= 5)
		lapic_write(LAPIC_LVT_THERMAL, LVT_MASKED);
}

void lapic_init_cpu(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	wrmsr(MSR_APIC_BASE, base); /* x2APIC is entered from xAPIC mode only */
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	lapic_write(LAPIC_TPR, 0);
	mask_local_vectors();
	end_all_in_service();
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER,
		    VECTOR_TIMER | (tsc_deadline ? LVT_TSC_DEADLINE : LVT_PERIODIC));
	/* SDM 3A, "TSC-Deadline Mode": the LVT write must be seen before the first deadline. */
	__asm__ volatile("mfence" : : : "memory");
}

uint32_t lapic_id(void)
{
	uint32_t id = lapic_read(LAPIC_ID);

	return x2apic ? id : id >> 24;
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

static void wait_delivered(void)
{
	for (unsigned i = 0; i < ICR_WAIT_READS; i++) {
		if (!(lapic_read(LAPIC_ICR_LOW) & ICR_PENDING))
			return;
		__builtin_ia32_pause();
	}
}

/* An x2APIC write does not wait for earlier stores (SDM 3A, "MSR Access in x2APIC Mode"); who gets
 * the interrupt must see what it was sent for. */
static void send(uint32_t apic_id, uint32_t command)
{
	if (x2apic) {
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC_FIRST + LAPIC_ICR_LOW, (uint64_t)apic_id << 32 | command);
		return;
	}
	wait_delivered();
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, command);
}

void lapic_send_ipi(uint32_t apic_id, uint8_t vector)
{
	send(apic_id, ICR_FIXED | ICR_ASSERT | vector);
}

void lapic_interrupt_self(uint8_t vector)
{
	send(0, ICR_FIXED | ICR_ASSERT | ICR_SELF | vector);
}

void lapic_send_nmi(uint32_t apic_id)
{
	send(apic_id, ICR_NMI | ICR_ASSERT);
}

void lapic_send_init(uint32_t apic_id)
{
	send(apic_id, ICR_INIT | ICR_ASSERT);
}

void lapic_send_sipi(uint32_t apic_id, uint8_t page)
{
	send(apic_id, ICR_SIPI | ICR_ASSERT | page);
}

/* The count-down timer's rate against the TSC. With TSC deadline there is nothing to find out. */
void lapic_timer_calibrate(uint64_t tsc_khz)
{
	uint64_t start, ticks = tsc_khz * CALIBRATE_MS, elapsed;
	uint32_t counts;

	if (tsc_deadline)
		return;
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	start = rdtsc();
	lapic_write(LAPIC_TIMER_INITIAL, ~0u);
	while (rdtsc() - start < ticks)
		__builtin_ia32_pause();
	counts = ~0u - lapic_read(LAPIC_TIMER_CURRENT);
	elapsed = rdtsc() - start;
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | LVT_PERIODIC);
	counts_per_tick = ((uint64_t)counts << 32) / elapsed;
	least_counts = (uint32_t)((uint64_t)counts * LEAST_US / (1000 * CALIBRATE_MS)) + 1;
}

/*
 * A wait longer than the counter reaches ends early, and is set again for the rest. The timer goes on
 * with the same wait until it is set anew: QEMU's VMRUN sets V_IRQ in a word that tells of interrupts
 * from other threads, too, without a lock, so that one of these may be lost.
 */
static void count_down(uint64_t ticks)
{
	unsigned __int128 counts = (unsigned __int128)ticks * counts_per_tick >> 32;

	if (counts > ~0u)
		counts = ~0u;
	lapic_write(LAPIC_TIMER_INITIAL, counts < least_counts ? least_counts : (uint32_t)counts);
}

void lapic_timer_set(uint64_t deadline_tsc, uint64_t now_tsc)
{
	if (tsc_deadline)
		wrmsr(MSR_TSC_DEADLINE, deadline_tsc == NEVER ? 0 : deadline_tsc);
	else if (deadline_tsc == NEVER)
		lapic_write(LAPIC_TIMER_INITIAL, 0);
	else
		count_down(deadline_tsc > now_tsc ? deadline_tsc - now_tsc : 0);
}
