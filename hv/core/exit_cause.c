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
		return EXIT_CAUSE_ipi;
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
		return time_cause(v);
	case VMEXIT_HLT:
		return EXIT_CAUSE_hlt;
	case VMEXIT_IRQ_WINDOW:
		return EXIT_CAUSE_window;
	case VMEXIT_IO:
		return EXIT_CAUSE_io;
	case VMEXIT_WRMSR:
		return msr_cause((uint32_t)v->gpr[GPR_RCX]);
	default:
		return EXIT_CAUSE_other;
	}
}
