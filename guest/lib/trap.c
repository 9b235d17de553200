/* SPDX-License-Identifier: BSD-2-Clause */
/* IDT, TSS and what is done about exceptions and interrupts (SDM 3A chapter 6). */
#include "guest/lib/trap.h"

#include "guest/lib/apic.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

struct __attribute__((packed)) tss {
	uint32_t reserved0;
	uint64_t rsp0, rsp1, rsp2;
	uint64_t reserved1, ist[7], reserved2;
	uint16_t reserved3, io_map;
};

_Static_assert(sizeof(struct gate) == 16, "SDM 3A figure 6-8");
_Static_assert(sizeof(struct tss) == 104, "SDM 3A figure 8-11");

enum { GATE_INTERRUPT = 0x8e, GATE_USER = 0xee, TSS_SELECTOR = 0x30 };

extern uint64_t gdt[];
extern char trap_stubs[];
void trap_dispatch(struct trap_frame *frame);

bool (*trap_hook)(struct trap_frame *frame);
void (*irq_hook)(unsigned vector);
volatile uint32_t irq_seen[256];
volatile uint64_t trap_resume;
volatile int trap_vector = -1;
volatile uint64_t trap_error;

static struct gate idt[256];
static struct tss tss;
static uint8_t ring0_stack[16384] __attribute__((aligned(16)));

static void idt_set(unsigned vector, uint8_t type)
{
	uint64_t at = (uintptr_t)trap_stubs + 16 * vector;

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)at,
		.selector = GDT_KERNEL_CODE,
		.type = type,
		.offset_middle = (uint16_t)(at >> 16),
		.offset_high = (uint32_t)(at >> 32),
	};
}

void trap_init_cpu(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = { sizeof(idt) - 1, (uintptr_t)idt };

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void trap_init(void)
{
	uint64_t at = (uintptr_t)&tss;

	for (unsigned vector = 0; vector < 256; vector++)
		idt_set(vector, vector == TRAP_BP ? GATE_USER : GATE_INTERRUPT);
	trap_init_cpu();

	tss.rsp0 = (uintptr_t)ring0_stack + sizeof(ring0_stack);
	tss.io_map = sizeof(tss);
	gdt[TSS_SELECTOR / 8] =
		(sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
	gdt[TSS_SELECTOR / 8 + 1] = at >> 32;
	__asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

uint64_t trap_address(void)
{
	uint64_t address;

	__asm__ volatile("movq %%cr2, %0" : "=r"(address));
	return address;
}

_Noreturn static void die(const struct trap_frame *f)
{
	static bool dying;

	if (dying)
		cpu_stop();
	dying = true;
	print("exception %lu error %lx at %lx cr2 %lx rflags %lx cs %lx\n", f->vector, f->error,
	      f->rip, trap_address(), f->rflags, f->cs);
	print("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	print("rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
	print("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
	print("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
	guest_end(1);
}

static void irq_dispatch(unsigned vector)
{
	irq_seen[vector]++;
	if (vector == IRQ_TIMER)
		timer_fired();
	if (irq_hook)
		irq_hook(vector);
	if (vector != IRQ_SPURIOUS)
		lapic_eoi();
}

void trap_dispatch(struct trap_frame *frame)
{
	if (frame->vector >= TRAP_IRQ_FIRST) {
		irq_dispatch((unsigned)frame->vector);
		return;
	}
	if (trap_hook && trap_hook(frame))
		return;
	if (!trap_resume)
		die(frame);
	trap_vector = (int)frame->vector;
	trap_error = frame->error;
	frame->rip = trap_resume;
	trap_resume = 0;
}
