/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU. Its state is one atomic word: RUNNING on a CPU, RUNNABLE (in a run queue), BLOCKED
 * in HLT, or OFF. The switch reads it without a lock: that is what makes batching state-aware.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/core/list.h"
#include "hv/core/timer.h"
#include "hv/core/vm.h"
#include "hv/core/exit_cause.h"
#include "hv/core/vcpu_look.h"
#include "hv/cpu/hvm.h"
#include "hv/cpu/x86.h"

enum vcpu_state { VCPU_OFF, VCPU_RUNNABLE, VCPU_RUNNING, VCPU_BLOCKED };

/* (c) constant (o) the CPU that runs it (a) atomic [q] under its CPU's runq_lock */
struct vcpu {
	struct vm *vm;		  /* (c) */
	unsigned index;		  /* (c) = its APIC ID */
	_Atomic uint32_t state;	  /* (a) enum vcpu_state; changed only by vcpu_transition() */
	_Atomic bool loaded;	  /* (a) FPU and backend state are in ->cpu: it cannot move */
	bool halted;		  /* (o) executed HLT and waits for an interrupt */
	_Atomic uint32_t signals; /* (a) enum vcpu_signal that arrived, and hv/core/vcpu.c's own */
	bool mmio_refused;	  /* (o) the access being emulated is claimed by no device */
	unsigned mmio_tries;	  /* (o) of what stands at mmio_rip, which could not be emulated */
	uint64_t mmio_rip;	  /* (o) */
	uint64_t gpr[GPR_COUNT];  /* (o) between exits */
	uint64_t xcr0;		  /* (o) the guest's; the backend loads it */
	uint64_t pvclock;	  /* (o) paravirtual clock: its MSR (hv/core/pvclock.c) */
	void *fpu;		  /* (o) hv/core/fpu.h */
	struct list runq;	  /* [q] */
	struct cpu *_Atomic cpu;  /* (a) where it runs, or ran last; changes only if not loaded */
	uint64_t usage;		  /* (o), [q] while queued: decayed CPU time (hv/core/runq.c) */
	uint64_t ready_tsc;	  /* when it was woken; 0: it was not (its waker, then (o)) */
	uint64_t charged_tsc;	  /* (o) its CPU time is accounted for until then */
	uint64_t slice_start_tsc; /* (o) */
	uint64_t slice_end_tsc;	  /* (o) */
	bool contended;	      /* (o) others wait for this CPU: loops of PAUSEs are to be exits */
	unsigned pauses;      /* (o) exits by PAUSE, one behind the other */
	uint64_t timer_tsc;   /* (o) when its local APIC's timer is over, as of its last entry */
	uint64_t flush_tsc;   /* (o) packets put without a kick are to be taken until then */
	bool leaving;	      /* (o) not to enter the guest again soon: no more of these */
	_Atomic bool posting; /* (a) set by its CPU: posted interrupts reach it in the guest */
	struct timer wake;    /* (o) for its local APIC timer while it is blocked */
	void *platform;	      /* (c) its local APIC (hv/dev/vlapic.c) */

	struct last_exits last_exits; /* (o) */
	struct spinlock look_lock;
	struct vcpu_look look; /* under look_lock */

	_Atomic uint64_t exits[EXIT_CAUSE_COUNT]; /* (a) written by its CPU only, read by any */
	_Atomic uint64_t wakeups;		  /* (a) BLOCKED to RUNNABLE */
	_Atomic uint64_t run_tsc; /* (a) written by its CPU only: time spent in or for the guest */
	_Atomic uint64_t
		wake_max_tsc; /* (a) written by its CPU only: longest from woken to running */
};

enum vcpu_signal {
	SIGNAL_NMI = 1u << 0,
	SIGNAL_INIT = 1u << 1,
	SIGNAL_SIPI = 1u << 2,
	SIGNAL_DUMP = 1u << 3, /* by the user: vcpu_dump(), paused or not */
	SIGNAL_LOOK = 1u << 4, /* vcpu_look_take(), paused or not */
};

/* From OFF: vCPU 0 runs, the others wait for a SIPI (BLOCKED). Once; vCPU 0 last, when the VM is
 * RUNNING. */
void vcpu_start(struct vcpu *vcpu);

/* The same for vCPU 0, but it runs from this TSC value on. */
void vcpu_start_at(struct vcpu *vcpu, uint64_t tsc);

/* NMI, INIT or SIPI to a vCPU (SDM 3A, "MP Initialization Protocol"; vector: of a SIPI). INIT
 * stops it until a SIPI starts it in real mode at vector << 12; INIT to vCPU 0 resets the VM. Any
 * CPU. */
void vcpu_signal(struct vcpu *vcpu, enum vcpu_signal signal, uint8_t vector);

/* BLOCKED → RUNNABLE, into a run queue; its CPU is told. Harmless in other states. An interrupt
 * must have been requested before (hv/cpu/vapic.h). Any CPU. */
void vcpu_wake(struct vcpu *vcpu);

/* Makes it look for interrupts: wakes it if blocked; if it is running elsewhere, an IPI makes it
 * leave the guest. Any CPU. */
void vcpu_kick(struct vcpu *vcpu);

/* The same after an interrupt was posted (hv/cpu/vapic.h): a vCPU that runs with its local APIC
 * virtualised gets it without leaving the guest. Any CPU. */
void vcpu_notify(struct vcpu *vcpu);

/* Runs the vCPU on this CPU until it blocks, ends, or its slice is over (hv/core/vcpu.c). */
void vcpu_run(struct vcpu *vcpu);

/* The one place where states change: true if it was `from` and is now `to`. */
bool vcpu_transition(struct vcpu *vcpu, enum vcpu_state from, enum vcpu_state to);

/* Takes the loaded vCPU's state out of this CPU, so that it may go on on another. */
void vcpu_unload(struct cpu *cpu);

/* One exit, handled (hv/core/exit.c). */
void exit_handle(struct vcpu *vcpu, const struct vmexit *exit);

/* Log lines with all registers. */
void vcpu_dump(struct vcpu *vcpu);

/* CPUID and MSRs as the guest sees them (hv/core/guest_cpuid.c, guest_msr.c). msr: false: #GP. */
struct cpuid_regs guest_cpuid(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf);
bool guest_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool guest_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* include/lasthop/hypercall.h; RAX is the caller's to set. HC_END does come back: the VM is then
 * ending. */
int64_t hypercall(struct vcpu *vcpu, uint64_t number, uint64_t arg);

/* An exception into the guest; error_code < 0: none. #GP(0), #UD, #PF. */
void vcpu_inject(struct vcpu *vcpu, uint8_t vector, int64_t error_code);
void vcpu_inject_gp(struct vcpu *vcpu);
void vcpu_inject_ud(struct vcpu *vcpu);
void vcpu_inject_pf(struct vcpu *vcpu, uint64_t cr2, uint32_t error_code);

/* A guest-virtual address through the guest's page tables (hv/core/gva.c; SDM 3A, "Paging"): all
 * paging modes. access: PF error-code bits of the access (W=2, U=4, I=16), and GVA_LOOK if the tables'
 * accessed and dirty bits are to stay as they are. 0 and *out, or LH_FAULT and *pf_error for the #PF to
 * inject. Reads each entry once. */
#define GVA_LOOK (1u << 31)
int gva_to_gpa(struct vcpu *vcpu, uint64_t gva, uint32_t access, gpa_t *out, uint32_t *pf_error);

/* Copies up to 15 instruction bytes at RIP; returns how many could be read. */
unsigned guest_fetch(struct vcpu *vcpu, uint8_t out[15]);

/* The same for `count` bytes, `from` RIP on, without a trace in the guest (GVA_LOOK). */
unsigned guest_look(struct vcpu *vcpu, int from, uint8_t *out, unsigned count);

/*
 * Decodes the instruction at RIP that accessed memory at exit->mmio and carries it out with
 * access() standing for the memory: MOV, MOVZX, MOVSX, MOVSXD, STOS, MOVS, AND, OR, XOR, ADD,
 * SUB, CMP, TEST, BT*, XCHG in their memory forms; operand and address sizes and REX honoured
 * (hv/core/emulate.c). Updates GPRs and RFLAGS and skips. false: cannot; the caller stops the VM.
 * access() says so in ->mmio_refused if nobody claims the address.
 */
typedef bool mmio_access_fn(struct vcpu *vcpu, gpa_t gpa, unsigned bytes, bool write,
			    uint64_t *value);
bool emulate_mmio(struct vcpu *vcpu, const struct vmexit *exit, mmio_access_fn *access);

/* INS/OUTS with REP: one element (or a bounded number) through the port; moves RIP when done. */
typedef bool io_access_fn(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write,
			  uint32_t *value);
bool emulate_string_io(struct vcpu *vcpu, const struct vmexit *exit, io_access_fn *access,
		       mmio_access_fn *memory);
