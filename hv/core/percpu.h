/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each physical CPU has of its own, reached through GS. CPUs talk by mailbox bit plus IPI.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/core/exit_cause.h"
#include "hv/core/list.h"
#include "hv/core/lock.h"

#define MAX_CPUS 256

struct vcpu;

enum mailbox {
	MB_RESCHED = 1u << 0,	  /* look at the run queue */
	MB_FLUSH = 1u << 1,	  /* drop nested translations of all VMs (answered in ->flushes) */
	MB_SWITCH_WORK = 1u << 2, /* a transmit queue waits for service */
	MB_STOP = 1u << 3,	  /* the hypervisor is going down */
	MB_KICK = 1u << 4,	  /* leave the guest: it has an interrupt, or is to end */
	MB_CONSOLE = 1u << 5,	  /* look at the serial line */
	MB_MGMT = 1u << 6,	  /* and at the management channel's */
	MB_NMI = 1u << 7,	  /* an NMI came that nobody here had sent */
};

/* What a CPU's time goes into (hv/core/cpu_time.h). */
enum cpu_time {
	TIME_ROOT,   /* the hypervisor's work */
	TIME_GUEST,  /* in a guest */
	TIME_DRIVER, /* in a driver domain */
	TIME_IDLE,   /* in HLT */
	TIME_POLL,   /* looks at queues that found nothing */
	TIME_KINDS
};

/* How far a CPU's start-up is. A CPU that comes late finds it abandoned, and parks. */
enum cpu_start {
	CPU_OFFERED,   /* a CPU may take this place */
	CPU_TAKEN,     /* one has: it runs on the place's stack */
	CPU_ONLINE,    /* and is the one that was meant: its index counts */
	CPU_READY,     /* virtualisation is on, or known to fail */
	CPU_ABANDONED, /* it did not get there in time */
};

/* (c) constant after start (o) this CPU only (a) atomic [q] under runq_lock [t] under timer_lock */
struct cpu {
	struct cpu *self;	  /* (c) at GS:0 */
	uint32_t index;		  /* (c) place in cpus[]; the order of enabled MADT entries */
	uint32_t apic_id;	  /* (c) */
	void *stack_top;	  /* (c) */
	_Atomic uint32_t start;	  /* (a) enum cpu_start */
	_Atomic bool idle;	  /* (a) halted or about to */
	_Atomic uint32_t mailbox; /* (a) enum mailbox */
	_Atomic uint64_t flushes; /* (a) how often MB_FLUSH was answered */
	struct vcpu *current;	  /* (o) the vCPU it runs, NULL if none */
	struct vcpu *_Atomic
		loaded; /* (a) whose FPU and backend state is in this CPU; set by it alone */

	struct spinlock runq_lock;
	struct list runq;	      /* [q] runnable vCPUs, next first (hv/core/runq.c) */
	_Atomic uint32_t runq_length; /* (a) changed under runq_lock */
	_Atomic uint64_t level;	   /* (a) usage of the vCPU that ran last, as struct vcpu has it */
	_Atomic uint64_t level_ns; /* (a) ... as of then, if it runs still; or 0 */

	struct spinlock timer_lock;
	struct list timers; /* [t] by deadline */
	uint64_t armed_tsc; /* (o) what the local APIC's timer is set to */

	_Atomic uint64_t exits[EXIT_CAUSE_COUNT]; /* (a) VM exits taken; only this CPU writes */
	_Atomic uint64_t time[TIME_KINDS]; /* (a) TSC ticks; only this CPU writes these three */
	_Atomic uint64_t accounted;	   /* (a) ... until this TSC */
	_Atomic uint32_t doing;		   /* (a) enum cpu_time: what it does since then */
	void *hvm_area;			   /* (o) of the backend: VMXON region, host save area */
	void *arch;			   /* (c) GDT, TSS, IST stacks (hv/core/trap.c) */
};

extern struct cpu *cpus[MAX_CPUS]; /* (c) after smp_start() */
extern unsigned cpu_count;	   /* (c) those online */

static inline struct cpu *this_cpu(void)
{
	struct cpu *self;
	__asm__ volatile("mov %%gs:0, %0" : "=r"(self));
	return self;
}

/* Sets bits in a CPU's mailbox and, unless it is this CPU, sends the IPI that makes it look. */
void cpu_post(struct cpu *cpu, uint32_t bits);

/* Takes this CPU's mailbox: the bits, cleared. */
static inline uint32_t mailbox_take(void)
{
	return atomic_exchange_explicit(&this_cpu()->mailbox, 0, memory_order_acq_rel);
}
