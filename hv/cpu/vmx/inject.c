/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events for the guest through the VM-entry interruption field: all of them, but for interrupts while
 * the APIC is virtualised (apicv.c) (SDM 3C, "Event Injection" and
 * "Information for VM Exits That Occur During Event Delivery"). One event waits at most, in
 * v->event; what an exit cut off comes first. irq_ready() and what injects touch no VMCS, but for
 * INIT, so they are right on a vCPU that is in no CPU, too.
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include "hv/cpu/msr.h"

static bool nmi_ready(const struct vmx_vcpu *v)
{
	return !v->event &&
	       !(v->interruptibility & (BLOCKED_ONE_INSTRUCTION | BLOCKED_BY_SMI | BLOCKED_BY_NMI));
}

bool vmx_irq_ready(struct vcpu *vcpu)
{
	const struct vmx_vcpu *v = vmx_of(vcpu);

	return !v->event && (v->rflags & RFLAGS_IF) &&
	       !(v->interruptibility & BLOCKED_ONE_INSTRUCTION) && !(v->nmi_wanted && nmi_ready(v));
}

/* Replaces what waits: an exit that cut off an event is never handled by an exception (exit.c makes
 * MMIO_FETCH of it, which ends the VM). */
void vmx_inject_exception(struct vcpu *vcpu, uint8_t vector, int64_t error_code)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	/* Real mode pushes no error codes (SDM 3C, "Checks on VMX Controls", event injection). */
	v->event = EVENT_VALID | EVENT_TYPE_OF(EVENT_HARDWARE_EXCEPTION) | vector;
	v->event_error = 0;
	if (error_code >= 0 && v->protected_mode) {
		v->event |= EVENT_ERROR_CODE;
		v->event_error = (uint32_t)error_code;
	}
}

void vmx_debug_causes(uint64_t causes)
{
	uint64_t dr6;

	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	dr6 = (dr6 & ~0xfull) | (causes & DEBUG_CAUSES);
	__asm__ volatile("mov %0, %%dr6" : : "r"(dr6));
	vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
}

void vmx_inject_debug(struct vmx_vcpu *v, uint64_t causes)
{
	vmx_debug_causes(causes);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	vmx_inject_exception(&v->vcpu, X_DB, -1);
}

static void init(struct vmx_vcpu *v)
{
	v->event = 0;
	v->nmi_wanted = false;
	v->interruptibility = 0;
	vmx_begin(v);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_DR7, DR7_RESET);
	unswitched_save(&v->regs);
	for (unsigned i = 0; i < 4; i++)
		v->regs.dr[i] = 0;
	v->regs.dr6 = DR6_RESET;
	unswitched_load(&v->regs);
	vmx_end(v);
}

void vmx_inject(struct vcpu *vcpu, const struct injection *what)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	switch (what->kind) {
	case INJECT_IRQ:
		v->event = EVENT_VALID | EVENT_TYPE_OF(EVENT_EXTERNAL) | what->vector;
		break;
	case INJECT_EXCEPTION:
		vmx_inject_exception(vcpu, what->vector, what->error_code);
		break;
	case INJECT_NMI:
		v->nmi_wanted = true;
		break;
	case INJECT_INIT:
		init(v);
		break;
	}
}

static bool is_software(uint32_t info)
{
	switch (EVENT_TYPE(info)) {
	case EVENT_SOFTWARE_INTERRUPT:
	case EVENT_PRIVILEGED_EXCEPTION:
	case EVENT_SOFTWARE_EXCEPTION:
		return true;
	default:
		return false;
	}
}

void events_before_entry(struct vmx_vcpu *v, bool irq_waits)
{
	uint32_t proc = v->proc & ~(uint32_t)PROC_WINDOWS;

	if (v->nmi_wanted && nmi_ready(v)) {
		v->event = EVENT_VALID | EVENT_TYPE_OF(EVENT_NMI) | X_NMI;
		v->nmi_wanted = false;
	}
	if (irq_waits)
		proc |= PROC_IRQ_WINDOW;
	if (v->nmi_wanted)
		proc |= PROC_NMI_WINDOW;
	vmcs_set_proc(v, proc);
	if (!v->event)
		return;
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, v->event);
	if (v->event & EVENT_ERROR_CODE)
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, v->event_error);
	if (is_software(v->event))
		vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, v->event_length);
}

void events_after_exit(struct vmx_vcpu *v)
{
	uint32_t cut_off = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_INFO);

	v->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	v->interruptibility = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	v->protected_mode = vmcs_read(VMCS_GUEST_CR0) & CR0_PE;
	v->event = 0;
	if (!(cut_off & EVENT_VALID))
		return;
	v->event = cut_off & ~EVENT_NMI_UNBLOCKED; /* undefined there, reserved at entry */
	if (cut_off & EVENT_ERROR_CODE)
		v->event_error = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE);
	if (is_software(cut_off))
		v->event_length = (uint32_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
	if (EVENT_TYPE(cut_off) == EVENT_NMI && (v->interruptibility & BLOCKED_BY_NMI)) {
		v->interruptibility &= ~BLOCKED_BY_NMI; /* it has not been delivered yet */
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, v->interruptibility);
	}
}
