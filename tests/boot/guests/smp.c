/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do a VM's vCPUs start by INIT-SIPI-SIPI, in the state that the manual says, with the topology
 * that CPUID and the MADT tell; do IPIs and NMIs of each kind reach whom they are for, once; does
 * INIT stop a vCPU and a SIPI bring it back; is the TSC one clock; is LOCK a lock? Boot arguments:
 * cpus=N how many there must be; ms=N how long the clock is watched; reset=1: in the end a vCPU
 * sends INIT to vCPU 0, which resets the VM.
 */
#include <stddef.h>

#include "guest/lib/apic.h"
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/smp.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

enum { PAGE_A = 0x08, PAGE_B = 0x9e, IRQ_A = 0x70, IRQ_RING = 0x71 };
enum { APIC_BASE_BSP = 1 << 8, CR0_PE = 1, CPUID1_EDX_HTT = 1 << 28 };
enum { PATIENCE_MS = 30000, RESTARTS = 20, RINGS = 20, LOCKS = 2000 };

static unsigned count;

/* How many of the vCPUs from first on are not all right. */
static unsigned wrong(unsigned first, bool (*good)(const struct smp_cpu *cpu))
{
	unsigned n = 0;

	for (unsigned id = first; id < count; id++)
		n += !good(&smp_cpus[id]);
	return n;
}

/* ---- start ---- */

static bool state_good(const struct smp_cpu *cpu)
{
	bool good = cpu->start_cs == PAGE_A << 8 && !(cpu->start_cr0 & CR0_PE) &&
		    cpu->start_edx == cpuid(1, 0).eax && cpu->start_svr == 0xff &&
		    !(cpu->start_apic_base & APIC_BASE_BSP);

	if (!good)
		print("smp: %u: cs %x cr0 %x edx %x svr %x apic base %x\n", cpu->id, cpu->start_cs,
		      cpu->start_cr0, cpu->start_edx, cpu->start_svr, cpu->start_apic_base);
	return good;
}

static void check_start(void)
{
	unsigned started = 1;

	for (unsigned id = 1; id < count; id++)
		started += smp_start(id, PAGE_A);
	print("smp: %u vCPUs, %u run\n", count, started);
	if (!check(started == count, "start", "every vCPU starts by INIT-SIPI-SIPI"))
		guest_end(1);
	check(!wrong(1, state_good), "start-state", "in real mode, in the state after INIT");
	for (unsigned id = 1; id < count; id++)
		smp_ipi(id, ICR_STARTUP | ICR_ASSERT | PAGE_B);
	clock_wait(rdtsc() + clock_ms(1));
	for (unsigned id = 1; id < count; id++)
		started -= atomic_load(&smp_cpus[id].starts) != 1;
	check(started == count, "start-once", "a SIPI to one that runs is ignored");
}

/* ---- topology ---- */

static struct {
	uint32_t x2apic, leaf1, leaf1_count, leafb, leafb_count, shift, type2, leaf4;
	bool htt;
} seen[SMP_MAX];

static void look(void)
{
	unsigned id = smp_self()->id;
	struct cpuid one = cpuid(1, 0), core = cpuid(0xb, 1);

	seen[id].x2apic = lapic_id();
	seen[id].leaf1 = one.ebx >> 24;
	seen[id].leaf1_count = one.ebx >> 16 & 0xff;
	seen[id].htt = one.edx & CPUID1_EDX_HTT;
	seen[id].leafb = core.edx;
	seen[id].leafb_count = core.ebx & 0xffff;
	seen[id].shift = core.eax & 31;
	seen[id].type2 = cpuid(0xb, 2).ecx >> 8 & 0xff;
	seen[id].leaf4 = cpuid(4, 0).eax & 31 ? (cpuid(4, 0).eax >> 26) + 1 : 0;
}

static bool ids_good(const struct smp_cpu *cpu)
{
	return seen[cpu->id].x2apic == cpu->id && seen[cpu->id].leaf1 == cpu->id &&
	       seen[cpu->id].leafb == cpu->id;
}

static bool counts_good(const struct smp_cpu *cpu)
{
	unsigned id = cpu->id, room = 1u << seen[id].shift;

	return seen[id].leafb_count == count && !seen[id].type2 && room >= count &&
	       room < 2 * count && seen[id].htt == (count > 1) &&
	       (count == 1 || seen[id].leaf1_count == count) &&
	       (!seen[id].leaf4 || seen[id].leaf4 == room);
}

static void check_topology(void)
{
	struct cpuid smt = cpuid(0xb, 0), amd = cpuid(0x80000008, 0);

	smp_everywhere(count, look);
	check(!wrong(0, ids_good), "ids", "APIC ID, CPUID 1 and CPUID 0xb name each vCPU the same");
	check(!wrong(0, counts_good), "counts", "CPUID 1, 4 and 0xb tell how many there are");
	check((smt.ebx & 0xffff) == 1 && !(smt.eax & 31) && (smt.ecx >> 8 & 0xff) == 1, "smt",
	      "one thread a core");
	if (cpu_is_amd())
		check((amd.ecx & 0xff) == count - 1 && (amd.ecx >> 12 & 15) == seen[0].shift &&
			      !!(cpuid(0x80000001, 0).ecx & 2) == (count > 1),
		      "amd", "CPUID 8000_0008 and 8000_0001 say so, too");
}

/* ---- IPIs ---- */

static uint32_t logical_of(unsigned id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

static void let_in(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/* Waits until vector has come wanted[id] times to each; then lets in those too many. */
static bool came(unsigned vector, const uint32_t wanted[])
{
	bool good = true;

	for (unsigned id = 0; id < count; id++)
		good &= smp_wait_for(&smp_cpus[id].irqs[vector], wanted[id], PATIENCE_MS);
	smp_everywhere(count, let_in);
	for (unsigned id = 0; id < count; id++) {
		uint32_t n = atomic_load(&smp_cpus[id].irqs[vector]);

		good &= n == wanted[id];
		if (n != wanted[id])
			print("smp: vector %x came %u times to %u, wanted %u\n", vector, n, id,
			      wanted[id]);
	}
	return good;
}

static void send_to_others(void)
{
	smp_ipi(0, ICR_FIXED | ICR_ASSERT | ICR_OTHERS | IRQ_A);
}

static void check_ipis(void)
{
	uint32_t wanted[SMP_MAX] = { 0 };
	bool reached = true;

	for (unsigned id = 0; id < count; id++) {
		smp_ipi(id, ICR_FIXED | ICR_ASSERT | IRQ_A);
		wanted[id]++;
	}
	check(came(IRQ_A, wanted), "fixed", "a fixed IPI reaches its vCPU alone");
	smp_ipi(0, ICR_FIXED | ICR_ASSERT | ICR_ALL | IRQ_A);
	for (unsigned id = 0; id < count; id++)
		wanted[id]++;
	check(came(IRQ_A, wanted), "all", "one to all reaches all");
	smp_ipi(0, ICR_FIXED | ICR_ASSERT | ICR_SELF | IRQ_A);
	wanted[0]++;
	check(came(IRQ_A, wanted), "self", "one to itself nobody else");
	smp_ipi(UINT32_MAX, ICR_FIXED | ICR_ASSERT | IRQ_A);
	for (unsigned id = 0; id < count; id++)
		wanted[id]++;
	check(came(IRQ_A, wanted), "broadcast", "a broadcast destination all");
	if (lapic_is_x2apic()) {
		uint32_t set = 0;

		for (unsigned id = 0; id < count && id < 16; id += 2) {
			set |= logical_of(id);
			wanted[id]++;
		}
		smp_ipi(set, ICR_FIXED | ICR_ASSERT | ICR_LOGICAL | IRQ_A);
		check(came(IRQ_A, wanted), "logical", "a logical one the set that it names");
	}
	smp_everywhere(count, send_to_others);
	for (unsigned id = 0; count > 1 && id < count; id++) /* those that meet are one */
		reached &= smp_wait_for(&smp_cpus[id].irqs[IRQ_A], wanted[id] + 1, PATIENCE_MS);
	smp_everywhere(count, let_in);
	for (unsigned id = 0; id < count; id++)
		wanted[id] = atomic_load(&smp_cpus[id].irqs[IRQ_A]);
	check(reached && came(IRQ_A, wanted), "others",
	      "all to all others at once, and then there is silence");
}

static _Atomic uint32_t strays;

/* Each interrupt is in service while its handler runs; one that is not came by itself. */
static void on_irq(unsigned vector)
{
	unsigned id = smp_self()->id;

	if (vector != IRQ_SPURIOUS && !(lapic_read(LAPIC_ISR + vector / 32) >> vector % 32 & 1))
		atomic_fetch_add(&strays, 1);
	if (vector == IRQ_RING && !(id == 0 && atomic_load(&smp_cpus[0].irqs[IRQ_RING]) >= RINGS))
		smp_ipi((id + 1) % count, ICR_FIXED | ICR_ASSERT | IRQ_RING);
}

static void check_ring(void)
{
	uint32_t wanted[SMP_MAX];

	for (unsigned id = 0; id < count; id++)
		wanted[id] = RINGS;
	smp_ipi(count > 1 ? 1 : 0, ICR_FIXED | ICR_ASSERT | IRQ_RING);
	check(came(IRQ_RING, wanted), "ring",
	      "an IPI is passed on from HLT to HLT, round and round");
}

/* ---- NMI ---- */

static _Atomic uint32_t deaf, awake;

/* IF is 0 here: only an NMI ends this HLT. It may come before it: then the next one does. */
static void sleep_deaf(void)
{
	atomic_fetch_add(&deaf, 1);
	__asm__ volatile("hlt" : : : "memory");
	atomic_fetch_add(&awake, 1);
}

static void check_nmi(void)
{
	bool good = true;

	for (unsigned id = 1; id < count; id++) {
		smp_call(id, sleep_deaf);
		good &= smp_wait_for(&deaf, id, PATIENCE_MS);
		smp_ipi(id, ICR_FIXED | ICR_ASSERT | IRQ_A);
		clock_wait(rdtsc() + clock_us(300));
		good &= atomic_load(&awake) == id - 1;
		for (unsigned i = 0; i < PATIENCE_MS && atomic_load(&awake) < id; i++) {
			smp_ipi(id, ICR_NMI | ICR_ASSERT);
			(void)smp_wait_for(&awake, id, 20);
		}
		good &= atomic_load(&awake) == id && atomic_load(&smp_cpus[id].nmis);
		smp_wait(id);
	}
	check(good, "nmi", "HLT with IF=0 is ended by an NMI, and by nothing else");
}

static void storm_nmis(void)
{
	for (unsigned i = 0; i < 200; i++)
		smp_ipi(0, ICR_NMI | ICR_ASSERT | ICR_OTHERS);
}

static bool nmis_good(const struct smp_cpu *cpu)
{
	return atomic_load(&cpu->nmis) && !atomic_load(&cpu->nmis_at_once);
}

static void check_nmi_storm(void)
{
	smp_everywhere(count, storm_nmis);
	clock_wait(rdtsc() + clock_ms(1));
	check(!wrong(0, nmis_good), "nmi-storm", "no NMI comes within another's handler");
}

/* ---- INIT ---- */

static _Atomic uint32_t beats;

static void beat(void)
{
	for (;;)
		atomic_fetch_add(&beats, 1);
}

static void sleep_for_ever(void)
{
	for (;;)
		__asm__ volatile("sti; hlt" : : : "memory");
}

/* It may be leaving still, on another CPU: until nothing is heard for a while. */
static bool silent(void)
{
	uint32_t before = 0;

	for (unsigned i = 0; i < 200 && before != atomic_load(&beats); i++) {
		before = atomic_load(&beats);
		clock_wait(rdtsc() + clock_ms(10));
	}
	return before == atomic_load(&beats);
}

static void check_init(void)
{
	unsigned id = count - 1;
	uint32_t starts = atomic_load(&smp_cpus[id].starts);
	bool good;

	smp_call(id, beat);
	good = smp_wait_for(&beats, 1, PATIENCE_MS);
	smp_ipi(id, ICR_INIT | ICR_ASSERT);
	check(good && silent(), "init", "INIT stops a vCPU in its loop");
	smp_ipi(id, ICR_NMI | ICR_ASSERT);
	smp_ipi(id, ICR_FIXED | ICR_ASSERT | IRQ_A);
	check(silent(), "init-deaf", "neither NMI nor IPI wake it");
	smp_place_trampoline(PAGE_B);
	smp_ipi(id, ICR_STARTUP | ICR_ASSERT | PAGE_B);
	good = smp_wait_start(id, starts + 1);
	check(good && smp_cpus[id].start_cs == PAGE_B << 8 && smp_cpus[id].start_svr == 0xff,
	      "init-sipi", "a SIPI starts it again, at another page, its APIC reset");
	check(!lapic_is_x2apic() || smp_cpus[id].start_apic_base & 1 << 10, "init-x2apic",
	      "INIT leaves x2APIC mode on");
	good = true;
	for (unsigned i = 0; i < RESTARTS && good; i++) {
		smp_call(id, i % 2 ? beat : sleep_for_ever);
		if (i % 4 < 2)
			clock_wait(rdtsc() + clock_us(100 * i));
		good &= smp_start(id, i % 3 ? PAGE_A : PAGE_B);
	}
	check(good, "init-again",
	      "INIT and SIPI at once, again and again, in whatever state it is");
	smp_cpus[id].start_cs = PAGE_A << 8;
	check(state_good(&smp_cpus[id]), "init-state", "its state is the same as the first time");
}

/* ---- shared memory and the clock ---- */

static _Atomic uint32_t locked_sum;
static uint64_t plain_sum;
static _Atomic uint32_t lock;

static void add_up(void)
{
	for (unsigned i = 0; i < LOCKS; i++) {
		atomic_fetch_add(&locked_sum, 1);
		while (atomic_exchange_explicit(&lock, 1, memory_order_acquire))
			cpu_pause();
		plain_sum++;
		atomic_store_explicit(&lock, 0, memory_order_release);
	}
}

static uint64_t watch_ms, last_tsc;
static _Atomic uint32_t warps;

/* What Linux does when a CPU comes up: the TSC, read under a lock, never goes back. */
static void watch_clock(void)
{
	uint64_t end = rdtsc() + clock_ms(watch_ms), now;

	do {
		while (atomic_exchange_explicit(&lock, 1, memory_order_acquire))
			cpu_pause();
		now = rdtsc();
		if (now < last_tsc)
			atomic_fetch_add(&warps, 1);
		last_tsc = now;
		atomic_store_explicit(&lock, 0, memory_order_release);
	} while (now < end);
}

static _Atomic uint32_t timers, early;

/* Each vCPU has a timer of its own. */
static void use_timer(void)
{
	uint32_t before = atomic_load(&smp_self()->irqs[IRQ_TIMER]);

	for (unsigned i = 1; i <= 5; i++) {
		uint64_t deadline = rdtsc() + clock_us(100);

		lapic_write(LAPIC_LVT_TIMER, IRQ_TIMER | LVT_TSC_DEADLINE);
		__asm__ volatile("mfence" : : : "memory");
		wrmsr(MSR_TSC_DEADLINE, deadline);
		while (atomic_load(&smp_self()->irqs[IRQ_TIMER]) - before < i)
			cpu_wait();
		atomic_fetch_add(&early, rdtsc() < deadline);
	}
	atomic_fetch_add(&timers, 1);
}

static void check_memory_and_clock(void)
{
	smp_everywhere(count, add_up);
	check(atomic_load(&locked_sum) == count * LOCKS && plain_sum == (uint64_t)count * LOCKS,
	      "lock", "locked additions and additions under a lock all count");
	smp_everywhere(count, watch_clock);
	check(!atomic_load(&warps), "tsc", "the TSC never goes back from one vCPU to the next");
	if (!lapic_has_deadline())
		return;
	timer_stop();
	smp_everywhere(count, use_timer);
	timer_stop();
	check(atomic_load(&timers) == count && !atomic_load(&early), "timers",
	      "each vCPU's deadline timer wakes it, none early");
}

static void init_to_0(void)
{
	smp_ipi(0, ICR_INIT | ICR_ASSERT);
}

int guest_main(void)
{
	uint64_t wanted, reset;

	count = smp_init();
	smp_on_irq = on_irq;
	(void)args_u64(guest_cmdline(), "cpus", count, &wanted);
	(void)args_u64(guest_cmdline(), "ms", 50, &watch_ms);
	(void)args_u64(guest_cmdline(), "reset", 0, &reset);
	check(count == wanted, "madt", "the MADT lists every vCPU");
	check_start();
	check_topology();
	check_ipis();
	check_ring();
	if (count > 1) {
		check_nmi();
		check_nmi_storm();
		check_init();
	}
	check_memory_and_clock();
	if (!check(!atomic_load(&strays), "strays", "no interrupt comes but from the APIC"))
		print("smp: %u of them\n", atomic_load(&strays));
	if (reset && count > 1) {
		smp_call(1, init_to_0);
		clock_wait(rdtsc() + clock_ms(PATIENCE_MS));
		check(false, "reset", "INIT to vCPU 0 resets the VM");
	}
	return check_status();
}
