/* SPDX-License-Identifier: BSD-2-Clause */
/* See exit_cause.h. On SVM a deadline ends as a host interrupt, so the clock tells the two apart. */
#include "hv/core/exit_cause.h"

#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/x86.h"

static enum exit_cause msr_cause(uint32_t msr)
{
	switch (msr) {
	case MSR_TSC_DEADLINE:
		return EXIT_CAUSE_timer;
	case MSR_X2APIC_EOI:
		return EXIT_CAUSE_eoi;
	case MSR_X2APIC_ICR:
	case MSR_X2APIC_SELF_IPI:
		return EXIT_CAUSE_ipi;
	case MSR_X2APIC_TPR:
		return EXIT_CAUSE_priority;
	default:
		return EXIT_CAUSE_other;
	}
}

/* Which of the times that vcpu_run() gave to enter() has come. */
static enum exit_cause time_cause(const struct vcpu *v)
{
	uint64_t now = rdtsc();

	if (now >= v->timer_tsc)
		return EXIT_CAUSE_timer;
	if (now >= v->flush_tsc)
		return EXIT_CAUSE_flush;
	return now >= v->slice_end_tsc ? EXIT_CAUSE_slice : EXIT_CAUSE_interrupt;
}

enum exit_cause exit_cause(const struct vcpu *v, const struct vmexit *exit)
{
	switch (exit->kind) {
	case VMEXIT_DEADLINE:
	case VMEXIT_INTERRUPT:
	case VMEXIT_INTERRUPT_TAKEN:
		return time_cause(v);
	case VMEXIT_HLT:
		return EXIT_CAUSE_hlt;
	case VMEXIT_PAUSE:
		return EXIT_CAUSE_pause;
	case VMEXIT_IRQ_WINDOW:
		return EXIT_CAUSE_window;
	case VMEXIT_IO:
		return EXIT_CAUSE_io;
	case VMEXIT_MMIO:
		return EXIT_CAUSE_mmio;
	case VMEXIT_CR8:
		return EXIT_CAUSE_priority;
	case VMEXIT_APIC_EOI:
		return EXIT_CAUSE_eoi;
	case VMEXIT_APIC_WRITTEN: /* as the MSR of the same register */
		return msr_cause(MSR_X2APIC_FIRST + exit->apic_register);
	case VMEXIT_WRMSR:
		return msr_cause((uint32_t)v->gpr[GPR_RCX]);
	default:
		return EXIT_CAUSE_other;
	}
}

const char *exit_cause_name(enum exit_cause cause)
{
	static const char *const names[EXIT_CAUSE_COUNT] = {
#define EXIT_CAUSE_NAME(id, help) #id,
		EXIT_CAUSES(EXIT_CAUSE_NAME)
#undef EXIT_CAUSE_NAME
	};

	return names[cause];
}

void exit_counts_add(struct exit_counts *sum, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		for (unsigned id = 0; id < EXIT_CAUSE_COUNT; id++)
			sum->of[id] += atomic_load_explicit(&vm->vcpus[i]->exits[id],
							    memory_order_relaxed);
}

void exit_counts_subtract(struct exit_counts *end, const struct exit_counts *start)
{
	for (unsigned id = 0; id < EXIT_CAUSE_COUNT; id++)
		end->of[id] -= start->of[id];
}

uint64_t exit_counts_total(const struct exit_counts *counts)
{
	uint64_t sum = 0;

	for (unsigned id = 0; id < EXIT_CAUSE_COUNT; id++)
		sum += counts->of[id];
	return sum;
}
