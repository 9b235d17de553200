/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the VMX backend share. A vCPU is *in* a CPU from enter() to release(): its
 * VMCS is active there and the registers that VT-x does not switch (struct unswitched) hold its
 * values. Every other access loads it for the moment only: vmx_begin() … vmx_end().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/vcpu.h"
#include "hv/cpu/hvm.h"
#include "hv/cpu/vmx/caps.h"
#include "hv/cpu/vmx/vmcs.h"

/* MSRs of the guest that stay in the registers while it is in a CPU. */
enum { MSRS_UNSWITCHED = 6 };
extern const uint32_t msrs_unswitched[MSRS_UNSWITCHED];

struct unswitched {
	uint64_t msr[MSRS_UNSWITCHED];
	uint64_t cr2, dr[4], dr6;
};

/* Interruption information, one format in four fields (SDM 3C, "VM-Entry Controls for Event
 * Injection", "Information for VM Exits Due to Vectored Events"). */
#define EVENT_VECTOR(info)  ((uint8_t)(info))
#define EVENT_TYPE(info)    ((info) >> 8 & 7)
#define EVENT_TYPE_OF(type) ((uint32_t)(type) << 8)
#define EVENT_ERROR_CODE    (1u << 11)
#define EVENT_NMI_UNBLOCKED (1u << 12) /* exits: IRET had ended NMI blocking */
#define EVENT_VALID	    (1u << 31)
enum event_type {
	EVENT_EXTERNAL = 0,
	EVENT_NMI = 2,
	EVENT_HARDWARE_EXCEPTION = 3,
	EVENT_SOFTWARE_INTERRUPT = 4,
	EVENT_PRIVILEGED_EXCEPTION = 5,
	EVENT_SOFTWARE_EXCEPTION = 6,
};

/* SDM 3C, "Guest Non-Register State", interruptibility */
#define BLOCKED_BY_STI		(1u << 0)
#define BLOCKED_BY_MOV_SS	(1u << 1)
#define BLOCKED_BY_SMI		(1u << 2)
#define BLOCKED_BY_NMI		(1u << 3)
#define BLOCKED_ONE_INSTRUCTION (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)

/* Bits of RFLAGS and DR7 that hv/cpu/msr.h does not have. */
#define RFLAGS_VM BIT(17)
#define DR7_RESET 0x400u
#define DR6_RESET 0xffff0ff0u

/* Pending debug exceptions (SDM 3C, "Guest Non-Register State"); causes as in DR6 */
#define DEBUG_CAUSES	      0x600fu /* B0-3, BD, BS */
#define PENDING_DEBUG_ENABLED BIT(12) /* one of B0-3 is switched on in DR7 */
#define PENDING_DEBUG_BS      BIT(14)

enum exception { X_DB = 1, X_NMI = 2, X_GP = 13, X_AC = 17, X_MC = 18 };

/* The local APIC as the processor sees it (apicv.c). (c) after attach (o) the CPU that has it */
struct vmx_apic {
	struct vapic_page *page; /* (c) NULL: never virtualised */
	struct posted *posted;	 /* (c) */
	bool wanted, on;	 /* (o) from the next entry on; and as the VMCS has it */
	bool changed;		 /* (o) the VMCS is to follow the page */
};

/* (c) constant after create (o) the CPU that has it */
struct vmx_vcpu {
	struct vcpu vcpu;	/* first */
	void *vmcs;		/* (c) the region, one page */
	uint16_t vpid;		/* (c) 0: no VPIDs */
	struct cpu *active_on;	/* (o) CPU on which the VMCS is active; NULL: clear */
	struct cpu *last_on;	/* (o) where it was active before: its TLB entries may be stale */
	bool resident;		/* (o) from enter() to release() */
	bool launched;		/* (o) since the last VMCLEAR */
	uint32_t proc;		/* (o) primary controls, as in the VMCS */
	bool pause_loop;	/* (o) loops of PAUSEs exit */
	struct unswitched regs; /* (o) valid while it is not current */
	struct vmx_apic apic;

	/* (o) Known without the VMCS: as of the last exit, or as set since. */
	uint64_t rflags;
	uint32_t interruptibility;
	bool protected_mode; /* CR0.PE */

	/* (o) The event for the next entry; event is 0 if there is none. */
	uint32_t event, event_error, event_length;
	bool nmi_wanted; /* (o) an NMI waits for its window */
};

_Static_assert(offsetof(struct vmx_vcpu, vcpu) == 0, "vmx_of() and page_free() rely on it");

/* What a CPU has for this backend (struct cpu ->hvm_area). (o) this CPU only */
struct vmx_cpu {
	void *vmxon;		  /* region given to VMXON */
	struct vmx_vcpu *current; /* whose VMCS is current and whose struct unswitched is loaded */
};

extern struct vmx_caps vmx_caps; /* of the boot CPU; all others are the same */

static inline struct vmx_vcpu *vmx_of(struct vcpu *vcpu)
{
	return container_of(vcpu, struct vmx_vcpu, vcpu);
}

/* vmx.c: makes the VMCS current on this CPU for the accesses up to vmx_end(). */
void vmx_begin(struct vmx_vcpu *v);
void vmx_end(struct vmx_vcpu *v);

/* vmcs.c */
int vmcs_init_shared(void);	      /* bitmaps; once */
void vmcs_set_up(struct vmx_vcpu *v); /* all fields of a new, current VMCS */
void vmcs_load_host(void);	      /* host state of this CPU, into the current VMCS */
void vmcs_set_proc(struct vmx_vcpu *v, uint32_t proc);
void vmcs_set_pause_loop(struct vmx_vcpu *v, bool exits); /* where the processor knows such loops */
void vmcs_set_msr_bitmap(bool x2apic); /* the one that passes what an APIC virtualised answers */

/* state.c */
void vmx_get_sregs(struct vcpu *vcpu, struct vcpu_sregs *out);
void vmx_set_sregs(struct vcpu *vcpu, const struct vcpu_sregs *in);
void vmx_skip(struct vcpu *vcpu, unsigned bytes);
void vmx_reset_state(struct vmx_vcpu *v);

/* msr.c */
bool vmx_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value);
void unswitched_save(struct unswitched *regs);
void unswitched_load(const struct unswitched *regs);
bool msr_passes(uint32_t msr);		      /* whether the guest reaches it without an exit */
bool x2apic_passes(uint32_t msr, bool write); /* ... while its APIC is virtualised */

/* cr.c: control registers as the guest sees them; the VMCS is current. */
uint64_t cr0_read(void);
uint64_t cr4_read(void);
void cr0_set(uint64_t cr0); /* unchecked, as cr4_set() and efer_set() */
void cr4_set(uint64_t cr4);
void efer_set(uint64_t efer);
void cr_set_up(void);		 /* masks, shadows */
bool pdptes_load(struct vm *vm); /* if paging is PAE's; false: a reserved bit is set */
bool cr_write(struct vmx_vcpu *v, unsigned cr, uint64_t value); /* false: #GP */
bool efer_write(struct vmx_vcpu *v, uint64_t value);		/* false: #GP */

/* check.c: names the check that makes VM entries with these fields fail (SDM 3C, "Checks on VMX
 * Controls, Host-State Area, Guest State"); NULL if it finds none. Pure. */
typedef uint64_t vmcs_reader(const void *context, enum vmcs_field field);
const char *vmcs_explain(const struct vmx_caps *caps, vmcs_reader *read, const void *context);

/* inject.c */
bool vmx_irq_ready(struct vcpu *vcpu);
void vmx_inject(struct vcpu *vcpu, const struct injection *what);
void vmx_inject_exception(struct vcpu *vcpu, uint8_t vector, int64_t error_code);
/* #DB with its causes into DR6; the VMCS is current. Before interrupts, as a processor has it (SDM 3A,
 * "Priority Among Concurrent Events"), hence not through the pending debug exceptions. */
void vmx_inject_debug(struct vmx_vcpu *v, uint64_t causes);
void vmx_debug_causes(uint64_t causes);
void events_before_entry(struct vmx_vcpu *v, bool irq_waits);
void events_after_exit(struct vmx_vcpu *v); /* what the exit cut off is pending again */

/* apicv.c */
const struct apic_ops *vmx_apic(const char **lacks);
void apicv_before_entry(struct vmx_vcpu *v);

/* exit.c */
void exit_decode(struct vmx_vcpu *v, struct vmexit *exit);
void exit_decode_failed_entry(struct vmx_vcpu *v, unsigned how, struct vmexit *exit);
void exit_failed(struct vmexit *exit, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ept.c */
int ept_vm_init(struct vm *vm);
void ept_vm_free(struct vm *vm);
int ept_map(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes);
int ept_map_device(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes);
void ept_unmap_device(struct vm *vm, gpa_t gpa, uint64_t bytes);
void ept_flush_vm(struct vm *vm);
uint64_t ept_pointer(const struct vm *vm);
void ept_flush_all(void);		   /* this CPU, everything */
void vpid_flush(const struct vmx_vcpu *v); /* this CPU, linear mappings of a vCPU */

/* entry.S: VMLAUNCH or VMRESUME; 0 after an exit, 1 VMfailInvalid, 2 VMfailValid. */
unsigned vmx_enter_guest(uint64_t gpr[GPR_COUNT], bool launched);
void vmx_exit_point(void); /* host RIP */
