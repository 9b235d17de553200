/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several vCPUs: the boot processor starts the others by INIT-SIPI-SIPI and gives them functions to
 * run; between two of them they sleep in HLT. A CPU's number is its APIC ID.
 */
#pragma once

#define SMP_MAX	  32
#define SMP_STACK 16384
#define GDT_BYTES 64 /* of start.S's */

#define SMP_FIRST_STACKS 0x1000 /* below 1 MiB: 64 bytes for each until it is in long mode */

#ifndef __ASSEMBLER__
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct smp_cpu {
	struct smp_cpu *self; /* at GS:0 */
	unsigned id;
	_Atomic uint32_t starts; /* how often a SIPI has brought it up */
	_Atomic uint32_t irqs[256];
	_Atomic uint32_t nmis, nmis_at_once, nmi_depth; /* at once: within an NMI's handler */
	void (*_Atomic work)(void);			/* NULL: it sleeps */

	/* What it found at its last start, before it changed anything. */
	uint32_t start_cs, start_cr0, start_edx, start_svr, start_apic_base;
};
extern struct smp_cpu smp_cpus[SMP_MAX];
extern void (*smp_on_irq)(unsigned vector); /* called by every CPU, after it has counted */

enum { IRQ_SMP_WORK = 0x60 };

/* ICR, low half (SDM 3A, "Interrupt Command Register") */
enum {
	ICR_FIXED = 0,
	ICR_LOWEST = 1 << 8,
	ICR_NMI = 4 << 8,
	ICR_INIT = 5 << 8,
	ICR_STARTUP = 6 << 8,
	ICR_LOGICAL = 1 << 11,
	ICR_ASSERT = 1 << 14,
	ICR_LEVEL = 1 << 15,
	ICR_SELF = 1 << 18,
	ICR_ALL = 2 << 18,
	ICR_OTHERS = 3 << 18,
};

/* How many there are, by the MADT (its IDs must be 0, 1, 2 …); counts interrupts and NMIs of each
 * from now on. */
unsigned smp_init(void);

/* INIT, then SIPI twice, to the page at vector << 12, and waits; false: it did not come up. */
bool smp_start(unsigned id, uint8_t vector);
void smp_place_trampoline(uint8_t vector);
bool smp_wait_start(unsigned id, uint32_t starts);

/* Has a started CPU run a function; waits until it has come back from it. */
void smp_call(unsigned id, void (*work)(void));
void smp_wait(unsigned id);
/* On all that are started, this one included. */
void smp_everywhere(unsigned count, void (*work)(void));

/* Sleeps, in HLT, until *word is at least value; false after that many milliseconds. Boot processor
 * only: it has the timer. */
bool smp_wait_for(const _Atomic uint32_t *word, uint32_t value, uint64_t ms);

struct smp_cpu *smp_self(void);
void smp_ipi(uint32_t destination, uint32_t icr);
#endif
