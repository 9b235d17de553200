/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the guest survives what it does to itself: exceptions and a watchdog on the APIC timer leave
 * the act; afterwards registers that later rounds depend on are put back.
 */
#include "guest/abuse/abuse.h"

#include "guest/lib/apic.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"

enum { VECTOR_DB = 1, VECTOR_NMI = 2, RFLAGS_TF = 0x100 };
#define MSR_EFER    0xc0000080u
#define MSR_GS_BASE 0xc0000101u
#define DR7_NOTHING 0x400ull

extern uint64_t gdt[], landing;

unsigned recover_steps;
uint64_t recover_faults, recover_timeouts;

static struct {
	uint64_t cr0, cr3, cr4, efer, gs;
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} gdt, idt;
} good;
static uint64_t deadline; /* of the act that runs, TSC */

static bool on_exception(struct trap_frame *frame)
{
	__asm__ volatile("movq %0, %%db7" : : "r"(DR7_NOTHING));
	if (frame->vector == VECTOR_NMI)
		return true; /* by IRET, so that the next one can come */
	if (frame->vector == VECTOR_DB && recover_steps) {
		if (--recover_steps)
			return true;
		frame->rflags &= ~(uint64_t)RFLAGS_TF;
	}
	if (!landing)
		return false;
	recover_faults++;
	attempt_leave();
}

void recover_interrupt(unsigned vector)
{
	uint64_t now = rdtsc();

	if (!landing || now < deadline) { /* too early: a stale one */
		if (vector == IRQ_TIMER)
			timer_arm(now < deadline ? deadline : now + clock_ms(1));
		return;
	}
	recover_timeouts++;
	lapic_eoi();
	attempt_leave();
}

static void put_back(void)
{
	__asm__ volatile("cli; cld; lgdt %0; lidt %1" : : "m"(good.gdt), "m"(good.idt));
	__asm__ volatile("movq %0, %%cr0" : : "r"(good.cr0) : "memory");
	__asm__ volatile("movq %0, %%cr3" : : "r"(good.cr3) : "memory");
	__asm__ volatile("movq %0, %%cr4" : : "r"(good.cr4) : "memory");
	__asm__ volatile("movq %0, %%db7" : : "r"(DR7_NOTHING));
	__asm__ volatile("movl %0, %%fs; movl %0, %%gs" : : "r"(0));
	wrmsr(MSR_EFER, good.efer);
	wrmsr(MSR_GS_BASE, good.gs);
}

static void apic_put_back(void)
{
	lapic_init();
	for (unsigned i = 0; i < 16; i++) /* a priority class each */
		lapic_eoi();
	timer_stop();
}

void recover_init(void)
{
	__asm__ volatile("movq %%cr0, %0" : "=r"(good.cr0));
	__asm__ volatile("movq %%cr3, %0" : "=r"(good.cr3));
	__asm__ volatile("movq %%cr4, %0" : "=r"(good.cr4));
	__asm__ volatile("sgdt %0" : "=m"(good.gdt));
	__asm__ volatile("sidt %0" : "=m"(good.idt));
	good.efer = rdmsr(MSR_EFER);
	trap_hook = on_exception;
	irq_hook = recover_interrupt;
}

static abuse_act *interruptible;

/* Interrupts come only where there is a landing. */
static void with_interrupts(void)
{
	__asm__ volatile("sti");
	interruptible();
}

void recover_own_gs(void)
{
	good.gs = rdmsr(MSR_GS_BASE);
}

void attempt(abuse_act *act, unsigned limit_ms)
{
	deadline = rdtsc() + clock_ms(limit_ms);
	recover_steps = 0;
	interruptible = act;
	timer_arm(deadline);
	(void)attempt_call(with_interrupts);
	put_back();
	apic_put_back();
}

/* With interrupts off: a storm of them may be what is to be mended. */
void attempt_mend(abuse_act *mend)
{
	(void)attempt_call(mend);
	put_back();
}
