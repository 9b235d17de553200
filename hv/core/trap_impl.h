/* SPDX-License-Identifier: BSD-2-Clause */
/* What trap.c, panic.c and backtrace share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct trap_frame { /* as trap_entry.S pushes it, last pushed first */
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss; /* pushed by the processor */
};
_Static_assert(sizeof(struct trap_frame) == 22 * 8, "trap_entry.S pushes 22 words");

/* Reads a word that may not be mapped: false if it faulted. */
bool read_word_safe(uint64_t address, uint64_t *value);

/* The end, with the registers of an exception. */
_Noreturn void panic_trap(const struct trap_frame *f);
