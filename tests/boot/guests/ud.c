/* SPDX-License-Identifier: BSD-2-Clause */
/* Do a guest's own exceptions reach its own handlers, with the right RIP and error code? */
#include "guest/lib/cpu.h"
#include "guest/lib/paging.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

static struct trap_frame last;
static unsigned breakpoints;

static bool on_trap(struct trap_frame *frame)
{
	last = *frame;
	if (frame->vector != TRAP_BP)
		return false; /* TRAP_TRY goes on behind the instruction */
	breakpoints++;
	return true; /* a trap: RIP is already behind INT3 */
}

static void check_invalid_opcode(void)
{
	uint64_t at;

	TRAP_TRY("leaq 8f(%%rip), %0\n8:\tud2", : "=&r"(at) : : "r11", "memory");
	check(trap_vector == TRAP_UD, "ud2", "UD2 is #UD");
	check(last.rip == at, "ud2-rip", "its handler sees the address of UD2");
}

static void check_page_fault(void)
{
	uint64_t linear = 1ull << 39;

	*paging_entry(linear) = 0;
	paging_flush(linear);
	TRAP_TRY("movq %%rax, (%0)", : : "r"(linear + 0x123) : "r11", "memory");
	check(trap_vector == TRAP_PF && trap_error == 2, "page-fault",
	      "a write to a page not present is #PF with error code 2");
	check(trap_address() == linear + 0x123, "cr2", "CR2 holds the address");
}

int guest_main(void)
{
	trap_hook = on_trap;
	check_invalid_opcode();
	__asm__ volatile("int3; int3" : : : "memory");
	check(breakpoints == 2, "int3", "INT3 is #BP, and the guest goes on behind it");
	TRAP_TRY("divl %0", : : "r"(0) : "rax", "rdx", "r11", "memory");
	check(trap_vector == TRAP_DE, "divide", "division by zero is #DE");
	TRAP_TRY("movw %w0, %%ds", : : "r"(0x1238) : "r11", "memory");
	check(trap_vector == TRAP_GP && trap_error == 0x1238, "selector",
	      "a selector beyond the GDT is #GP with its number");
	TRAP_TRY("movq (%0), %%rax", : : "r"(0x8000000000000000) : "rax", "r11", "memory");
	check(trap_vector == TRAP_GP, "canonical", "a non-canonical address is #GP");
	check_page_fault();
	return check_status();
}
