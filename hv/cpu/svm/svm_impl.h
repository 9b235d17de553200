/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the SVM backend share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/decode.h"
#include "hv/core/percpu.h"
#include "hv/core/vcpu.h"
#include "hv/cpu/hvm.h"
#include "hv/cpu/svm/asid.h"
#include "hv/cpu/svm/check.h"
#include "hv/cpu/svm/features.h"
#include "hv/cpu/svm/vmcb.h"

/* Each CPU's (struct cpu.hvm_area). (c) constant (o) its CPU only */
struct svm_cpu {
	void *host_save;	/* (c) VM_HSAVE_PA: VMRUN's own */
	struct vmcb *host;	/* (c) what VMLOAD gives back to the core after an exit */
	struct asid_pool asids; /* (o) */
};

/* A vCPU of ours; all members belong to the CPU that runs it. */
struct svm_vcpu {
	struct vcpu vcpu;
	struct vmcb *vmcb;
	struct vmcb *entered; /* as it was before an entry after we changed state: for a refusal */
	bool changed;	      /* state was set by us since the last entry: check it before */
	bool loaded;	      /* DR0-3 and TSC_AUX are in this CPU's registers */
	uint8_t virq; /* on QEMU's TCG: interrupt that V_IRQ is to deliver; 0: none (inject.c) */
	bool nmi_pending;
	bool nmi_blocked; /* from an NMI's delivery to its IRET */
	bool iret_left;	  /* the CPU stood at that IRET, at iret_rip, when the guest was left */
	uint64_t iret_rip;
	uint64_t dr[4];
	uint64_t dr7; /* on QEMU's TCG: the guest's, which is not the processor's (strict.c) */
	uint64_t tsc_aux;
	struct asid asid;
	bool move_allowed; /* a move to CR0, DR6, DR7 has been checked: strict.c */
	bool entry_shadow; /* the last entry was into an STI or MOV-SS shadow, at entry_rip */
	uint64_t entry_rip;
};

/* What all CPUs have in common, found on the boot CPU; (c) after svm_cpu_enable() there. */
struct svm_machine {
	uint32_t asids, edx; /* CPUID 8000_000Ah: number of ASIDs, features */
	bool rdtscp, page_1g;
	bool strict; /* the processor is QEMU's TCG: strict.c, inject.c */
	struct svm_limits limits;
	void *iopm, *msrpm; /* every VM's: all ports and all but the MSRs in the VMCB are ours */
};
extern struct svm_machine svm;

#define ATTRIB_L    BIT(9)	 /* of a code segment in struct vmcb_segment */
#define IOPM_BYTES  (12u * 1024) /* 64 Ki ports and what a 16-bit access at 0xffff touches */
#define MSRPM_BYTES (8u * 1024)

static inline struct svm_vcpu *to_svm(struct vcpu *vcpu)
{
	return container_of(vcpu, struct svm_vcpu, vcpu);
}

/* entry.S: loads gpr[] (RAX and RSP are in the VMCB), runs the guest until an exit, stores gpr[],
 * gives the core its FS, GS, TR and system-call MSRs back. Interrupts are off before and after.
 * The addresses are physical. */
void svm_run(uint64_t vmcb, uint64_t host, uint64_t *gpr);
extern const char svm_run_end[];

/* vmcb.c: the control block's contents. */
void svm_vmcb_reset(struct svm_vcpu *v);
/* Whether PAUSEs are exits from the next entry on: with the filter, those of a loop. */
void svm_set_pause_exits(struct svm_vcpu *v, bool exits);
void svm_get_sregs(struct vcpu *vcpu, struct vcpu_sregs *out);
void svm_set_sregs(struct vcpu *vcpu, const struct vcpu_sregs *in);
bool svm_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value);
void svm_msrpm_fill(uint8_t *map);

/* npt.c */
int svm_vm_init(struct vm *vm);
void svm_vm_free(struct vm *vm);
int svm_map(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes);
int svm_map_device(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes);
void svm_unmap_device(struct vm *vm, gpa_t gpa, uint64_t bytes);

/* exit.c: the exit that the VMCB holds, in neutral words. */
void svm_exit(struct svm_vcpu *v, struct vmexit *exit);
void svm_skip(struct vcpu *vcpu, unsigned bytes);

/* strict.c: moves to control and debug registers that exit. insn: what
 * stands at RIP, NULL if that is unknown. */
bool svm_moves_unchecked(void);
void svm_strict_before_entry(struct svm_vcpu *v);
void svm_strict_exit(struct svm_vcpu *v, uint32_t code, const struct insn *insn);

/* inject.c */
bool svm_irq_ready(struct vcpu *vcpu);
void svm_inject(struct vcpu *vcpu, const struct injection *what);
void svm_inject_exception(struct vcpu *vcpu, uint8_t vector, int64_t error_code);
void svm_iret_exit(struct svm_vcpu *v);
/* Before an entry: a waiting NMI and the interrupt window. True: leave the guest again very
 * soon. */
bool svm_inject_before_entry(struct svm_vcpu *v, bool irq_waits);
/* The guest must be left before its first instruction. */
bool svm_must_leave_at_once(const struct svm_vcpu *v);
/* After an exit: what it cut off is injected again at the next entry. True if something was. */
bool svm_reinject(struct svm_vcpu *v);
