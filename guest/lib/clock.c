/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TSC's rate: CPUID 0x40000010 (VMware's timing leaf, which lasthop fills), else CPUID 15h,
 * else measured with the ACPI PM timer (plain emulators, for trying guests without lasthop). The
 * APIC timer's rate stands in the same leaf, else it is measured with the TSC.
 */
#include "guest/lib/clock.h"

#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"

enum { PM_TIMER_HZ = 3579545, FADT_PM_TMR_BLK = 76, PM_TICKS = PM_TIMER_HZ / 50 };

#define CPUID_TIMING_LEAF  0x40000010u
#define CPUID_KVM_FEATURES 0x40000001u
#define KVM_CLOCK	   (1u << 3)
#define MSR_WALL_CLOCK	   0x4b564d00u
#define SECOND_NS	   1000000000ull

static uint64_t tsc_khz = 1000000, apic_khz;
static const char *source = "guess";

static bool rate_from_timing_leaf(void)
{
	struct cpuid r = cpuid(0x40000000, 0);

	if (!(cpuid(1, 0).ecx >> 31) || r.eax < CPUID_TIMING_LEAF || r.eax > 0x4fffffff)
		return false;
	r = cpuid(CPUID_TIMING_LEAF, 0);
	if (!r.eax)
		return false;
	tsc_khz = r.eax;
	apic_khz = r.ebx;
	source = "CPUID 0x40000010";
	return true;
}

static bool rate_from_leaf_15(void)
{
	struct cpuid r;

	if (cpuid(0, 0).eax < 0x15)
		return false;
	r = cpuid(0x15, 0);
	if (!r.eax || !r.ebx || !r.ecx)
		return false;
	tsc_khz = (uint64_t)r.ecx * r.ebx / r.eax / 1000;
	source = "CPUID 0x15";
	return true;
}

static bool rate_from_pm_timer(void)
{
	const uint8_t *fadt = acpi_table("FACP");
	uint16_t port;
	uint32_t begin, passed = 0;
	uint64_t tsc;

	if (!fadt)
		return false;
	port = (uint16_t)(fadt[FADT_PM_TMR_BLK] | fadt[FADT_PM_TMR_BLK + 1] << 8);
	if (!port)
		return false;
	begin = in32(port);
	tsc = rdtsc();
	for (unsigned i = 0; i < 100000000 && passed < PM_TICKS; i++)
		passed = (in32(port) - begin) & 0xffffff; /* 24 bits at least */
	if (passed < PM_TICKS)
		return false;
	tsc_khz = (rdtsc() - tsc) * (PM_TIMER_HZ / 1000) / passed;
	source = "PM timer";
	return true;
}

static void measure_apic(void)
{
	uint64_t end = rdtsc() + clock_ms(10);
	uint32_t left;

	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
	while (rdtsc() < end)
		cpu_pause();
	left = lapic_read(LAPIC_TIMER_CURRENT);
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	apic_khz = (UINT32_MAX - left) / 10;
}

void clock_init(void)
{
	if (!rate_from_timing_leaf() && !rate_from_leaf_15())
		(void)rate_from_pm_timer(); /* else the guess stays; clock_source() says so */
	if (!apic_khz && !lapic_has_deadline())
		measure_apic();
}

uint64_t clock_tsc_khz(void)
{
	return tsc_khz;
}

uint64_t clock_apic_khz(void)
{
	return apic_khz;
}

const char *clock_source(void)
{
	return source;
}

uint64_t clock_ms(uint64_t ms)
{
	return ms * tsc_khz;
}

uint64_t clock_us(uint64_t us)
{
	return us * tsc_khz / 1000;
}

uint64_t clock_ns(uint64_t ticks)
{
	return ticks / tsc_khz * 1000000 + ticks % tsc_khz * 1000000 / tsc_khz;
}

uint64_t clock_wall_ns(void)
{
	static volatile struct {
		uint32_t version, sec, nsec;
	} when; /* the TSC was 0 */

	if (!(cpuid(1, 0).ecx >> 31) || !(cpuid(CPUID_KVM_FEATURES, 0).eax & KVM_CLOCK))
		return 0;
	if (!when.version)
		wrmsr(MSR_WALL_CLOCK, (uintptr_t)&when);
	return when.sec * SECOND_NS + when.nsec + clock_ns(rdtsc());
}

void clock_wait(uint64_t deadline)
{
	uint64_t armed = timer_armed();

	if (!armed || armed > deadline)
		timer_arm(deadline);
	cpu_wait();
}
