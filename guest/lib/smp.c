/* SPDX-License-Identifier: BSD-2-Clause */
/* See smp.h. The trap handlers' own words (trap_resume, irq_seen) are the boot processor's alone. */
#include "guest/lib/smp.h"

#include <stddef.h>

#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/trap.h"

enum { MADT_ENTRIES = 44, MADT_LAPIC = 0, MADT_LAPIC_ID = 3, MADT_LAPIC_FLAGS = 4 };
enum { TRAP_NMI = 2, START_MS = 60000 };
#define MSR_GS_BASE 0xc0000101u

extern const char smp_trampoline[], smp_trampoline_end[];
_Noreturn void smp_begin(uint32_t cs, uint32_t cr0, uint32_t edx, uint32_t id);

struct smp_cpu smp_cpus[SMP_MAX];
static bool (*next_trap_hook)(struct trap_frame *frame);
void (*smp_on_irq)(unsigned vector);

struct smp_cpu *smp_self(void)
{
	struct smp_cpu *self;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(self));
	return self;
}

static void set_self(unsigned id)
{
	smp_cpus[id].self = &smp_cpus[id];
	smp_cpus[id].id = id;
	wrmsr(MSR_GS_BASE, (uintptr_t)&smp_cpus[id]);
}

static void on_irq(unsigned vector)
{
	atomic_fetch_add(&smp_self()->irqs[vector], 1);
	if (smp_on_irq)
		smp_on_irq(vector);
}

static bool on_trap(struct trap_frame *frame)
{
	struct smp_cpu *self = smp_self();

	if (frame->vector != TRAP_NMI)
		return next_trap_hook && next_trap_hook(frame);
	if (atomic_fetch_add(&self->nmi_depth, 1))
		atomic_fetch_add(&self->nmis_at_once, 1);
	atomic_fetch_add(&self->nmis, 1);
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	atomic_fetch_sub(&self->nmi_depth, 1);
	return true;
}

unsigned smp_init(void)
{
	const uint8_t *madt = acpi_table("APIC");
	const uint8_t *end = madt ? madt + ((const struct acpi_header *)madt)->length : NULL;
	unsigned count = 0;

	for (const uint8_t *e = madt + MADT_ENTRIES; madt && e + 2 <= end && e[1]; e += e[1]) {
		if (e[0] != MADT_LAPIC || !(e[MADT_LAPIC_FLAGS] & 1))
			continue;
		if (e[MADT_LAPIC_ID] != count || count == SMP_MAX)
			guest_fail("processor %u of the MADT has APIC ID %u", count,
				   e[MADT_LAPIC_ID]);
		count++;
	}
	set_self(lapic_id());
	next_trap_hook = trap_hook;
	trap_hook = on_trap;
	irq_hook = on_irq;
	return count;
}

void smp_ipi(uint32_t destination, uint32_t icr)
{
	if (lapic_is_x2apic()) {
		__asm__ volatile("mfence; lfence" : : : "memory"); /* WRMSR there does not wait */
		wrmsr(MSR_X2APIC + LAPIC_ICR, (uint64_t)destination << 32 | icr);
		return;
	}
	lapic_write(LAPIC_ICR_HIGH, destination << 24);
	lapic_write(LAPIC_ICR, icr);
}

bool smp_wait_for(const _Atomic uint32_t *word, uint32_t value, uint64_t ms)
{
	uint64_t end = rdtsc() + clock_ms(ms);

	while (atomic_load(word) < value) {
		if (rdtsc() > end)
			return false;
		clock_wait(rdtsc() + clock_us(100));
	}
	return true;
}

void smp_place_trampoline(uint8_t vector)
{
	memcpy((void *)((uintptr_t)vector << 12), smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
}

bool smp_wait_start(unsigned id, uint32_t starts)
{
	return smp_wait_for(&smp_cpus[id].starts, starts, START_MS);
}

bool smp_start(unsigned id, uint8_t vector)
{
	uint32_t starts = atomic_load(&smp_cpus[id].starts) + 1;

	smp_place_trampoline(vector);
	smp_ipi(id, ICR_INIT | ICR_ASSERT);
	smp_ipi(id, ICR_STARTUP | ICR_ASSERT | vector);
	smp_ipi(id, ICR_STARTUP | ICR_ASSERT | vector);
	return smp_wait_start(id, starts);
}

void smp_call(unsigned id, void (*work)(void))
{
	atomic_store(&smp_cpus[id].work, work);
	smp_ipi(id, ICR_FIXED | ICR_ASSERT | IRQ_SMP_WORK);
}

void smp_wait(unsigned id)
{
	while (atomic_load(&smp_cpus[id].work))
		clock_wait(rdtsc() + clock_us(100));
}

void smp_everywhere(unsigned count, void (*work)(void))
{
	unsigned self = smp_self()->id;

	for (unsigned id = 0; id < count; id++)
		if (id != self)
			smp_call(id, work);
	work();
	for (unsigned id = 0; id < count; id++)
		if (id != self)
			smp_wait(id);
}

/* Another CPU, from smp_entry.S: in long mode, on its stack. */
_Noreturn void smp_begin(uint32_t cs, uint32_t cr0, uint32_t edx, uint32_t id)
{
	struct smp_cpu *cpu = &smp_cpus[id];

	set_self(id);
	trap_init_cpu();
	cpu->start_cs = cs;
	cpu->start_cr0 = cr0;
	cpu->start_edx = edx;
	cpu->start_apic_base = (uint32_t)rdmsr(MSR_APIC_BASE);
	cpu->start_svr = lapic_init_cpu();
	atomic_store(&cpu->nmi_depth, 0);
	atomic_store(&cpu->work, NULL);
	atomic_fetch_add(&cpu->starts, 1);
	for (;;) {
		void (*work)(void) = atomic_load(&cpu->work);

		if (!work) {
			cpu_wait();
			continue;
		}
		work();
		atomic_store(&cpu->work, NULL);
	}
}
