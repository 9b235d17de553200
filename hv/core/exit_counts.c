/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/exit_counts.h"

#include "hv/core/vcpu.h"

const char *exit_kind_name(enum vmexit_kind kind)
{
	static const char *const names[VMEXIT_KINDS] = {
		[VMEXIT_NONE] = "backend",
		[VMEXIT_INTERRUPT] = "interrupt",
		[VMEXIT_INTERRUPT_TAKEN] = "interrupt_taken",
		[VMEXIT_DEADLINE] = "deadline",
		[VMEXIT_IRQ_WINDOW] = "irq_window",
		[VMEXIT_HLT] = "hlt",
		[VMEXIT_PAUSE] = "pause",
		[VMEXIT_CPUID] = "cpuid",
		[VMEXIT_RDMSR] = "rdmsr",
		[VMEXIT_WRMSR] = "wrmsr",
		[VMEXIT_XSETBV] = "xsetbv",
		[VMEXIT_HYPERCALL] = "hypercall",
		[VMEXIT_APIC_EOI] = "apic_eoi",
		[VMEXIT_APIC_WRITTEN] = "apic_written",
		[VMEXIT_CR8] = "cr8",
		[VMEXIT_IO] = "io",
		[VMEXIT_MMIO] = "mmio",
		[VMEXIT_MMIO_FETCH] = "mmio_fetch",
		[VMEXIT_CACHE] = "cache",
		[VMEXIT_UNDEFINED] = "undefined",
		[VMEXIT_SHUTDOWN] = "shutdown",
		[VMEXIT_FAILED] = "failed",
	};

	return names[kind];
}

void exit_counts_add(struct exit_counts *sum, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		for (unsigned kind = 0; kind < VMEXIT_KINDS; kind++)
			sum->of[kind] += atomic_load_explicit(&vm->vcpus[i]->exits_by[kind],
							      memory_order_relaxed);
}

void exit_counts_subtract(struct exit_counts *end, const struct exit_counts *start)
{
	for (unsigned kind = 0; kind < VMEXIT_KINDS; kind++)
		end->of[kind] -= start->of[kind];
}
