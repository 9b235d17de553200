/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time by the TSC. Its rate is measured against the ACPI PM timer (ACPI 6.5, 4.8.3.3), each
 * reading bracketed by two of the TSC and the tightest of many kept: a pause of the CPU (an SMI, or
 * an emulator's host) widens a bracket and so drops out. CPUID 15h is exact, but believed only
 * where it agrees. Timers of a CPU are a list by deadline; the local APIC is set to the first.
 */
#include "hv/core/timer.h"

#include "hv/core/acpi.h"
#include "hv/core/log.h"
#include "hv/core/percpu.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/x86.h"

#define PM_TIMER_HZ	  3579545u
#define MEASURE_TICKS	  (PM_TIMER_HZ / 20) /* 50 ms */
#define MEASURE_READS	  100000000u	     /* bound on the wait: a PM timer that stands still */
#define READINGS	  32
#define TOLERANCE_PERCENT 1
#define POLL_MAX	  64 /* timers fired in one poll: one that re-arms itself at once must end */

static uint64_t rate_khz;
static uint64_t ns_per_tick; /* times 2^32 */

struct reading {
	uint64_t tsc, width;
	uint32_t pm;
};

static uint32_t pm_read(void)
{
	return inl(acpi.pm_timer_port);
}

/* 24 bits, 4.6 s, are enough; Bochs's counter has no more, although its FADT claims 32. */
static uint32_t pm_elapsed(uint32_t from, uint32_t to)
{
	return (to - from) & 0xffffffu;
}

static struct reading read_both(void)
{
	struct reading best = { .width = ~0ull };

	for (unsigned i = 0; i < READINGS; i++) {
		uint64_t before = rdtsc();
		uint32_t pm = pm_read();
		uint64_t width = rdtsc() - before;

		if (width < best.width)
			best = (struct reading){ before + width / 2, width, pm };
	}
	return best;
}

/* kHz by the PM timer, 0 if there is none or it does not run. */
static uint64_t measure_khz(void)
{
	struct reading a, b;
	unsigned reads = 0;

	if (!acpi.pm_timer_port)
		return 0;
	a = read_both();
	while (pm_elapsed(a.pm, pm_read()) < MEASURE_TICKS)
		if (++reads == MEASURE_READS)
			return 0;
	b = read_both();
	return (b.tsc - a.tsc) * PM_TIMER_HZ / (1000ull * pm_elapsed(a.pm, b.pm));
}

/* SDM 2A, CPUID leaves 15h (crystal times ratio) and 16h (base frequency); 0: it does not tell. */
static uint64_t cpuid_khz(void)
{
	uint32_t leaves = cpuid(0, 0).eax;
	struct cpuid_regs r;

	if (leaves < 0x15)
		return 0;
	r = cpuid(0x15, 0);
	if (r.eax && r.ebx && r.ecx)
		return (uint64_t)r.ecx * r.ebx / r.eax / 1000;
	if (leaves < 0x16)
		return 0;
	return (cpuid(0x16, 0).eax & 0xffff) * 1000ull;
}

static bool agree(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) <= b * TOLERANCE_PERCENT / 100;
}

void timer_calibrate(void)
{
	uint64_t measured = measure_khz(), told = cpuid_khz();
	bool believe = told && (!measured || agree(told, measured));

	if (!measured && !told)
		panic("timer: no ACPI PM timer and no CPUID 15h: the TSC's rate cannot be found");
	rate_khz = believe ? told : measured;
	ns_per_tick = (1000000ull << 32) / rate_khz;
	if (told && !believe)
		log_printf("timer: CPUID tells %lu kHz, the PM timer %lu: CPUID is not believed",
			   told, measured);
	log_printf("timer: TSC at %lu.%03lu MHz, from %s", rate_khz / 1000, rate_khz % 1000,
		   believe ? "CPUID" : "the ACPI PM timer");
	lapic_timer_calibrate(rate_khz);
}

uint64_t tsc_khz(void)
{
	return rate_khz;
}

uint64_t tsc_from_us(uint64_t us)
{
	uint64_t ticks;

	if (__builtin_mul_overflow(us, rate_khz, &ticks))
		return us / 1000 * rate_khz;
	return ticks / 1000;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return (uint64_t)((unsigned __int128)ticks * ns_per_tick >> 32);
}

/* Sets the local APIC to the first timer of this CPU. */
static void arm(struct cpu *cpu, uint64_t now)
{
	uint64_t next = TIMER_NEVER;

	if (!list_empty(&cpu->timers))
		next = container_of(cpu->timers.next, struct timer, node)->deadline_tsc;
	if (next == cpu->armed_tsc && next > now)
		return;
	cpu->armed_tsc = next;
	lapic_timer_set(next, now);
}

void timer_init_cpu(void)
{
	struct cpu *cpu = this_cpu();

	cpu->armed_tsc = TIMER_NEVER;
	lapic_timer_set(TIMER_NEVER, rdtsc());
}

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	list_init(&timer->node);
	timer->deadline_tsc = TIMER_NEVER;
	timer->fire = fire;
	timer->cpu = NULL;
}

/* Under cpu->timer_lock, after which timer->cpu is stable. */
static void insert(struct cpu *cpu, struct timer *timer)
{
	struct list *at = cpu->timers.next;

	while (at != &cpu->timers &&
	       container_of(at, struct timer, node)->deadline_tsc <= timer->deadline_tsc)
		at = at->next;
	list_insert_before(at, &timer->node);
	__atomic_store_n(&timer->cpu, cpu, __ATOMIC_RELEASE);
}

static void take_out(struct timer *timer)
{
	list_remove(&timer->node);
	__atomic_store_n(&timer->cpu, NULL, __ATOMIC_RELEASE);
}

void timer_set(struct timer *timer, uint64_t deadline_tsc)
{
	struct cpu *cpu = this_cpu();

	timer_cancel(timer);
	spin_lock(&cpu->timer_lock);
	timer->deadline_tsc = deadline_tsc;
	if (deadline_tsc != TIMER_NEVER)
		insert(cpu, timer);
	arm(cpu, rdtsc());
	spin_unlock(&cpu->timer_lock);
}

/* The queue it is on can change until the lock is held: look again, at most once a re-arming. The
 * APIC stays set to the old deadline: one interrupt for nothing is cheaper than a call across. */
void timer_cancel(struct timer *timer)
{
	struct cpu *cpu;

	while ((cpu = __atomic_load_n(&timer->cpu, __ATOMIC_ACQUIRE))) {
		spin_lock(&cpu->timer_lock);
		if (timer->cpu == cpu)
			take_out(timer);
		spin_unlock(&cpu->timer_lock);
	}
}

/* Takes the first timer out if it is due. */
static struct timer *take_due(struct cpu *cpu, uint64_t now)
{
	struct timer *timer;

	if (list_empty(&cpu->timers))
		return NULL;
	timer = container_of(cpu->timers.next, struct timer, node);
	if (timer->deadline_tsc > now)
		return NULL;
	take_out(timer);
	return timer;
}

uint64_t timer_poll(void)
{
	struct cpu *cpu = this_cpu();
	struct timer *timer;
	uint64_t next;

	for (unsigned i = 0; i < POLL_MAX; i++) {
		spin_lock(&cpu->timer_lock);
		timer = take_due(cpu, rdtsc());
		spin_unlock(&cpu->timer_lock);
		if (!timer)
			break;
		timer->fire(timer);
	}
	spin_lock(&cpu->timer_lock);
	arm(cpu, rdtsc());
	next = cpu->armed_tsc;
	spin_unlock(&cpu->timer_lock);
	return next;
}

void timer_interrupt_by(uint64_t deadline_tsc)
{
	struct cpu *cpu = this_cpu();
	uint64_t now = rdtsc();

	if (cpu->armed_tsc > now && cpu->armed_tsc <= deadline_tsc)
		return;
	cpu->armed_tsc = deadline_tsc; /* timer_poll() sets it to the queue's again */
	lapic_timer_set(deadline_tsc, now);
}

void delay_us(uint64_t us)
{
	uint64_t start = rdtsc(), ticks = tsc_from_us(us);

	while (rdtsc() - start < ticks)
		__builtin_ia32_pause();
}
