/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest state between the VMCS and struct vcpu_sregs (SDM 3C, "Guest-State Area").
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include <string.h>

#include "hv/cpu/msr.h"

#define ACCESS_UNUSABLE BIT(16) /* in the VMCS; bits 12-15 there are 8-11 of struct segment */
#define ACCESS_L	BIT(13)

static struct segment segment_read(enum seg_reg seg)
{
	uint64_t access = vmcs_read(vmcs_segment(VMCS_GUEST_ES_ACCESS, seg));

	return (struct segment){
		.selector = (uint16_t)vmcs_read(vmcs_segment(VMCS_GUEST_ES_SELECTOR, seg)),
		.access = (uint16_t)((access & 0xff) | (access >> 4 & 0xf00) |
				     (access & ACCESS_UNUSABLE ? SEG_UNUSABLE : 0)),
		.limit = (uint32_t)vmcs_read(vmcs_segment(VMCS_GUEST_ES_LIMIT, seg)),
		.base = vmcs_read(vmcs_segment(VMCS_GUEST_ES_BASE, seg)),
	};
}

static void segment_write(enum seg_reg seg, const struct segment *in)
{
	uint64_t access = (in->access & 0xffu) | (in->access & 0xf00u) << 4;

	if (in->access & SEG_UNUSABLE)
		access |= ACCESS_UNUSABLE;
	vmcs_write(vmcs_segment(VMCS_GUEST_ES_SELECTOR, seg), in->selector);
	vmcs_write(vmcs_segment(VMCS_GUEST_ES_ACCESS, seg), access);
	vmcs_write(vmcs_segment(VMCS_GUEST_ES_LIMIT, seg), in->limit);
	vmcs_write(vmcs_segment(VMCS_GUEST_ES_BASE, seg), in->base);
}

void vmx_get_sregs(struct vcpu *vcpu, struct vcpu_sregs *out)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	vmx_begin(v);
	out->rip = vmcs_read(VMCS_GUEST_RIP);
	out->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	out->cr0 = cr0_read();
	out->cr2 = read_cr2();
	out->cr3 = vmcs_read(VMCS_GUEST_CR3);
	out->cr4 = cr4_read();
	out->efer = vmcs_read(VMCS_GUEST_EFER);
	for (enum seg_reg seg = SEG_ES; seg < SEG_REG_COUNT; seg++)
		out->seg[seg] = segment_read(seg);
	out->gdt_base = vmcs_read(VMCS_GUEST_GDTR_BASE);
	out->gdt_limit = (uint32_t)vmcs_read(VMCS_GUEST_GDTR_LIMIT);
	out->idt_base = vmcs_read(VMCS_GUEST_IDTR_BASE);
	out->idt_limit = (uint32_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT);
	vmx_end(v);
}

/* Interrupts are held back for one instruction after STI and MOV SS: that has passed. */
static void end_blocking(struct vmx_vcpu *v)
{
	if (!(v->interruptibility & BLOCKED_ONE_INSTRUCTION))
		return;
	v->interruptibility &= ~BLOCKED_ONE_INSTRUCTION;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, v->interruptibility);
}

static void set_rflags(struct vmx_vcpu *v, uint64_t rflags)
{
	v->rflags = rflags | RFLAGS_FIXED;
	vmcs_write(VMCS_GUEST_RFLAGS, v->rflags);
}

/* Paging state. An unchanged one is left alone, for the PDPTEs are not what memory says now. */
static void set_paging(struct vmx_vcpu *v, const struct vcpu_sregs *in)
{
	if (in->cr0 == cr0_read() && in->cr4 == cr4_read() &&
	    in->cr3 == vmcs_read(VMCS_GUEST_CR3) && in->efer == vmcs_read(VMCS_GUEST_EFER))
		return;
	vmcs_write(VMCS_GUEST_CR3, in->cr3);
	cr4_set(in->cr4);
	cr0_set(in->cr0);
	efer_set(in->efer);
	(void)pdptes_load(v->vcpu.vm); /* those that are wrong show at the entry */
	vpid_flush(v);
}

static void sregs_write(struct vmx_vcpu *v, const struct vcpu_sregs *in)
{
	for (enum seg_reg seg = SEG_ES; seg < SEG_REG_COUNT; seg++)
		segment_write(seg, &in->seg[seg]);
	set_paging(v, in);
	v->protected_mode = in->cr0 & CR0_PE;
	write_cr2(in->cr2);
	set_rflags(v, in->rflags);
	if (in->rip != vmcs_read(VMCS_GUEST_RIP)) {
		vmcs_write(VMCS_GUEST_RIP, in->rip);
		end_blocking(v);
	}
	vmcs_write(VMCS_GUEST_GDTR_BASE, in->gdt_base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, in->gdt_limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, in->idt_base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, in->idt_limit);
}

void vmx_set_sregs(struct vcpu *vcpu, const struct vcpu_sregs *in)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	vmx_begin(v);
	sregs_write(v, in);
	vmx_end(v);
}

static bool code_64(void)
{
	return vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_GUEST_64 &&
	       vmcs_read(vmcs_segment(VMCS_GUEST_ES_ACCESS, SEG_CS)) & ACCESS_L;
}

void vmx_skip(struct vcpu *vcpu, unsigned bytes)
{
	struct vmx_vcpu *v = vmx_of(vcpu);
	uint64_t rip, debug;

	vmx_begin(v);
	if (bytes == SKIP_WHOLE)
		bytes = (unsigned)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
	rip = vmcs_read(VMCS_GUEST_RIP) + bytes;
	vmcs_write(VMCS_GUEST_RIP, code_64() ? rip : rip & 0xffffffff);
	if (v->rflags & RFLAGS_RF)
		set_rflags(v, v->rflags & ~RFLAGS_RF);
	end_blocking(v);
	debug = vmcs_read(VMCS_GUEST_PENDING_DEBUG);
	if (v->rflags & RFLAGS_TF)
		debug |= PENDING_DEBUG_BS;
	if (debug & (PENDING_DEBUG_BS | PENDING_DEBUG_ENABLED))
		vmx_inject_debug(v, debug);
	vmx_end(v);
}

/* SDM 3A, table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT" */
void vmx_reset_state(struct vmx_vcpu *v)
{
	static const struct segment data = { .access = 0x93, .limit = 0xffff };
	struct vcpu_sregs s = {
		.rip = 0xfff0,
		.rflags = RFLAGS_FIXED,
		.cr0 = CR0_CD | CR0_NW | CR0_ET,
		.gdt_limit = 0xffff,
		.idt_limit = 0xffff,
	};

	for (enum seg_reg seg = SEG_ES; seg <= SEG_GS; seg++)
		s.seg[seg] = data;
	s.seg[SEG_CS] = (struct segment){
		.selector = 0xf000, .access = 0x9b, .limit = 0xffff, .base = 0xffff0000
	};
	s.seg[SEG_LDTR] = (struct segment){ .access = 0x82, .limit = 0xffff };
	s.seg[SEG_TR] = (struct segment){ .access = 0x8b, .limit = 0xffff };
	vmcs_write(VMCS_GUEST_DR7, DR7_RESET);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_PAT, 0x0007040600070406);
	vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, 0); /* active; HLT is the core's business */
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	v->interruptibility = 0;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	sregs_write(v, &s);
}
