/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one interface between the core and the two backends, VMX (hv/cpu/vmx) and SVM (hv/cpu/svm).
 * The core holds a `const struct hvm_ops *hvm`, chosen once at start. Above it exits are handled
 * once; what the core need not know (EPT misconfiguration, missing next-RIP, CR0.NE) stays below.
 *
 * All members are called with interrupts off. vCPU members are called on the CPU that owns the
 * vCPU at that moment, outside of the guest; a vCPU may go on on another CPU at its next enter().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/addr.h"

struct vm;
struct vcpu;
struct vapic_page;
struct posted;

enum gpr { /* encoding order of the manuals */
	   GPR_RAX,
	   GPR_RCX,
	   GPR_RDX,
	   GPR_RBX,
	   GPR_RSP,
	   GPR_RBP,
	   GPR_RSI,
	   GPR_RDI,
	   GPR_R8,
	   GPR_R9,
	   GPR_R10,
	   GPR_R11,
	   GPR_R12,
	   GPR_R13,
	   GPR_R14,
	   GPR_R15,
	   GPR_COUNT
};

struct segment {
	uint16_t selector;
	uint16_t access; /* bits 0-7 as descriptor byte 5, 8-11 as AVL,L,D,G; bit 15: unusable */
	uint32_t limit;	 /* in bytes, already scaled */
	uint64_t base;
};
#define SEG_UNUSABLE 0x8000u

enum seg_reg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_REG_COUNT };

/* The state of a vCPU but for its GPRs (in struct vcpu) and FPU. RSP is GPR_RSP. */
struct vcpu_sregs {
	uint64_t rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, efer; /* as the guest sees them */
	struct segment seg[SEG_REG_COUNT];
	uint64_t gdt_base, idt_base;
	uint32_t gdt_limit, idt_limit;
};

enum vmexit_kind {
	VMEXIT_NONE,		/* dealt with in the backend: enter again */
	VMEXIT_INTERRUPT,	/* a host interrupt is pending: interrupts_take() */
	VMEXIT_INTERRUPT_TAKEN, /* a host interrupt was acknowledged: interrupt_handle(exit->vector) */
	VMEXIT_DEADLINE, /* the deadline given to enter() has passed (or VMEXIT_INTERRUPT instead) */
	VMEXIT_IRQ_WINDOW, /* the guest can take an interrupt now; the window request is over */
	VMEXIT_HLT,	   /* exit->rflags */
	VMEXIT_PAUSE,	   /* exit->pause_loop: one of a loop, by the processor's judgement */
	VMEXIT_CPUID,
	VMEXIT_RDMSR, /* number in guest's ECX */
	VMEXIT_WRMSR,
	VMEXIT_XSETBV,
	VMEXIT_HYPERCALL,
	VMEXIT_APIC_EOI, /* the guest ended a level-triggered interrupt: exit->vector */
	VMEXIT_APIC_WRITTEN, /* the guest wrote a register of its virtualised APIC: exit->apic_register */
	VMEXIT_CR8,	     /* MOV to or from CR8, the task priority: exit->cr8 */
	VMEXIT_IO,
	VMEXIT_MMIO,	   /* nested page fault outside of what is mapped, with a data access */
	VMEXIT_MMIO_FETCH, /* the same by an instruction fetch or a guest page-table walk */
	VMEXIT_CACHE,	   /* WBINVD, INVD: nothing to do but to go on */
	VMEXIT_UNDEFINED, /* an instruction the guest must not have: #UD (VMX, SVM, MONITOR, …) */
	VMEXIT_SHUTDOWN,  /* triple fault */
	VMEXIT_FAILED,	  /* the entry failed or the exit is unknown: reason says which check */
};

struct vmexit {
	enum vmexit_kind kind;
	union {
		struct {
			uint16_t port;
			uint8_t bytes; /* 1, 2, 4 */
			bool write, string, rep;
			uint8_t addr_bytes; /* string: 2, 4, 8 */
			uint8_t seg;	    /* string: enum seg_reg of the source */
		} io;
		struct {
			gpa_t gpa;
			bool write;
		} mmio;
		struct {
			uint8_t gpr; /* enum gpr: source, or destination */
			bool write;
		} cr8;
		uint64_t rflags; /* the guest's */
		bool pause_loop;
		uint8_t vector;
		uint8_t apic_register;
	};
	char reason[160]; /* VMEXIT_FAILED */
};

#define SKIP_WHOLE (~0u)

enum injection_kind {
	INJECT_IRQ,	  /* only if irq_ready() */
	INJECT_EXCEPTION, /* replaces what an exit cut off */
	INJECT_NMI,	  /* as soon as NMIs are not blocked */
	INJECT_INIT, /* no event waits, nothing is blocked, the debug registers are as after RESET;
		      * the rest is the caller's (set_sregs) */
};

struct injection {
	enum injection_kind kind;
	uint8_t vector;	    /* IRQ, exception */
	int64_t error_code; /* exception; negative: none */
};

/*
 * APIC virtualisation: interrupts reach a running guest without an exit, and it ends them so
 * (hv/cpu/vapic.h). It works in x2APIC mode. All are called on the CPU that owns the vCPU and take
 * effect at its next entry.
 */
struct apic_ops {
	/* The vCPU's local APIC, for as long as the vCPU lives; once. Not virtualised yet. */
	void (*attach)(struct vcpu *vcpu, struct vapic_page *page, struct posted *posted);
	/* From the next entry on it is virtualised, or not. */
	void (*virtualize)(struct vcpu *vcpu, bool on);
	/* IRR, ISR or TMR in the page were changed: what the processor derives of them is not right. */
	void (*changed)(struct vcpu *vcpu);
};

struct hvm_ops {
	const char *name; /* "vmx", "svm" */

	/* Switches virtualisation on, on this CPU; a log line and a negative error if it cannot or
	 * if the CPU differs from the boot CPU. */
	int (*cpu_enable)(void);

	/* Nested page tables of a VM (in vm->nested). vm_free() frees all tables. */
	int (*vm_init)(struct vm *vm);
	void (*vm_free)(struct vm *vm);
	/* Maps RAM, RWX, write-back; gpa, hpa, bytes multiples of 4 KiB; largest pages that fit. */
	int (*map)(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes);
	/* Maps device memory, RW, uncached, in 4 KiB pages: its tables stay when it is unmapped. */
	int (*map_device)(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes);
	/* Takes device memory away; what is not mapped is passed over. Translations that processors
	 * hold are the caller's business: vm_unmap_device(). */
	void (*unmap_device)(struct vm *vm, gpa_t gpa, uint64_t bytes);
	/* Drops this CPU's cached translations of the VM. */
	void (*flush_vm)(struct vm *vm);

	/* A vCPU with its control block, in the state after RESET but stopped; the backend embeds
	 * struct vcpu in its own. NULL: no memory. vcpu->vm, index and tsc_offset are set. */
	struct vcpu *(*vcpu_create)(struct vm *vm, unsigned index);
	void (*vcpu_destroy)(struct vcpu *vcpu);

	void (*get_sregs)(struct vcpu *vcpu, struct vcpu_sregs *out);
	void (*set_sregs)(struct vcpu *vcpu, const struct vcpu_sregs *in);
	/* The instruction that caused the last exit has been carried out: RIP moves past it, by
	 * `bytes` or, SKIP_WHOLE, by what the exit says; 0 after one round of a repeated one. RF and
	 * STI/MOV-SS blocking end, and a single step traps (SDM 3B, "Debug Exceptions"). */
	void (*skip)(struct vcpu *vcpu, unsigned bytes);

	/*
	 * Runs the guest until the next exit, at the latest (about) at deadline_tsc; with irq_waits
	 * also until it can take an interrupt (VMEXIT_IRQ_WINDOW). Loads the vCPU's control block,
	 * GPRs, XCR0. Re-injects what an exit cut off. On VMX the deadline is the preemption timer;
	 * on SVM the backend calls timer_interrupt_by() and the exit is VMEXIT_INTERRUPT.
	 */
	void (*enter)(struct vcpu *vcpu, uint64_t deadline_tsc, bool irq_waits,
		      struct vmexit *exit);

	/*
	 * Takes the vCPU out of this CPU: called on the CPU that entered it last, before another vCPU
	 * is entered there and before it may run elsewhere or be destroyed. enter() undoes it. The
	 * other members work on a vCPU that is in no CPU, too.
	 */
	void (*release)(struct vcpu *vcpu);

	/* Whether an external interrupt can be injected at the next entry (IF, blocking, nothing
	 * else pending). */
	bool (*irq_ready)(struct vcpu *vcpu);
	/* Something for the next entry, by the entry field. For #PF set CR2 first (set_sregs). */
	void (*inject)(struct vcpu *vcpu, const struct injection *what);

	/* MSRs that live in the control block: STAR … GS_BASE, SYSENTER_*, PAT, EFER, TSC_AUX.
	 * false: not one of them, or the value is not allowed (#GP). Most never exit. */
	bool (*msr)(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value);

	/* NULL if the CPUs cannot virtualise APICs; *lacks says why not. After cpu_enable(). */
	const struct apic_ops *(*apic)(const char **lacks);
};

extern const struct hvm_ops vmx_ops, svm_ops;
extern const struct hvm_ops *hvm;	/* the one in use */
extern const struct apic_ops *apic_ops; /* of it; NULL: interrupts are injected at entries */
