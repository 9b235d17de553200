/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts. An exception that nobody expects dumps the registers and ends the
 * guest as failed; a test expects one through TRAP_TRY or the hook.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	TRAP_DE = 0,
	TRAP_BP = 3,
	TRAP_UD = 6,
	TRAP_GP = 13,
	TRAP_PF = 14,
	TRAP_IRQ_FIRST = 32,
};

enum { GDT_KERNEL_CODE = 0x10, GDT_KERNEL_DATA = 0x18, GDT_USER_DATA = 0x23, GDT_USER_CODE = 0x2b };

/* As trap_entry.S and the CPU push it. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

void trap_init(void);
void trap_init_cpu(void); /* another CPU's: the IDT; it has no TSS and stays in ring 0 */

/* Called first, for exceptions only: true if it has dealt with it (it may change the frame). */
extern bool (*trap_hook)(struct trap_frame *frame);

/* Interrupts taken, by vector; then irq_hook, if any, is called, before the EOI. */
extern volatile uint32_t irq_seen[256];
extern void (*irq_hook)(unsigned vector);

extern volatile uint64_t trap_resume; /* where TRAP_TRY goes on, 0: none expected */
extern volatile int trap_vector;      /* what it met, -1: nothing */
extern volatile uint64_t trap_error;  /* its error code */
uint64_t trap_address(void);	      /* CR2 */

/* Runs one instruction that may fault: trap_vector says how. Operands as in GNU assembly. */
#define TRAP_TRY(instruction, ...)                                                                 \
	do {                                                                                       \
		trap_vector = -1;                                                                  \
		__asm__ volatile("leaq 9f(%%rip), %%r11\n\t"                                       \
				 "movq %%r11, trap_resume\n\t" instruction "\n"                    \
				 "9:\tmovq $0, trap_resume" __VA_ARGS__);                          \
	} while (0)
