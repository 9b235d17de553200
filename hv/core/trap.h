/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GDT, IDT, TSS of each CPU; exceptions of the hypervisor (registers, symbolised back trace, last
 * log lines, stop); host interrupts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/handover.h"

enum selector { SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_TSS = 0x18 };

/* Once, first of all: IDT, symbols. From here on an exception is told. */
void trap_init(const struct handover *h);
/* Each CPU: GDT, TSS, IST stacks. After pmm_init(), paging_init() and smp_init_boot_cpu(). */
void trap_init_cpu(void);

/* Takes pending host interrupts: a moment with interrupts on. */
void interrupts_take(void);

/* Handles a host interrupt that was acknowledged at a VM exit. Interrupts are off. */
void interrupt_handle(uint8_t vector);

/* Sleeps until an interrupt, unless the mailbox is not empty; no wake-up is lost (STI; HLT). */
void cpu_wait(void);

/* Stops this CPU for good. */
_Noreturn void cpu_halt(void);

/* Reads an MSR that may not exist: false if it faulted. */
bool rdmsr_safe(uint32_t msr, uint64_t *value);
bool wrmsr_safe(uint32_t msr, uint64_t value);

/* Prints the back trace of this stack, innermost first. */
void backtrace(uint64_t rip, uint64_t rbp);

uint64_t tss_base(void); /* of this CPU, for the VMCS host area */
uint64_t gdt_base(void);
uint64_t idt_base(void);
