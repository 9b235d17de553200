/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * APIC virtualisation with posted interrupts (SDM 3C, "APIC Virtualization and Virtual Interrupts"), as
 * long as a vCPU's local APIC is in x2APIC mode. Then the processor delivers what is requested in the
 * page, and what others post; reads of registers, and the writes of TPR, EOI and SELF IPI, need no exit.
 * The bitmap that passes them goes with the controls that keep them from the CPU's own APIC.
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include "hv/core/log.h"
#include "hv/core/pmm.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/vapic.h"

static void attach(struct vcpu *vcpu, struct vapic_page *page, struct posted *posted)
{
	struct vmx_apic *apic = &vmx_of(vcpu)->apic;

	assert(!(ptr_to_hpa(page).v % PAGE_SIZE) && !(ptr_to_hpa(posted).v % sizeof(*posted)));
	apic->page = page;
	apic->posted = posted;
}

static void virtualize(struct vcpu *vcpu, bool on)
{
	vmx_of(vcpu)->apic.wanted = on;
}

static void changed(struct vcpu *vcpu)
{
	vmx_of(vcpu)->apic.changed = true;
}

static const struct apic_ops ops = {
	.attach = attach,
	.virtualize = virtualize,
	.changed = changed,
};

const struct apic_ops *vmx_apic(const char **lacks)
{
	*lacks = vmx_apicv_lacks(&vmx_caps);
	return *lacks ? NULL : &ops;
}

static void set_bits(enum vmcs_field field, uint64_t bits, bool on)
{
	uint64_t now = vmcs_read(field);

	vmcs_write(field, on ? now | bits : now & ~bits);
}

static void switch_controls(struct vmx_vcpu *v, bool on)
{
	const uint32_t proc = v->proc & ~(uint32_t)(APICV_PROC | APICV_PROC_OFF);

	set_bits(VMCS_PIN_CONTROLS, APICV_PIN, on);
	vmcs_set_proc(v, proc | (uint32_t)(on ? APICV_PROC : APICV_PROC_OFF));
	set_bits(VMCS_PROC2_CONTROLS, APICV_PROC2, on);
	set_bits(VMCS_EXIT_CONTROLS, APICV_EXIT, on);
	vmcs_set_msr_bitmap(on);
	v->apic.on = on;
	v->apic.changed = on;
	if (!on)
		return;
	vmcs_write(VMCS_VIRTUAL_APIC_PAGE, ptr_to_hpa(v->apic.page).v);
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	vmcs_write(VMCS_POSTED_VECTOR, VECTOR_POSTED);
	vmcs_write(VMCS_POSTED_DESCRIPTOR, ptr_to_hpa(v->apic.posted).v);
}

void apicv_before_entry(struct vmx_vcpu *v)
{
	struct vmx_apic *apic = &v->apic;

	if (apic->on != apic->wanted)
		switch_controls(v, apic->wanted);
	if (!apic->on || !apic->changed)
		return;
	apic->changed = false;
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, vapic_status(apic->page));
	for (unsigned i = 0; i < 4; i++)
		vmcs_write((enum vmcs_field)(VMCS_EOI_EXIT_BITMAP0 + 2 * i),
			   vapic_eoi_exits(apic->page, i));
}
