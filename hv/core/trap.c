/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GDT, TSS and IDT (SDM 3A, "Interrupt and Exception Handling") and what comes in through them.
 * One IDT for all CPUs; NMI, double fault and machine check run on stacks of their own, so that an
 * overflown stack still gets a report. An instruction that may fault by design has an entry in the
 * fix-up table: {address of the instruction, where to go on}.
 */
#include "hv/core/trap.h"

#include <string.h>

#include "hv/core/host_irq.h"
#include "hv/core/serial_irq.h"
#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/core/percpu.h"
#include "hv/core/pmm.h"
#include "hv/core/smp.h"
#include "hv/core/symbols.h"
#include "hv/core/timer.h"
#include "hv/core/trap_impl.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/msr.h"

#define IST_STACK_BYTES 8192
#define STUB_BYTES	16 /* trap_entry.S */

enum exception { EXC_NMI = 2, EXC_DOUBLE_FAULT = 8, EXC_MACHINE_CHECK = 18, EXC_COUNT = 32 };
enum ist { IST_NONE, IST_NMI, IST_DOUBLE_FAULT, IST_MACHINE_CHECK };

struct gate { /* SDM 3A, "64-Bit Mode IDT" */
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM 3A");
#define GATE_INTERRUPT 0x8e /* present, DPL 0 */

struct tss { /* SDM 3A, "64-Bit TSS Format" */
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM 3A");

struct cpu_tables {	 /* struct cpu's `arch` */
	uint64_t gdt[8]; /* index = enum selector / 8; the TSS descriptor takes two */
	struct tss tss;
};

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

struct fixup {
	uint64_t at, go_on;
};

#define GDT_CODE 0x00af9b000000ffffull
#define GDT_DATA 0x00cf93000000ffffull
#define GDT_TSS	 0x0000890000000000ull /* available 64-bit TSS, present */

extern char trap_stubs[];
extern const struct fixup __fixup_start[], __fixup_end[];
void trap_handle(struct trap_frame *f);

static struct gate idt[256];
static uint64_t early_gdt[3] = { 0, GDT_CODE, GDT_DATA };

static void set_gate(unsigned vector, enum ist ist)
{
	uint64_t stub = (uint64_t)trap_stubs + (uint64_t)vector * STUB_BYTES;

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)stub,
		.selector = SEL_CODE,
		.ist = (uint8_t)ist,
		.type = GATE_INTERRUPT,
		.offset_mid = (uint16_t)(stub >> 16),
		.offset_high = (uint32_t)(stub >> 32),
	};
}

/* Data segments stay null (64-bit mode ignores them), and FS and GS keep their bases so. */
static void load_gdt(const void *gdt, size_t bytes)
{
	struct table_pointer p = { (uint16_t)(bytes - 1), (uint64_t)gdt };

	__asm__ volatile("lgdt %0\n\t"
			 "push %1\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "mov %2, %%eax\n\t"
			 "mov %%eax, %%ss"
			 :
			 : "m"(p), "i"(SEL_CODE), "i"(SEL_DATA)
			 : "rax", "memory");
}

static void load_idt(void)
{
	struct table_pointer p = { sizeof(idt) - 1, (uint64_t)idt };

	__asm__ volatile("lidt %0" : : "m"(p));
}

void trap_init(const struct handover *h)
{
	symbols_init(h);
	for (unsigned v = 0; v < 256; v++)
		set_gate(v, IST_NONE);
	load_gdt(early_gdt, sizeof(early_gdt));
	load_idt();
}

/* Boot CPU: struct cpu, the page allocator and the final page tables are there by now. */
void trap_init_cpu(void)
{
	struct cpu_tables *t = page_alloc(sizeof(*t));
	uint64_t base;

	if (!t)
		panic("trap: no memory for a CPU's tables");
	base = (uint64_t)&t->tss;
	t->gdt[SEL_CODE / 8] = GDT_CODE;
	t->gdt[SEL_DATA / 8] = GDT_DATA;
	t->gdt[SEL_TSS / 8] = GDT_TSS | (sizeof(t->tss) - 1) | (base & 0xffffff) << 16 |
			      (base >> 24 & 0xff) << 56;
	t->gdt[SEL_TSS / 8 + 1] = base >> 32;
	t->tss.io_map = sizeof(t->tss);
	for (enum ist ist = IST_NMI; ist <= IST_MACHINE_CHECK; ist++)
		t->tss.ist[ist - 1] = (uint64_t)stack_alloc(IST_STACK_BYTES);
	this_cpu()->arch = t;
	load_gdt(t->gdt, sizeof(t->gdt));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	load_idt();
	set_gate(EXC_NMI, IST_NMI);
	set_gate(EXC_DOUBLE_FAULT, IST_DOUBLE_FAULT);
	set_gate(EXC_MACHINE_CHECK, IST_MACHINE_CHECK);
}

uint64_t tss_base(void)
{
	return (uint64_t) & ((struct cpu_tables *)this_cpu()->arch)->tss;
}

uint64_t gdt_base(void)
{
	return (uint64_t)((struct cpu_tables *)this_cpu()->arch)->gdt;
}

uint64_t idt_base(void)
{
	return (uint64_t)idt;
}

static bool fix_up(struct trap_frame *f)
{
	for (const struct fixup *x = __fixup_start; x < __fixup_end; x++) {
		if (x->at == f->rip) {
			f->rip = x->go_on;
			return true;
		}
	}
	return false;
}

static void exception(struct trap_frame *f)
{
	if (f->vector == EXC_NMI) {
		if (smp_stopping())
			cpu_halt();
		cpu_post(this_cpu(),
			 MB_NMI); /* what it interrupted may hold any lock, the log's too */
		return;
	}
	if (f->vector != EXC_DOUBLE_FAULT && f->vector != EXC_MACHINE_CHECK && fix_up(f))
		return;
	panic_trap(f);
}

/* armed_tsc: the APIC's timer is spent, maybe too early (a long count-down comes in parts). */
void interrupt_handle(uint8_t vector)
{
	static struct log_limit limit;

	switch (vector) {
	case VECTOR_SPURIOUS:
		return;
	case VECTOR_TIMER:
		lapic_eoi();
		this_cpu()->armed_tsc = TIMER_NEVER;
		timer_poll();
		return;
	case VECTOR_IPI:
	case VECTOR_POSTED: /* its vCPU is not in the guest (any more): it looks before it is entered */
		lapic_eoi();
		return;
	case VECTOR_SERIAL + SERIAL_FIRST:
	case VECTOR_SERIAL + SERIAL_SECOND:
		serial_irq_came((enum serial_line)(vector - VECTOR_SERIAL));
		lapic_eoi();
		return;
	default: /* the EOI comes last: a level-triggered source is masked by then */
		if (!host_irq_handle(vector))
			log_limited(&limit, "trap: CPU %u: interrupt %u, which nobody asked for",
				    this_cpu()->index, vector);
		lapic_eoi();
	}
}

void trap_handle(struct trap_frame *f)
{
	if (f->vector < EXC_COUNT)
		exception(f);
	else
		interrupt_handle((uint8_t)f->vector);
}

/* STI takes effect after the next instruction (SDM 2B, "STI"). */
void interrupts_take(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

/*
 * Pairs with cpu_post(): that sets the mailbox, then sends the IPI; here `idle` is set, then the
 * mailbox read, then STI;HLT in one breath, so an IPI that comes after the read ends the HLT.
 */
void cpu_wait(void)
{
	struct cpu *cpu = this_cpu();

	atomic_store(&cpu->idle, true);
	if (atomic_load(&cpu->mailbox) == 0)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	atomic_store(&cpu->idle, false);
}

#define FIXUP(at, go_on)                                                                           \
	".pushsection .fixup_table, \"a\"\n\t.quad " at ", " go_on "\n\t.popsection\n\t"

bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
	uint32_t lo, hi, ok = 0;

	__asm__ volatile("1: rdmsr\n\t"
			 "mov $1, %2\n"
			 "2:\n\t" FIXUP("1b", "2b")
			 : "=&a"(lo), "=&d"(hi), "+r"(ok)
			 : "c"(msr));
	if (ok)
		*value = (uint64_t)hi << 32 | lo;
	return ok;
}

bool wrmsr_safe(uint32_t msr, uint64_t value)
{
	uint32_t ok = 0;

	__asm__ volatile("1: wrmsr\n\t"
			 "mov $1, %0\n"
			 "2:\n\t" FIXUP("1b", "2b")
			 : "+r"(ok)
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
	return ok;
}

bool read_word_safe(uint64_t address, uint64_t *value)
{
	uint32_t ok = 0;
	uint64_t word = 0;

	__asm__ volatile("1: mov (%2), %1\n\t"
			 "mov $1, %0\n"
			 "2:\n\t" FIXUP("1b", "2b")
			 : "+r"(ok), "+r"(word)
			 : "r"(address));
	*value = word;
	return ok;
}
