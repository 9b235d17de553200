/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Are x87, SSE, AVX and what else XCR0 offers a vCPU's own? Each vCPU fills all of it with a pattern
 * of its own and looks again after a while of running, exits and sleep under a fast timer, while
 * others with other patterns use the same CPU. Are CPUID 0xD's sizes those that XSAVE writes, and
 * is an XSETBV of what may not be a #GP? Boot arguments: ms=N how long; seed=N; cpus=N.
 */
#include <stddef.h>

#include "guest/lib/apic.h"
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/smp.h"
#include "guest/lib/string.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

/* SDM 1, "Managing State Using the XSAVE Feature Set": the legacy area and the header */
enum { AREA = 4096, FCW = 0, MXCSR = 24, ST = 32, XMM = 160, XMM_END = 416, HEADER = 512 };
enum { EXTENDED = 576, LEGACY_BITS = 3, AVX_BIT = 4 };
enum { TICK_NS = 50000 };
enum { CPUID1_ECX_XSAVE = 1 << 26, CPUID1_ECX_OSXSAVE = 1 << 27 };
enum { CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10, CR4_OSXSAVE = 1 << 18 };
#define CANARY 0xa5

struct area {
	uint8_t bytes[AREA];
} __attribute__((aligned(64)));

static unsigned count;
static uint64_t offered, run_ms, seed;
static struct area wanted[SMP_MAX], found[SMP_MAX];
static _Atomic uint32_t rounds, wrong;

static void xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void xsave(struct area *to, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(to), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static void xrstor(const struct area *from, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(from), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static void enable(void)
{
	uint64_t cr4;

	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4));
	xsetbv(offered);
}

/* ---- what CPUID and XSETBV say ---- */

static int try_xsetbv(uint32_t which, uint64_t value)
{
	TRAP_TRY("xsetbv",
		 :
		 : "c"(which), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		 : "r11", "memory");
	return trap_vector;
}

static void check_xsetbv(void)
{
	static const struct {
		uint32_t which;
		uint64_t value;
	} bad[] = { { 0, 0 },
		    { 0, 2 },
		    { 0, 6 },
		    { 0, 1ull << 63 | 3 },
		    { 0, 1ull << 62 | 3 },
		    { 0, 1ull << 32 | 3 },
		    { 0, 0x23 },
		    { 0, 0x0b },
		    { 1, 3 },
		    { 0x80000000, 3 } };
	unsigned faults = 0;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int vector = try_xsetbv(bad[i].which, bad[i].value);

		faults += vector == TRAP_GP && !trap_error;
		if (vector != TRAP_GP)
			print("fpu: XSETBV %x of %lx: vector %d\n", bad[i].which, bad[i].value,
			      vector);
	}
	check(faults == sizeof(bad) / sizeof(bad[0]), "xsetbv", "XSETBV of what may not be is #GP");
	check(xgetbv() == offered, "xsetbv-same", "and changes nothing");
	if (offered & AVX_BIT)
		check(try_xsetbv(0, 5) == TRAP_GP, "xsetbv-avx", "AVX without SSE is #GP");
	check(try_xsetbv(0, 1) == -1 && try_xsetbv(0, 3) == -1 && try_xsetbv(0, offered) == -1,
	      "xsetbv-good", "what may be raises nothing");
}

/* Size of the area for these components, by the leaves of each. */
static uint32_t size_for(uint64_t xcr0)
{
	uint32_t size = EXTENDED;

	for (unsigned i = 2; i < 63; i++) {
		struct cpuid part = cpuid(0xd, i);

		if (xcr0 >> i & 1 && part.ebx + part.eax > size)
			size = part.ebx + part.eax;
	}
	return size;
}

static bool size_true(uint64_t xcr0)
{
	static struct area area;
	uint32_t said, end = AREA;

	xsetbv(offered);
	xrstor(&wanted[0], offered); /* all in use, so that all is written */
	xsetbv(xcr0);
	said = cpuid(0xd, 0).ebx;
	memset(&area, CANARY, sizeof(area));
	memset(area.bytes + HEADER, 0, EXTENDED - HEADER);
	xsave(&area, ~0ull);
	while (end > 0 && area.bytes[end - 1] == CANARY)
		end--;
	xsetbv(offered);
	if (said != size_for(xcr0) || end > said || (xcr0 & ~3ull && end != said))
		print("fpu: XCR0 %lx: CPUID says %u, %u by component, XSAVE writes %u\n", xcr0,
		      said, size_for(xcr0), end);
	return said == size_for(xcr0) && end <= said && (!(xcr0 & ~3ull) || end == said);
}

static void check_cpuid(void)
{
	struct cpuid all = cpuid(0xd, 0);
	unsigned strangers = 0;

	check(cpuid(1, 0).ecx & CPUID1_ECX_OSXSAVE, "osxsave", "CPUID shows CR4.OSXSAVE");
	check(all.ecx == size_for(offered) && all.ecx <= AREA, "size-all",
	      "CPUID 0xD tells the size for all that is offered");
	check(size_true(1) && size_true(3) && size_true(offered), "size",
	      "and for what XCR0 holds, which is what XSAVE writes");
	for (unsigned i = 2; i < 63; i++) {
		struct cpuid part = cpuid(0xd, i);

		strangers += !(offered >> i & 1) && (part.eax || part.ebx || part.ecx || part.edx);
		strangers +=
			(offered >> i & 1) && (!part.eax || part.ebx < EXTENDED || part.ecx & 1);
	}
	check(!strangers, "parts", "it describes the components that are offered, and no other");
}

/* ---- patterns ---- */

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static void fill(uint8_t *at, unsigned bytes, uint64_t *state)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(next(state) >> 32);
}

/* All components in use, each byte of theirs that there is random. */
static void make_pattern(struct area *a, uint64_t state)
{
	uint16_t fcw = 0x37f;
	uint32_t mxcsr = 0x1f80 | (uint32_t)(next(&state) & 0x3f); /* exceptions that have been */

	memset(a, 0, sizeof(*a));
	memcpy(a->bytes + FCW, &fcw, sizeof(fcw));
	a->bytes[4] = 0xff; /* all x87 registers in use */
	memcpy(a->bytes + MXCSR, &mxcsr, sizeof(mxcsr));
	for (unsigned i = 0; i < 8; i++)
		fill(a->bytes + ST + 16 * i, 10, &state);
	fill(a->bytes + XMM, XMM_END - XMM, &state);
	memcpy(a->bytes + HEADER, &offered, sizeof(offered));
	for (unsigned i = 2; i < 63; i++) {
		struct cpuid part = cpuid(0xd, i);

		if (offered >> i & 1)
			fill(a->bytes + part.ebx, part.eax, &state);
	}
}

/* How many bytes of the components differ. */
static unsigned differences(const struct area *a, const struct area *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++)
		n += memcmp(a->bytes + ST + 16 * i, b->bytes + ST + 16 * i, 10) != 0;
	n += memcmp(a->bytes + MXCSR, b->bytes + MXCSR, 4) != 0;
	n += memcmp(a->bytes + XMM, b->bytes + XMM, XMM_END - XMM) != 0;
	for (unsigned i = 2; i < 63; i++) {
		struct cpuid part = cpuid(0xd, i);

		if (offered >> i & 1)
			n += memcmp(a->bytes + part.ebx, b->bytes + part.ebx, part.eax) != 0;
	}
	return n;
}

static void tick(void)
{
	lapic_write(LAPIC_LVT_TIMER, IRQ_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL,
		    (uint32_t)((uint64_t)TICK_NS * clock_apic_khz() / 1000000));
}

/* One-shot, and armed again here: a slow test bed has time left for more than interrupts. */
static void on_irq(unsigned vector)
{
	if (vector == IRQ_TIMER)
		tick();
}

/* Running, an exit, HLT; in one round of four with AVX switched off and on again. */
static void pass_time(unsigned round)
{
	uint64_t end = rdtsc() + clock_us(100 + round % 7 * 50);

	if (round % 4 == 3)
		xsetbv(LEGACY_BITS);
	__asm__ volatile("sti" : : : "memory");
	while (rdtsc() < end && round % 3)
		cpu_pause();
	__asm__ volatile("cli" : : : "memory");
	(void)cpuid(0, 0);
	cpu_wait();
	xsetbv(offered);
}

static void keep_pattern(void)
{
	unsigned id = smp_self()->id;
	uint64_t end = rdtsc() + clock_ms(run_ms);

	enable();
	tick();
	for (unsigned round = 0; rdtsc() < end; round++) {
		make_pattern(&wanted[id], (seed * SMP_MAX + id + 1) * 0x9e3779b97f4a7c15 + round);
		xrstor(&wanted[id], offered);
		pass_time(round);
		memset(&found[id], 0, sizeof(found[id]));
		xsave(&found[id], offered);
		atomic_fetch_add(&wrong, differences(&wanted[id], &found[id]) != 0);
		atomic_fetch_add(&rounds, 1);
	}
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
}

int guest_main(void)
{
	struct cpuid all;

	(void)args_u64(guest_cmdline(), "ms", 300, &run_ms);
	(void)args_u64(guest_cmdline(), "seed", 1, &seed);
	if (!(cpuid(1, 0).ecx & CPUID1_ECX_XSAVE)) {
		skip("fpu", "no XSAVE is offered");
		return 0;
	}
	count = smp_init();
	for (unsigned id = 1; id < count; id++)
		if (!smp_start(id, 8))
			guest_fail("vCPU %u does not start", id);
	all = cpuid(0xd, 0);
	offered = (uint64_t)all.edx << 32 | all.eax;
	print("fpu: %u vCPUs, XCR0 offers %lx, %u bytes\n", count, offered, all.ecx);
	enable();
	make_pattern(&wanted[0], 99);
	check_xsetbv();
	check_cpuid();
	smp_on_irq = on_irq;
	smp_everywhere(count, keep_pattern);
	print("fpu: %u rounds, %u wrong\n", atomic_load(&rounds), atomic_load(&wrong));
	check(atomic_load(&rounds) >= count && !atomic_load(&wrong), "state",
	      "each vCPU found its own registers each time");
	return check_status();
}
