/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM exits, turned into the neutral struct vmexit or dealt with here (SDM 3C, "VM Exits"; reasons:
 * SDM 3D, appendix C "VMX Basic Exit Reasons"; qualifications: "Exit Qualification").
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include "hv/core/log.h"
#include "hv/cpu/msr.h"

enum exit_reason {
	EXIT_EXCEPTION_OR_NMI = 0,
	EXIT_EXTERNAL_INTERRUPT = 1,
	EXIT_TRIPLE_FAULT = 2,
	EXIT_INIT = 3,
	EXIT_IRQ_WINDOW = 7,
	EXIT_NMI_WINDOW = 8,
	EXIT_TASK_SWITCH = 9,
	EXIT_CPUID = 10,
	EXIT_GETSEC = 11,
	EXIT_HLT = 12,
	EXIT_INVD = 13,
	EXIT_RDPMC = 15,
	EXIT_RSM = 17,
	EXIT_VMCALL = 18,
	EXIT_VMCLEAR = 19,
	EXIT_VMXON = 27,
	EXIT_CR_ACCESS = 28,
	EXIT_IO = 30,
	EXIT_RDMSR = 31,
	EXIT_WRMSR = 32,
	EXIT_BAD_GUEST_STATE = 33,
	EXIT_BAD_MSR_LIST = 34,
	EXIT_MWAIT = 36,
	EXIT_MONITOR = 39,
	EXIT_PAUSE = 40,
	EXIT_MACHINE_CHECK = 41,
	EXIT_VIRTUALIZED_EOI = 45,
	EXIT_EPT_VIOLATION = 48,
	EXIT_EPT_MISCONFIGURED = 49,
	EXIT_INVEPT = 50,
	EXIT_PREEMPTION_TIMER = 52,
	EXIT_INVVPID = 53,
	EXIT_WBINVD = 54,
	EXIT_XSETBV = 55,
	EXIT_APIC_WRITE = 56,
	EXIT_VMFUNC = 59,
};
#define EXIT_ENTRY_FAILED BIT(31)

void exit_failed(struct vmexit *exit, const char *fmt, ...)
{
	__builtin_va_list ap;

	exit->kind = VMEXIT_FAILED;
	__builtin_va_start(ap, fmt);
	vsnprintf(exit->reason, sizeof(exit->reason), fmt, ap);
	__builtin_va_end(ap);
}

/* The exit was caused by an IRET that had already ended NMI blocking: it will run again. */
static void block_nmi_again(struct vmx_vcpu *v)
{
	v->interruptibility |= BLOCKED_BY_NMI;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, v->interruptibility);
}

/* #DB goes back to the guest as it was; DR6 and DR7 are ours to update (SDM 3C, "Architectural
 * State Before a VM Exit"). */
static void reflect_debug(struct vmx_vcpu *v)
{
	vmx_debug_causes(vmcs_read(VMCS_EXIT_QUALIFICATION));
	if ((v->interruptibility & BLOCKED_ONE_INSTRUCTION) && (v->rflags & RFLAGS_TF))
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_BS); /* or the entry fails */
}

static void exception(struct vmx_vcpu *v, struct vmexit *exit)
{
	uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_INFO);

	exit->kind = VMEXIT_NONE;
	if (EVENT_TYPE(info) == EVENT_NMI) {
		__asm__ volatile("int $2"
				 :
				 :
				 : "memory"); /* the host's NMI; its IRET ends the blocking */
		return;
	}
	if ((info & EVENT_NMI_UNBLOCKED) && !v->event)
		block_nmi_again(v);
	switch (EVENT_VECTOR(info)) {
	case X_MC:
		__asm__ volatile("int $18" : : : "memory");
		return;
	case X_DB:
		reflect_debug(v);
		break;
	case X_AC:
		break;
	default:
		exit_failed(exit, "unexpected exit on exception %u", EVENT_VECTOR(info));
		return;
	}
	v->event = info & ~EVENT_NMI_UNBLOCKED;
	v->event_length = (uint32_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
	if (info & EVENT_ERROR_CODE)
		v->event_error = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
}

static void cr_access(struct vmx_vcpu *v, struct vmexit *exit)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	unsigned cr = qualification & 15, type = qualification >> 4 & 3;
	unsigned gpr = qualification >> 8 & 15;
	uint64_t value = v->vcpu.gpr[gpr];

	if (cr == 8 && type < 2) {
		exit->kind = VMEXIT_CR8;
		exit->cr8.gpr = (uint8_t)gpr;
		exit->cr8.write = type == 0;
		return;
	}
	if ((cr != 0 && cr != 4) || type != 0) { /* LMSW, CLTS: only bits that are the guest's */
		exit_failed(exit, "unexpected exit on access to CR%u (type %u)", cr, type);
		return;
	}
	if (!(vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_GUEST_64))
		value = (uint32_t)value;
	exit->kind = VMEXIT_NONE;
	if (cr_write(v, cr, value))
		vmx_skip(&v->vcpu, SKIP_WHOLE);
	else
		vmx_inject_exception(&v->vcpu, X_GP, 0);
}

static void io(struct vmexit *exit)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	uint64_t info;

	exit->kind = VMEXIT_IO;
	exit->io.bytes = (uint8_t)((qualification & 7) + 1);
	exit->io.write = !(qualification & BIT(3));
	exit->io.string = qualification & BIT(4);
	exit->io.rep = qualification & BIT(5);
	exit->io.port = (uint16_t)(qualification >> 16);
	exit->io.addr_bytes = 0;
	exit->io.seg = SEG_ES;
	if (!exit->io.string)
		return;
	info = vmcs_read(VMCS_EXIT_INSTRUCTION_INFO);
	exit->io.addr_bytes = (uint8_t)(2u << (info >> 7 & 3));
	if (exit->io.write) /* INS writes to ES always */
		exit->io.seg = (uint8_t)(info >> 15 & 7);
}

static void ept_violation(struct vmx_vcpu *v, struct vmexit *exit)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	bool fetch = qualification & BIT(2);
	/* bit 7: there is a linear address; bit 8: it is that of the access, not of a walk to it */
	bool walk = (qualification & (BIT(7) | BIT(8))) == BIT(7);

	/* While an event is delivered, RIP is not at an instruction that accessed the address. */
	exit->kind = fetch || walk || v->event ? VMEXIT_MMIO_FETCH : VMEXIT_MMIO;
	exit->mmio.gpa.v = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	exit->mmio.write = qualification & BIT(1);
	if ((qualification & BIT(12)) && !v->event)
		block_nmi_again(v);
}

/* Reasons that are nothing but a kind of exit; the others are in exit_decode(). */
static bool simple_kind(uint32_t reason, enum vmexit_kind *kind)
{
	static const uint8_t kinds[] = {
		/* VMEXIT_NONE: not simple */
		[EXIT_TRIPLE_FAULT] = VMEXIT_SHUTDOWN,
		[EXIT_CPUID] = VMEXIT_CPUID,
		[EXIT_GETSEC] = VMEXIT_UNDEFINED,
		[EXIT_HLT] = VMEXIT_HLT,
		[EXIT_INVD] = VMEXIT_CACHE,
		[EXIT_RSM] = VMEXIT_UNDEFINED,
		[EXIT_VMCALL] = VMEXIT_HYPERCALL,
		[EXIT_VMCLEAR... EXIT_VMXON] = VMEXIT_UNDEFINED,
		[EXIT_RDMSR] = VMEXIT_RDMSR,
		[EXIT_WRMSR] = VMEXIT_WRMSR,
		[EXIT_MWAIT] = VMEXIT_UNDEFINED,
		[EXIT_MONITOR] = VMEXIT_UNDEFINED,
		[EXIT_PAUSE] = VMEXIT_PAUSE,
		[EXIT_INVEPT] = VMEXIT_UNDEFINED,
		[EXIT_PREEMPTION_TIMER] = VMEXIT_DEADLINE,
		[EXIT_INVVPID] = VMEXIT_UNDEFINED,
		[EXIT_WBINVD] = VMEXIT_CACHE,
		[EXIT_XSETBV] = VMEXIT_XSETBV,
		[EXIT_VMFUNC] = VMEXIT_UNDEFINED,
	};

	if (reason >= sizeof(kinds) || kinds[reason] == VMEXIT_NONE)
		return false;
	*kind = kinds[reason];
	return true;
}

/* There is information if it was acknowledged at the exit (APICV_EXIT). */
static void external_interrupt(struct vmexit *exit)
{
	uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_INFO);

	exit->kind = info & EVENT_VALID ? VMEXIT_INTERRUPT_TAKEN : VMEXIT_INTERRUPT;
	exit->vector = EVENT_VECTOR(info);
}

static void decode_other(struct vmx_vcpu *v, uint32_t reason, struct vmexit *exit)
{
	switch (reason) {
	case EXIT_EXCEPTION_OR_NMI:
		exception(v, exit);
		break;
	case EXIT_EXTERNAL_INTERRUPT:
		external_interrupt(exit);
		break;
	case EXIT_INIT:	      /* to this CPU, which starts none that runs: drop it */
	case EXIT_NMI_WINDOW: /* events_before_entry() makes use of it */
		exit->kind = VMEXIT_NONE;
		break;
	case EXIT_IRQ_WINDOW:
		exit->kind = VMEXIT_IRQ_WINDOW;
		break;
	case EXIT_RDPMC: /* CPUID shows no counters */
		exit->kind = VMEXIT_NONE;
		vmx_inject_exception(&v->vcpu, X_GP, 0);
		break;
	case EXIT_CR_ACCESS:
		cr_access(v, exit);
		break;
	case EXIT_IO:
		io(exit);
		break;
	case EXIT_VIRTUALIZED_EOI:
		exit->kind = VMEXIT_APIC_EOI;
		exit->vector = (uint8_t)vmcs_read(VMCS_EXIT_QUALIFICATION);
		break;
	case EXIT_APIC_WRITE: /* the qualification is the offset in the page */
		exit->kind = VMEXIT_APIC_WRITTEN;
		exit->apic_register = (uint8_t)(vmcs_read(VMCS_EXIT_QUALIFICATION) >> 4);
		break;
	case EXIT_EPT_VIOLATION:
		ept_violation(v, exit);
		break;
	case EXIT_EPT_MISCONFIGURED:
		exit_failed(exit, "EPT misconfiguration at guest-physical %#llx",
			    (unsigned long long)vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS));
		break;
	case EXIT_TASK_SWITCH:
		exit_failed(exit, "the guest switched tasks by hardware, which VT-x leaves to "
				  "software and lasthop does not do");
		break;
	default:
		exit_failed(exit, "unexpected VM exit, reason %u, qualification %#llx", reason,
			    (unsigned long long)vmcs_read(VMCS_EXIT_QUALIFICATION));
	}
}

/* The host's view of a field of the current VMCS, for vmcs_explain(). */
static uint64_t read_current(const void *context, enum vmcs_field field)
{
	(void)context;
	return vmcs_read(field);
}

static void entry_refused(uint32_t reason, struct vmexit *exit)
{
	/* SDM 3C, "VM-Entry Failures During or After Loading Guest State" */
	static const char *const hints[] = { "", "", " (PDPTEs)", " (NMI injection)",
					     " (VMCS link pointer)" };
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	const char *hint =
		qualification < sizeof(hints) / sizeof(hints[0]) ? hints[qualification] : "";
	const char *words = vmcs_explain(&vmx_caps, read_current, NULL);

	switch (reason) {
	case EXIT_BAD_GUEST_STATE:
		exit_failed(exit, "VM entry failed on the guest's state%s: %s", hint,
			    words ? words : "no check that we know says why");
		break;
	case EXIT_BAD_MSR_LIST:
		exit_failed(exit, "VM entry failed while it loaded MSR %llu of the list",
			    (unsigned long long)qualification);
		break;
	case EXIT_MACHINE_CHECK:
		__asm__ volatile("int $18" : : : "memory");
		exit_failed(exit, "VM entry failed: machine check");
		break;
	default:
		exit_failed(exit, "VM entry failed with reason %u", reason);
	}
}

void exit_decode(struct vmx_vcpu *v, struct vmexit *exit)
{
	uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);

	if (reason & EXIT_ENTRY_FAILED) {
		entry_refused(reason & 0xffff, exit);
		return;
	}
	v->launched = true;
	v->vcpu.gpr[GPR_RSP] = vmcs_read(VMCS_GUEST_RSP);
	events_after_exit(v);
	reason &= 0xffff;
	if (!simple_kind(reason, &exit->kind))
		decode_other(v, reason, exit);
	else if (exit->kind == VMEXIT_HLT)
		exit->rflags = v->rflags;
	else
		exit->pause_loop = reason == EXIT_PAUSE;
}

/* VMLAUNCH or VMRESUME ended before it touched guest or host state (SDM 3C, "VM Instruction Error
 * Numbers"). */
void exit_decode_failed_entry(struct vmx_vcpu *v, unsigned how, struct vmexit *exit)
{
	uint64_t error = vmcs_read(VMCS_INSTRUCTION_ERROR);
	const char *words;

	if (how == 1) {
		exit_failed(exit, "VM entry failed: no VMCS is current");
		return;
	}
	switch (error) {
	case 4:
	case 5:
		exit_failed(exit, "VM entry failed: the VMCS is %s",
			    v->launched ? "not launched, but was resumed" : "launched already");
		return;
	case 7: /* invalid control fields */
	case 8: /* invalid host-state fields */
		words = vmcs_explain(&vmx_caps, read_current, NULL);
		exit_failed(exit, "VM entry failed on %s: %s",
			    error == 7 ? "the controls" : "the host's state",
			    words ? words : "no check that we know says why");
		return;
	case 26:
		exit_failed(exit, "VM entry failed: events are blocked by MOV SS");
		return;
	default:
		exit_failed(exit, "VM entry failed: VM-instruction error %llu",
			    (unsigned long long)error);
	}
}
