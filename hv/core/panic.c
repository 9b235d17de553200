/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the hypervisor dies: one CPU wins, stops the others, then prints the reason, registers, a
 * symbolised back trace (by frame pointers) and what was logged last; the report on the debug
 * port comes at the end, since who reads it may switch the machine off. Nothing here trusts
 * anything: locks are waited for with a bound, memory is read through a fix-up.
 */
#include <stdarg.h>
#include <stdatomic.h>

#include "hv/core/fail.h"
#include "hv/core/log.h"
#include "hv/core/log_impl.h"
#include "hv/core/paging.h"
#include "hv/core/percpu.h"
#include "hv/core/report.h"
#include "hv/core/smp.h"
#include "hv/core/symbols.h"
#include "hv/core/trap.h"
#include "hv/core/trap_impl.h"
#include "hv/cpu/x86.h"

#define MAX_FRAMES   100000 /* a bound, more than any stack holds */
#define INNER_FRAMES 20
#define OUTER_FRAMES 8
#define TAIL_LINES   20
#define NOBODY	     (~0u)

static _Atomic unsigned panicking = NOBODY; /* index of the CPU that does */

static const char *const exception_names[32] = {
	"divide error",
	"debug",
	"NMI",
	"breakpoint",
	"overflow",
	"bound range",
	"invalid opcode",
	"no FPU",
	"double fault",
	"coprocessor overrun",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection",
	"page fault",
	NULL,
	"x87 error",
	"alignment check",
	"machine check",
	"SIMD error",
	"virtualization exception",
	"control protection",
};

static void print_address(uint64_t address)
{
	uint64_t offset;
	const char *name = symbol_find(address, &offset);

	if (name)
		log_printf("  %016lx %s+0x%lx", address, name, offset);
	else
		log_printf("  %016lx", address);
}

/* Steps from a frame to its caller's. Frame pointers grow towards the stack's top; one that does not
 * is damaged, or the end. */
static bool step(uint64_t *rbp, uint64_t *caller)
{
	uint64_t next;

	if (*rbp < DIRECT_MAP_BASE || *rbp % 8 || !read_word_safe(*rbp, &next) ||
	    !read_word_safe(*rbp + 8, caller) || *caller == 0)
		return false;
	*rbp = next > *rbp ? next : 0;
	return true;
}

/* A return address is looked up one byte before: a call can be the last instruction of its
 * function. Of a deep recursion the outermost frames tell who began it. */
void backtrace(uint64_t rip, uint64_t rbp)
{
	uint64_t at = rbp, caller;
	unsigned depth = 0;

	log_printf("back trace, innermost first:");
	print_address(rip);
	while (depth < MAX_FRAMES && step(&at, &caller))
		depth++;
	for (unsigned i = 0; i < depth && step(&rbp, &caller); i++) {
		if (i < INNER_FRAMES || i + OUTER_FRAMES >= depth)
			print_address(caller - 1);
		else if (i == INNER_FRAMES)
			log_printf("  ... %u frames ...", depth - INNER_FRAMES - OUTER_FRAMES);
	}
}

/* Returns on the CPU that may print; a second one, or a panic within the panic, ends here. */
static void begin_panic(const char *reason)
{
	unsigned nobody = NOBODY, self = this_cpu()->index;

	interrupts_off();
	if (!atomic_compare_exchange_strong(&panicking, &nobody, self)) {
		if (nobody == self) {
			log_panic_show();
			log_printf("panic within the panic: %s", reason);
			report_panic(reason);
		}
		cpu_halt();
	}
	log_panic_begin();
	smp_stop_others();
	log_panic_show();
	log_printf("panic: CPU %u: %s", self, reason);
}

static _Noreturn void end_panic(const char *reason)
{
	log_printf("last lines before the panic:");
	log_tail(TAIL_LINES);
	log_printf("stopped");
	report_panic(reason);
	cpu_halt();
}

void panic(const char *fmt, ...)
{
	char reason[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	begin_panic(reason);
	backtrace((uint64_t)__builtin_return_address(0), *(uint64_t *)__builtin_frame_address(0));
	end_panic(reason);
}

static void print_registers(const struct trap_frame *f)
{
	log_printf("rip %016lx  rsp %016lx  rflags %08lx  cs %02lx", f->rip, f->rsp, f->rflags,
		   f->cs);
	log_printf("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", f->rax, f->rbx, f->rcx,
		   f->rdx);
	log_printf("rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
	log_printf("r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx", f->r9, f->r10, f->r11, f->r12);
	log_printf("r13 %016lx  r14 %016lx  r15 %016lx", f->r13, f->r14, f->r15);
	log_printf("cr0 %016lx  cr2 %016lx  cr3 %016lx  cr4 %016lx", read_cr0(), read_cr2(),
		   read_cr3(), read_cr4());
}

/* SDM 3A, "Page-Fault Exceptions": what the error code says. */
static void describe_page_fault(char *out, size_t room, const struct trap_frame *f)
{
	uint64_t address = read_cr2();
	const char *access = f->error_code & BIT(4)   ? "execute"
			     : f->error_code & BIT(1) ? "write"
						      : "read";

	snprintf(out, room, "page fault: %s at %016lx: %s%s", access, address,
		 f->error_code & BIT(0) ? "not allowed there" : "nothing is mapped there",
		 address < 4096 ? " (NULL pointer)" : "");
}

static void describe(char *out, size_t room, const struct trap_frame *f)
{
	const char *name = f->vector < 32 ? exception_names[f->vector] : NULL;

	if (is_stack_guard(read_cr2()) && (f->vector == 8 || f->vector == 14))
		snprintf(out, room, "stack overflow: %s at %016lx, below a stack", name,
			 read_cr2());
	else if (f->vector == 14)
		describe_page_fault(out, room, f);
	else
		snprintf(out, room, "%s (vector %lu), error code 0x%lx", name ? name : "exception",
			 f->vector, f->error_code);
}

/* After a call to where no code is, the caller is known from the stack only. */
static void print_wild_call(const struct trap_frame *f)
{
	uint64_t offset, caller;

	if (symbol_find(f->rip, &offset) || !read_word_safe(f->rsp, &caller))
		return;
	log_printf("called from, as the stack has it:");
	print_address(caller - 1);
}

void panic_trap(const struct trap_frame *f)
{
	char reason[256];

	describe(reason, sizeof(reason), f);
	begin_panic(reason);
	print_registers(f);
	print_wild_call(f);
	backtrace(f->rip, f->rbp);
	end_panic(reason);
}
