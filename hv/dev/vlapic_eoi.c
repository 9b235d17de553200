/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual EOI (Linux: Documentation/virt/kvm/x86/msr.rst, MSR_KVM_PV_EOI_EN): an EOI without
 * a VM exit. Before an entry we set a bit in a word of the guest's memory if the EOI of the interrupt
 * in service may wait for the next exit: nobody wants to know of it, and no other interrupt waits. The
 * guest takes the bit away instead of writing the register. After the exit a bit that is gone was the
 * EOI, and one that is still there is taken back. Whoever requests an interrupt meanwhile has the vCPU
 * exit, as ever. The word is the guest's: what it makes of it hurts its own interrupts only. While the
 * processor virtualises the APIC no EOI needs an exit, and none is offered.
 */
#include "hv/core/vm.h"
#include "hv/dev/vlapic_impl.h"

#define ENABLE	 BIT(0)
#define RESERVED BIT(1)
#define OFFERED	 1u

bool vlapic_eoi_msr_write(struct vlapic *v, uint64_t value)
{
	const uint32_t nothing = 0;

	if (value & RESERVED)
		return false;
	if (value & ENABLE &&
	    !vm_write(v->vcpu->vm, (gpa_t){ value & ~ENABLE }, &nothing, sizeof(nothing)))
		return false;
	v->eoi_msr = value;
	v->eoi_offered = false;
	return true;
}

static gpa_t word(const struct vlapic *v)
{
	return (gpa_t){ v->eoi_msr & ~ENABLE };
}

void vlapic_before_entry(struct vcpu *vcpu)
{
	const uint32_t offer = OFFERED;
	struct vlapic *v = vlapic_of(vcpu);

	if (v->virtualized) {
		vlapic_timer_expire(v);
		vlapic_take_requests(v);
		return;
	}
	if (!(v->eoi_msr & ENABLE))
		return;
	vlapic_take_requests(v);
	if (vlapic_eoi_can_wait(v))
		v->eoi_offered = vm_write(vcpu->vm, word(v), &offer, sizeof(offer));
}

void vlapic_after_exit(struct vcpu *vcpu)
{
	struct vlapic *v = vlapic_of(vcpu);
	uint32_t left, nothing = 0;

	if (!v->eoi_offered)
		return;
	v->eoi_offered = false;
	if (!vm_read(vcpu->vm, word(v), &left, sizeof(left)))
		return;
	if (!(left & OFFERED))
		vlapic_eoi(v);
	else if (!vm_write(vcpu->vm, word(v), &nothing, sizeof(nothing)))
		v->eoi_msr = 0;
}
