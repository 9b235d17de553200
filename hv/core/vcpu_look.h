/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking at a vCPU that runs (`lasthop why`): its last exits are always remembered; its registers are its
 * CPU's, which copies them out between two exits when it is asked (SIGNAL_LOOK), paused or not. Nothing of
 * the guest changes, and it does not wait.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/cpu/hvm.h"

struct vcpu;

#define LAST_EXITS 16u /* a power of two */

struct last_exit {
	uint64_t tsc;	 /* when it left the guest */
	uint64_t detail; /* I/O: port; RDMSR, WRMSR: MSR; MMIO: address; APIC: vector or register */
	uint8_t kind;	 /* enum vmexit_kind */
	uint8_t cause;	 /* enum exit_cause */
};

/* (o) of the vCPU's CPU */
struct last_exits {
	uint32_t count; /* ever, modulo 2^32 */
	struct last_exit exit[LAST_EXITS];
};

/* What its CPU has copied out. */
struct vcpu_look {
	uint64_t tsc; /* when; 0: never */
	uint64_t rip, rsp, rflags, cr0, cr3, cr4, efer, cs_base;
	uint16_t cs;
	uint8_t cpl;
	bool bits64;
	bool halted;
	bool sipi_awaited;  /* INIT came, or nothing yet: it waits for a SIPI */
	bool can_take;	    /* an interrupt could be taken now */
	int irq;	    /* highest interrupt that waits; -1: none */
	uint64_t timer_tsc; /* when its local APIC's timer is over; TIMER_NEVER */
	unsigned code_bytes, before_bytes;
	uint8_t code[15];   /* what stands at RIP (an instruction has no more), */
	uint8_t before[16]; /* ... and before it, in the same page */
	struct last_exits exits;
};

/* Constant names, for people: "hlt", "io", … */
const char *vmexit_kind_name(unsigned kind);

/* On the vCPU's CPU, after an exit, which was at that TSC, and before it is handled. */
void vcpu_remember_exit(struct vcpu *vcpu, const struct vmexit *exit, unsigned cause, uint64_t tsc);

/* On the vCPU's CPU: copies it out. Takes SIGNAL_LOOK. */
void vcpu_look_take(struct vcpu *vcpu, bool sipi_awaited);

/* The copy that is newest; any CPU, while the vCPU exists. */
void vcpu_look_read(struct vcpu *vcpu, struct vcpu_look *out);
