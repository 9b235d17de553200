/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands in a vCPU's control block: what is intercepted, the state after RESET (APM 2,
 * "Processor Initialization State"), the guest's registers and MSRs. EFER.SVME is always 1 there,
 * as VMRUN demands, and never seen by the guest.
 */
#include "hv/cpu/svm/vmcb.h"

#include <string.h>

#include "hv/core/pmm.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/svm/svm_impl.h"

#define CTL3_ALWAYS                                                                                \
	(CTL3_INTR | CTL3_NMI | CTL3_VINTR | CTL3_RDPMC | CTL3_CPUID | CTL3_INVD | CTL3_HLT |      \
	 CTL3_INVLPGA | CTL3_IOIO | CTL3_MSR | CTL3_SHUTDOWN)
#define CTL4_ALWAYS                                                                                \
	(CTL4_VMRUN | CTL4_VMMCALL | CTL4_VMLOAD | CTL4_VMSAVE | CTL4_STGI | CTL4_CLGI |           \
	 CTL4_SKINIT | CTL4_WBINVD | CTL4_MONITOR | CTL4_MWAIT | CTL4_XSETBV)

/* #DB and #AC can follow each other for ever within one instruction: each must be an exit, or a
 * guest holds the CPU. #MC is the machine's, not the guest's. */
#define EXCEPTIONS ((uint32_t)(BIT(1) | BIT(17) | BIT(18)))

#define PAUSE_COUNT	3000 /* PAUSEs less than PAUSE_THRESHOLD cycles apart, until an exit */
#define PAUSE_THRESHOLD 128

#define ATTRIB_PRESENT BIT(7)
#define ATTRIB_DPL     (3u << 5)
#define PAT_RESET      0x0007040600070406ull
#define EFER_GUEST     (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

#define SAVE(member) offsetof(struct vmcb_save, member)

static const uint16_t segment_at[SEG_REG_COUNT] = {
	[SEG_ES] = SAVE(es), [SEG_CS] = SAVE(cs), [SEG_SS] = SAVE(ss),	   [SEG_DS] = SAVE(ds),
	[SEG_FS] = SAVE(fs), [SEG_GS] = SAVE(gs), [SEG_LDTR] = SAVE(ldtr), [SEG_TR] = SAVE(tr),
};

/* The MSRs that guests read and write without an exit. */
static const struct {
	uint32_t msr;
	uint16_t at;
	bool address; /* must be canonical */
} direct_msrs[] = {
	{ MSR_SYSENTER_CS, SAVE(sysenter_cs), false },
	{ MSR_SYSENTER_ESP, SAVE(sysenter_esp), true },
	{ MSR_SYSENTER_EIP, SAVE(sysenter_eip), true },
	{ MSR_STAR, SAVE(star), false },
	{ MSR_LSTAR, SAVE(lstar), true },
	{ MSR_CSTAR, SAVE(cstar), true },
	{ MSR_FMASK, SAVE(sfmask), false },
	{ MSR_FS_BASE, SAVE(fs.base), true },
	{ MSR_GS_BASE, SAVE(gs.base), true },
	{ MSR_KERNEL_GS_BASE, SAVE(kernel_gs_base), true },
};
#define DIRECT_MSRS (sizeof(direct_msrs) / sizeof(direct_msrs[0]))

static struct vmcb_segment *segment(struct vmcb_save *s, unsigned seg)
{
	return (struct vmcb_segment *)((uint8_t *)s + segment_at[seg]);
}

static void reset_segments(struct vmcb_save *s)
{
	for (unsigned i = 0; i < SEG_REG_COUNT; i++)
		*segment(s, i) = (struct vmcb_segment){ 0, 0x93, 0xffff, 0 };
	s->cs = (struct vmcb_segment){ 0xf000, 0x9b, 0xffff, 0xffff0000 };
	s->ldtr.attrib = 0x82;
	s->tr.attrib = 0x8b;
	s->gdtr.limit = s->idtr.limit = 0xffff;
}

void svm_vmcb_reset(struct svm_vcpu *v)
{
	struct vmcb_control *c = &v->vmcb->ctl;
	struct vmcb_save *s = &v->vmcb->save;

	memset(v->vmcb, 0, sizeof(*v->vmcb));
	c->cr_read = CR8_BIT;
	c->cr_write = CR8_BIT | CR4_BIT;
	c->exceptions = EXCEPTIONS;
	c->ctl3 = (uint32_t)CTL3_ALWAYS;
	c->ctl4 = (uint32_t)CTL4_ALWAYS;
	if (svm.edx & SVM_EDX_PAUSE) {
		c->pause_count = PAUSE_COUNT;
		if (svm.edx & SVM_EDX_PAUSE_LIMIT)
			c->pause_threshold = PAUSE_THRESHOLD;
	}
	c->iopm = ptr_to_hpa(svm.iopm).v;
	c->msrpm = ptr_to_hpa(svm.msrpm).v;
	c->tsc_offset = v->vcpu.vm->tsc_offset;
	c->vintr = VINTR_MASKING;
	c->np = NP_ENABLE;
	c->n_cr3 = v->vcpu.vm->nested.v;
	reset_segments(s);
	s->efer = EFER_SVME;
	s->cr0 = CR0_CD | CR0_NW | CR0_ET;
	s->dr6 = DR6_RESET;
	s->dr7 = v->dr7 = DR7_RESET;
	s->rflags = RFLAGS_FIXED;
	s->rip = 0xfff0;
	s->g_pat = PAT_RESET;
	v->changed = true;
}

void svm_set_pause_exits(struct svm_vcpu *v, bool exits)
{
	struct vmcb_control *c = &v->vmcb->ctl;

	c->ctl3 = exits ? c->ctl3 | (uint32_t)CTL3_PAUSE : c->ctl3 & ~(uint32_t)CTL3_PAUSE;
}

void svm_get_sregs(struct vcpu *vcpu, struct vcpu_sregs *out)
{
	struct vmcb_save *s = &to_svm(vcpu)->vmcb->save;

	*out = (struct vcpu_sregs){
		.rip = s->rip,
		.rflags = s->rflags,
		.cr0 = s->cr0,
		.cr2 = s->cr2,
		.cr3 = s->cr3,
		.cr4 = s->cr4,
		.efer = s->efer & ~EFER_SVME,
		.gdt_base = s->gdtr.base,
		.gdt_limit = s->gdtr.limit,
		.idt_base = s->idtr.base,
		.idt_limit = s->idtr.limit,
	};
	for (unsigned i = 0; i < SEG_REG_COUNT; i++) {
		const struct vmcb_segment *g = segment(s, i);

		out->seg[i] = (struct segment){ g->selector, g->attrib & 0xfff, g->limit, g->base };
		if (!(g->attrib & ATTRIB_PRESENT))
			out->seg[i].access |= SEG_UNUSABLE;
	}
	/* The CPL has a field of its own; SS.DPL need not be right for a null SS. */
	out->seg[SEG_SS].access =
		(uint16_t)((out->seg[SEG_SS].access & ~ATTRIB_DPL) | (s->cpl & 3u) << 5);
}

/* Whether VMRUN's checks may fail now that did not fail before. */
static bool checked_state_differs(const struct vmcb_save *s, const struct vcpu_sregs *in)
{
	return s->cr0 != (in->cr0 | CR0_ET) || s->cr3 != in->cr3 || s->cr4 != in->cr4 ||
	       s->efer != (in->efer | EFER_SVME) ||
	       s->cs.attrib != (in->seg[SEG_CS].access & 0xfff);
}

void svm_set_sregs(struct vcpu *vcpu, const struct vcpu_sregs *in)
{
	struct svm_vcpu *v = to_svm(vcpu);
	struct vmcb_save *s = &v->vmcb->save;

	if (checked_state_differs(s, in))
		v->changed = true;
	if (s->rip != in->rip)
		v->vmcb->ctl.int_state &= ~INT_SHADOW;
	s->rip = in->rip;
	s->rflags = in->rflags | RFLAGS_FIXED;
	s->cr0 = in->cr0 | CR0_ET;
	s->cr2 = in->cr2;
	s->cr3 = in->cr3;
	s->cr4 = in->cr4;
	s->efer = in->efer | EFER_SVME;
	s->gdtr.base = in->gdt_base;
	s->gdtr.limit = in->gdt_limit;
	s->idtr.base = in->idt_base;
	s->idtr.limit = in->idt_limit;
	for (unsigned i = 0; i < SEG_REG_COUNT; i++) {
		const struct segment *g = &in->seg[i];
		uint16_t attrib = g->access & 0xfff;

		if (g->access & SEG_UNUSABLE)
			attrib &= (uint16_t)~ATTRIB_PRESENT;
		*segment(s, i) = (struct vmcb_segment){ g->selector, attrib, g->limit, g->base };
	}
	s->cpl = s->ss.attrib >> 5 & 3;
}

static uint64_t *direct_msr(struct vmcb_save *s, unsigned i)
{
	return (uint64_t *)((uint8_t *)s + direct_msrs[i].at);
}

static bool msr_read(struct svm_vcpu *v, uint32_t msr, uint64_t *value)
{
	struct vmcb_save *s = &v->vmcb->save;

	for (unsigned i = 0; i < DIRECT_MSRS; i++) {
		if (direct_msrs[i].msr == msr) {
			*value = *direct_msr(s, i);
			return true;
		}
	}
	switch (msr) {
	case MSR_EFER:
		*value = s->efer & ~EFER_SVME;
		return true;
	case MSR_PAT:
		*value = s->g_pat;
		return true;
	case MSR_TSC_AUX:
		*value = v->tsc_aux;
		return svm.rdtscp;
	default:
		return false;
	}
}

/* LMA is the processor's; LME may change only while paging is off. */
static bool efer_write(struct svm_vcpu *v, uint64_t value)
{
	struct vmcb_save *s = &v->vmcb->save;

	if (value & ~EFER_GUEST || value & ~svm.limits.efer)
		return false;
	if (s->cr0 & CR0_PG && (value ^ s->efer) & EFER_LME)
		return false;
	s->efer = (value & ~EFER_LMA) | (s->efer & EFER_LMA) | EFER_SVME;
	v->changed = true;
	return true;
}

static bool tsc_aux_write(struct svm_vcpu *v, uint64_t value)
{
	if (!svm.rdtscp || value >> 32)
		return false;
	v->tsc_aux = value;
	if (v->loaded)
		wrmsr(MSR_TSC_AUX, value);
	return true;
}

static bool msr_write(struct svm_vcpu *v, uint32_t msr, uint64_t value)
{
	struct vmcb_save *s = &v->vmcb->save;

	for (unsigned i = 0; i < DIRECT_MSRS; i++) {
		if (direct_msrs[i].msr != msr)
			continue;
		if (direct_msrs[i].address && !canonical(value))
			return false;
		*direct_msr(s, i) = value;
		return true;
	}
	switch (msr) {
	case MSR_EFER:
		return efer_write(v, value);
	case MSR_PAT:
		if (!pat_valid(value))
			return false;
		s->g_pat = value;
		return true;
	case MSR_TSC_AUX:
		return tsc_aux_write(v, value);
	default:
		return false;
	}
}

bool svm_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value)
{
	return write ? msr_write(to_svm(vcpu), msr, *value) : msr_read(to_svm(vcpu), msr, value);
}

/* APM 2, "MSR Intercepts": two bits an MSR, read and write, in vectors of 2 KiB for each range. */
static void msr_allow(uint8_t *map, uint32_t msr)
{
	const uint32_t range = msr >= 0xc0010000 ? 2 : msr >= 0xc0000000 ? 1 : 0;
	const uint32_t bit = range * 0x4000 + 2 * (msr & 0x1fff);

	map[bit / 8] &= (uint8_t) ~(3u << bit % 8);
}

void svm_msrpm_fill(uint8_t *map)
{
	memset(map, 0xff, MSRPM_BYTES);
	for (unsigned i = 0; i < DIRECT_MSRS; i++)
		msr_allow(map, direct_msrs[i].msr);
}
