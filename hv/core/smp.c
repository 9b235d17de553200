/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts the other CPUs (SDM 3A, "MP Initialization Protocol"): INIT to all, then each by SIPI, one
 * after the other. The trampoline is written once and then read-only; what differs by CPU is its
 * place, a struct cpu, which it takes by compare-and-swap (entry.S) and shows to be its own by its
 * APIC ID. So a CPU that comes too late, or twice, or into another one's time, parks: no two ever
 * share an index or a stack. Messages between CPUs are mailbox bits with an IPI.
 */
#include "hv/core/smp.h"

#include <stddef.h>
#include <string.h>

#include "hv/core/acpi.h"
#include "hv/core/fpu.h"
#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/core/percpu.h"
#include "hv/core/pmm.h"
#include "hv/core/timer.h"
#include "hv/core/trap.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/x86.h"

#define STACK_BYTES	 (32 * 1024)
#define INIT_WAIT_US	 10000	 /* SDM: 10 ms between INIT and SIPI */
#define SIPI_WAIT_US	 2000	 /* before the second SIPI */
#define START_TIMEOUT_US 5000000 /* emulators run CPUs one after the other, if the host lets them */
#define STOP_TIMEOUT_US	 200000
#define ANSWER_US	 60000000ull /* a CPU of an emulator on a busy machine may be away for long */

#define XAPIC_BROADCAST 0xff

#define PIC_MASTER_DATA 0x21
#define PIC_SLAVE_DATA	0xa1

extern char trampoline_start[], trampoline_end[], trampoline_cr3[], trampoline_base[],
	trampoline_far32[], trampoline_far64[];
extern char boot_stack_top[];
extern uint64_t stack_guard_canary;
_Noreturn void ap_main(void);

struct cpu boot_cpu = { .self = &boot_cpu }; /* entry.S loads it into GS */
struct cpu *cpus[MAX_CPUS] = { &boot_cpu };
unsigned cpu_count = 1;

struct cpu *_Atomic ap_place; /* of the CPU that is being started; entry.S reads it */
_Static_assert(offsetof(struct cpu, stack_top) == 16 && offsetof(struct cpu, start) == 24 &&
		       CPU_OFFERED == 0 && CPU_TAKEN == 1,
	       "entry.S");

static void (*ap_run)(void); /* constant while CPUs start */
static _Atomic bool stopping;
static _Atomic unsigned stopped;

static void init_cpu(struct cpu *cpu, uint32_t apic_id, void *stack_top)
{
	cpu->self = cpu;
	cpu->apic_id = apic_id;
	cpu->stack_top = stack_top;
	cpu->armed_tsc = TIMER_NEVER;
	list_init(&cpu->runq);
	list_init(&cpu->timers);
}

void smp_init_boot_cpu(void)
{
	stack_guard_canary ^= rdtsc() << 8; /* no function that checks it is running */
	init_cpu(&boot_cpu, cpuid(1, 0).ebx >> 24, boot_stack_top);
	atomic_store(&boot_cpu.start, CPU_READY);
}

/* The CPU that has taken this place: it may keep it if it is the one that was meant, in time. */
static bool come_online(struct cpu *cpu)
{
	uint32_t taken = CPU_TAKEN;

	return lapic_id() == cpu->apic_id &&
	       atomic_compare_exchange_strong(&cpu->start, &taken, CPU_ONLINE);
}

/* A started CPU, from ap_entry: its stack, GS and FS are set. */
void ap_main(void)
{
	struct cpu *cpu = this_cpu();

	paging_load();
	trap_init_cpu();
	lapic_init_cpu();
	fpu_init_cpu();
	timer_init_cpu();
	while (!come_online(cpu))
		__asm__ volatile("cli; hlt"); /* for good: nobody knows of this CPU */
	ap_run();
	panic("smp: CPU %u came back from its run loop", cpu->index);
}

/* Fills in what differs by machine: where the page is, and the tables. */
static void write_trampoline(uint64_t hpa)
{
	char *page = hpa_to_ptr((hpa_t){ hpa });
	uint64_t cr3 = paging_cr3();

	trampoline_writable(hpa);
	memcpy(page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	memcpy(page + (trampoline_cr3 - trampoline_start), &cr3, sizeof(cr3));
	const char *const relative[] = { trampoline_base, trampoline_far32, trampoline_far64 };
	for (unsigned i = 0; i < sizeof(relative) / sizeof(relative[0]); i++) {
		char *at = page + (relative[i] - trampoline_start);
		uint32_t offset;

		memcpy(&offset, at, sizeof(offset));
		offset += (uint32_t)hpa;
		memcpy(at, &offset, sizeof(offset));
	}
	trampoline_executable(hpa);
}

static bool wait_online(const struct cpu *cpu, uint64_t timeout_us)
{
	uint64_t start = rdtsc(), ticks = tsc_from_us(timeout_us);

	while (atomic_load(&cpu->start) < CPU_ONLINE) {
		if (rdtsc() - start > ticks)
			return false;
		__builtin_ia32_pause();
	}
	return true;
}

/* From `from` to abandoned; false: it was not there any more. */
static bool abandon(struct cpu *cpu, uint32_t from)
{
	return atomic_compare_exchange_strong(&cpu->start, &from, CPU_ABANDONED);
}

/* One that has taken its place already gets as much time again. */
static bool start_cpu(struct cpu *cpu, uint8_t page)
{
	atomic_store(&ap_place, cpu);
	lapic_send_sipi(cpu->apic_id, page);
	if (!wait_online(cpu, SIPI_WAIT_US))
		lapic_send_sipi(cpu->apic_id, page);
	if (wait_online(cpu, START_TIMEOUT_US))
		return true;
	if (abandon(cpu, CPU_OFFERED))
		return false;
	return wait_online(cpu, START_TIMEOUT_US) || !abandon(cpu, CPU_TAKEN);
}

/* Another CPU that an IPI can name. An INIT to a CPU that runs would end it. */
static bool reachable(uint32_t apic_id)
{
	return apic_id != boot_cpu.apic_id && (lapic_is_x2apic() || apic_id < XAPIC_BROADCAST);
}

static struct cpu *new_cpu(uint32_t apic_id)
{
	struct cpu *cpu = page_alloc(sizeof(*cpu));

	if (!cpu)
		panic("smp: no memory for a CPU's data");
	init_cpu(cpu, apic_id, stack_alloc(STACK_BYTES));
	return cpu;
}

/* Takes its place in cpus[]; before that nobody else may look at the CPU's index. */
static void add_cpu(struct cpu *cpu)
{
	cpu->index = cpu_count;
	cpus[cpu_count++] = cpu;
}

static void start_or_leave_out(uint32_t apic_id, uint8_t page)
{
	struct cpu *cpu;

	if (!reachable(apic_id)) {
		log_printf("smp: APIC ID %u is out of reach without x2APIC, left out", apic_id);
		return;
	}
	cpu = new_cpu(apic_id);
	cpu->index = cpu_count;
	if (start_cpu(cpu, page))
		add_cpu(cpu);
	else
		log_printf("smp: CPU with APIC ID %u does not start, left out", apic_id);
}

/* The legacy controllers are not used, but a stray IRQ of theirs would look like an exception. */
static void mask_8259(void)
{
	outb(PIC_MASTER_DATA, 0xff);
	outb(PIC_SLAVE_DATA, 0xff);
}

/* Index of the boot CPU in the MADT; past the end if the MADT forgot it. */
static unsigned boot_place(void)
{
	unsigned i = 0;

	while (i < acpi.cpu_count && acpi.apic_ids[i] != boot_cpu.apic_id)
		i++;
	return i;
}

/* cpus[] is in the order of the MADT, the boot CPU in its place; until then it is cpus[0]. */
void smp_start(uint64_t trampoline, void (*entry)(void))
{
	uint64_t begin = rdtsc();

	if (acpi.has_8259)
		mask_8259();
	fpu_init_cpu();
	boot_cpu.apic_id = lapic_id();
	ap_run = entry;
	write_trampoline(trampoline);
	for (unsigned i = 0; i < acpi.cpu_count; i++)
		if (reachable(acpi.apic_ids[i]))
			lapic_send_init(acpi.apic_ids[i]);
	delay_us(INIT_WAIT_US);
	if (boot_place() < acpi.cpu_count)
		cpu_count = 0;
	for (unsigned i = 0; i < acpi.cpu_count && cpu_count < MAX_CPUS; i++) {
		if (acpi.apic_ids[i] == boot_cpu.apic_id)
			add_cpu(&boot_cpu);
		else
			start_or_leave_out(acpi.apic_ids[i], (uint8_t)(trampoline >> 12));
	}
	log_printf("smp: %u of %u CPUs online, %s, in %lu ms", cpu_count, acpi.cpu_count,
		   lapic_is_x2apic() ? "x2APIC" : "xAPIC", tsc_to_ns(rdtsc() - begin) / 1000000);
}

void cpu_await(uint64_t start_tsc, unsigned cpu, const char *what)
{
	uint64_t now = rdtsc();

	if (now > start_tsc && now - start_tsc > tsc_from_us(ANSWER_US))
		panic("CPU %u does not answer: %s", cpu, what);
	__builtin_ia32_pause();
}

/* For bits that are there already an IPI is on its way. Pairs with cpu_wait(), mailbox_take(). */
void cpu_post(struct cpu *cpu, uint32_t bits)
{
	uint32_t before = atomic_fetch_or(&cpu->mailbox, bits);

	if (cpu != this_cpu() && (before & bits) != bits)
		lapic_send_ipi(cpu->apic_id, VECTOR_IPI);
}

bool smp_stopping(void)
{
	return atomic_load(&stopping);
}

void cpu_halt(void)
{
	atomic_fetch_add(&stopped, 1);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* NMI first: it is answered with interrupts off too. The mailbox is for a CPU whose backend holds
 * NMIs back. Before the TSC's rate is known no other CPU runs. */
void smp_stop_others(void)
{
	uint64_t start = rdtsc(), ticks = tsc_from_us(STOP_TIMEOUT_US);
	unsigned others = 0;

	atomic_store(&stopping, true);
	for (unsigned i = 0; i < cpu_count; i++) {
		if (!cpus[i] || cpus[i] == this_cpu() || atomic_load(&cpus[i]->start) < CPU_ONLINE)
			continue;
		others++;
		atomic_fetch_or(&cpus[i]->mailbox, MB_STOP);
		lapic_send_nmi(cpus[i]->apic_id);
	}
	while (atomic_load(&stopped) < others && rdtsc() - start < ticks)
		__builtin_ia32_pause();
	if (atomic_load(&stopped) < others)
		log_printf("smp: %u of %u other CPUs do not stop", others - stopped, others);
}
