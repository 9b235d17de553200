/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of what is wanted of any CPU; those of VT-x and SVM are the backends' own. */
#include "hv/cpu/cpu_features.h"

#include <stddef.h>
#include <string.h>

#include "hv/cpu/svm/features.h"

#define BASIC_ECX_VMX	  BIT(5)
#define BASIC_ECX_VARYING BIT(27) /* OSXSAVE: CR4's */
#define EXTENDED_ECX_SVM  BIT(2)

/* SDM 2A, "CPUID"; APM 3, "CPUID" */
static const struct {
	size_t word; /* offset in struct cpu_facts */
	uint32_t bit;
	bool required;
	const char *name;
} wanted[] = {
#define WORD(member) offsetof(struct cpu_facts, member)
	{ WORD(extended.edx), 1u << 29, true, "64-bit mode" },
	{ WORD(extended.edx), 1u << 20, true, "pages that cannot be executed (NX)" },
	{ WORD(basic.edx), 1u << 9, true, "local APIC" },
	{ WORD(basic.edx), 1u << 5, true, "model-specific registers" },
	{ WORD(basic.edx), 1u << 16, true, "page attribute table (PAT)" },
	{ WORD(basic.edx), 1u << 19, true, "CLFLUSH" },
	{ WORD(basic.edx), 1u << 24, true, "FXSAVE" },
	{ WORD(basic.edx), 1u << 26, true, "SSE2" },
	{ WORD(basic.edx), 1u << 13, false, "global pages" },
	{ WORD(basic.edx), 1u << 7, false, "machine check exceptions" },
	{ WORD(basic.ecx), 1u << 21, false, "x2APIC" },
	{ WORD(basic.ecx), 1u << 24, false, "TSC deadline timer" },
	{ WORD(basic.ecx), 1u << 26, false, "XSAVE: guests with AVX" },
	{ WORD(basic.ecx), 1u << 30, false, "RDRAND" },
	{ WORD(structured), 1u << 18, false, "RDSEED" },
	{ WORD(extended.edx), 1u << 26, false, "pages of 1 GiB" },
	{ WORD(extended.edx), 1u << 27, false, "RDTSCP" },
	{ WORD(power.edx), 1u << 8, false, "TSC that never changes its rate" },
};

static struct cpuid_regs leaf(uint32_t number)
{
	uint32_t last = cpuid(number & 0x80000000u, 0).eax;

	if (last < number || (last ^ number) & 0x80000000u)
		return (struct cpuid_regs){ 0 };
	return cpuid(number, 0);
}

static bool read_msrs(struct cpu_facts *f, read_msr_fn *read_msr, void *context)
{
	if (f->basic.ecx & BASIC_ECX_VMX)
		return read_msr(context, MSR_FEATURE_CONTROL, &f->feature_control) &&
		       vmx_caps_read_by(&f->vmx, read_msr, context);
	if (f->extended.ecx & EXTENDED_ECX_SVM)
		return read_msr(context, MSR_VM_CR, &f->vm_cr);
	return true;
}

void cpu_facts_read(struct cpu_facts *f, read_msr_fn *read_msr, void *context)
{
	memset(f, 0, sizeof(*f));
	f->basic = leaf(1);
	f->basic.eax = f->basic.ebx = 0; /* model and stepping; the APIC's number */
	f->basic.ecx &= (uint32_t)~BASIC_ECX_VARYING;
	f->structured = leaf(7).ebx;
	f->extended = leaf(0x80000001);
	f->extended.eax = f->extended.ebx = 0;
	f->power = leaf(0x80000007);
	if (f->extended.ecx & EXTENDED_ECX_SVM)
		f->svm = leaf(CPUID_SVM_LEAF);
	f->msrs = read_msrs(f, read_msr, context);
}

void cpu_features(const struct cpu_facts *f, unsigned cpus, unsigned differing, feature_fn *report,
		  void *context)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		uint32_t word;

		memcpy(&word, (const char *)f + wanted[i].word, sizeof(word));
		report(context, "CPU", "", wanted[i].name,
		       feature_state(word & wanted[i].bit, wanted[i].required));
	}
	if (cpus > 1)
		report(context, "CPU", "", "all CPUs alike", feature_state(!differing, true));
	if (f->basic.ecx & BASIC_ECX_VMX)
		vmx_features(&f->vmx, f->msrs, f->feature_control, report, context);
	else if (f->extended.ecx & EXTENDED_ECX_SVM)
		svm_features(&f->svm, f->msrs, f->vm_cr, report, context);
	else
		report(context, "CPU", "", "VT-x or SVM (AMD-V)", FEATURE_MISSING);
}
