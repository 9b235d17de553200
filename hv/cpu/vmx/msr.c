/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's MSRs that live in the VMCS or in this CPU's registers. VT-x switches some at entry
 * and exit; the others stay loaded while the vCPU is in a CPU, which is right because the core uses
 * none of them, and cheaper than MSR lists.
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include "hv/cpu/msr.h"
#include "hv/cpu/vapic.h"

const uint32_t msrs_unswitched[MSRS_UNSWITCHED] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_KERNEL_GS_BASE, MSR_TSC_AUX,
};

/* CPUID.80000001h:EDX and CPUID.7:ECX: RDTSCP or RDPID, that is, there is an IA32_TSC_AUX. */
static bool has_tsc_aux(void)
{
	static int known = -1;

	if (known < 0)
		known = (cpuid(0x80000001, 0).edx >> 27 & 1) ||
			(cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ecx >> 22 & 1));
	return known;
}

static bool exists(uint32_t msr)
{
	return msr != MSR_TSC_AUX || has_tsc_aux();
}

bool msr_passes(uint32_t msr)
{
	switch (msr) {
	case MSR_SYSENTER_CS:
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_FMASK:
	case MSR_KERNEL_GS_BASE:
		return true;
	default:
		return false;
	}
}

/*
 * Reads: registers whose value is in the page. Not those that are counted when looked at, or of 64
 * bits, or that exist in xAPIC mode only: the processor would read the page for these, too. Writes:
 * those that it carries out (SDM 3C, "Virtualizing MSR-Based APIC Accesses").
 */
bool x2apic_passes(uint32_t msr, bool write)
{
	uint32_t reg = msr - MSR_X2APIC_FIRST;

	switch (reg) {
	case APIC_TPR:
		return true;
	case APIC_EOI:
	case APIC_SELF_IPI:
		return write;
	case APIC_ID:
	case APIC_VERSION:
	case APIC_PPR:
	case APIC_LDR:
	case APIC_SVR:
	case APIC_ISR ... APIC_ESR: /* and TMR, IRR */
	case APIC_LVT_TIMER ... APIC_LVT_ERROR:
	case APIC_INITIAL_COUNT:
	case APIC_DIVIDE:
		return !write;
	default:
		return false;
	}
}

#define DEFINE_DR(n)                                                                               \
	static uint64_t read_dr##n(void)                                                           \
	{                                                                                          \
		uint64_t value;                                                                    \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(value));                              \
		return value;                                                                      \
	}                                                                                          \
	static void write_dr##n(uint64_t value)                                                    \
	{                                                                                          \
		__asm__ volatile("mov %0, %%dr" #n : : "r"(value));                                \
	}
DEFINE_DR(0)
DEFINE_DR(1)
DEFINE_DR(2)
DEFINE_DR(3)
DEFINE_DR(6)
#undef DEFINE_DR

void unswitched_save(struct unswitched *regs)
{
	for (unsigned i = 0; i < MSRS_UNSWITCHED; i++)
		if (exists(msrs_unswitched[i]))
			regs->msr[i] = rdmsr(msrs_unswitched[i]);
	regs->cr2 = read_cr2();
	regs->dr[0] = read_dr0();
	regs->dr[1] = read_dr1();
	regs->dr[2] = read_dr2();
	regs->dr[3] = read_dr3();
	regs->dr6 = read_dr6();
}

void unswitched_load(const struct unswitched *regs)
{
	for (unsigned i = 0; i < MSRS_UNSWITCHED; i++)
		if (exists(msrs_unswitched[i]))
			wrmsr(msrs_unswitched[i], regs->msr[i]);
	write_cr2(regs->cr2);
	write_dr0(regs->dr[0]); /* armed by DR7 only, which VT-x switches */
	write_dr1(regs->dr[1]);
	write_dr2(regs->dr[2]);
	write_dr3(regs->dr[3]);
	write_dr6(regs->dr6);
}

/* An MSR that VT-x switches, as a field of the VMCS. */
static bool field_of(uint32_t msr, enum vmcs_field *field)
{
	static const struct {
		uint32_t msr;
		enum vmcs_field field;
	} table[] = {
		{ MSR_SYSENTER_CS, VMCS_GUEST_SYSENTER_CS },
		{ MSR_SYSENTER_ESP, VMCS_GUEST_SYSENTER_ESP },
		{ MSR_SYSENTER_EIP, VMCS_GUEST_SYSENTER_EIP },
		{ MSR_PAT, VMCS_GUEST_PAT },
		{ MSR_EFER, VMCS_GUEST_EFER },
		{ MSR_FS_BASE, VMCS_GUEST_FS_BASE },
		{ MSR_GS_BASE, VMCS_GUEST_GS_BASE },
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].msr == msr) {
			*field = table[i].field;
			return true;
		}
	return false;
}

static bool is_unswitched(uint32_t msr)
{
	for (unsigned i = 0; i < MSRS_UNSWITCHED; i++)
		if (msrs_unswitched[i] == msr)
			return exists(msr);
	return false;
}

/* What WRMSR would raise #GP for. */
static bool allowed(uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_SYSENTER_CS: /* the upper half is ignored */
	case MSR_STAR:
		return true;
	case MSR_FMASK:
	case MSR_TSC_AUX:
		return value >> 32 == 0;
	case MSR_PAT:
		return pat_valid(value);
	default:
		return canonical(value);
	}
}

/* The VMCS is current. */
static bool msr_read(uint32_t msr, uint64_t *value)
{
	enum vmcs_field field;

	if (field_of(msr, &field))
		*value = vmcs_read(field);
	else if (is_unswitched(msr))
		*value = rdmsr(msr);
	else
		return false;
	return true;
}

static bool msr_write(struct vmx_vcpu *v, uint32_t msr, uint64_t value)
{
	enum vmcs_field field;

	if (msr == MSR_EFER)
		return efer_write(v, value);
	if (field_of(msr, &field) && allowed(msr, value))
		vmcs_write(field, value);
	else if (is_unswitched(msr) && allowed(msr, value))
		wrmsr(msr, value);
	else
		return false;
	return true;
}

bool vmx_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value)
{
	struct vmx_vcpu *v = vmx_of(vcpu);
	bool done;

	vmx_begin(v);
	done = write ? msr_write(v, msr, *value) : msr_read(msr, value);
	vmx_end(v);
	return done;
}
