/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a single step over an instruction that the hypervisor carries out trap behind it, as on a
 * processor: once, with DR6.BS, with RF ended, also where the instruction halts the processor, and after
 * each round of a repeated one? And does an interrupt that STI holds back come right behind such an
 * instruction? (SDM 3B, "Debug Exceptions"; SDM 2, "STI".)
 */
#include <stddef.h>

#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/pci.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

#define TRAP_DB	  1
#define RFLAGS_TF 0x100u
#define RFLAGS_RF 0x10000u
#define DR6_BS	  (1u << 14)
#define ROUNDS	  3
#define NO_PORT	  0x80

static unsigned traps, wanted; /* the trap flag is cleared after so many */
static uint64_t rip[ROUNDS + 1], dr6, rflags;
static volatile uint64_t target, behind;

static bool on_debug(struct trap_frame *frame)
{
	if (frame->vector != TRAP_DB)
		return false;
	if (traps <= ROUNDS)
		rip[traps] = frame->rip;
	traps++;
	__asm__ volatile("mov %%db6, %0" : "=r"(dr6));
	__asm__ volatile("mov %0, %%db6" : : "r"(0ull));
	rflags = frame->rflags;
	if (traps >= wanted)
		frame->rflags &= ~(uint64_t)RFLAGS_TF;
	return true;
}

/* IRET to the instruction with TF and RF set: RF is to end with it, and the step begins with it. */
#define STEP(instruction, ...)                                                                     \
	do {                                                                                       \
		traps = 0;                                                                         \
		__asm__ volatile("leaq 1f(%%rip), %%r11; movq %%r11, target\n\t"                   \
				 "leaq 2f(%%rip), %%r11; movq %%r11, behind\n\t"                   \
				 "movq %%rsp, %%r11\n\t"                                           \
				 "movl %%ss, %%r10d; pushq %%r10; pushq %%r11\n\t"                 \
				 "pushfq; orq $0x10100, (%%rsp)\n\t"                               \
				 "movl %%cs, %%r10d; pushq %%r10; pushq target\n\t"                \
				 "iretq\n"                                                         \
				 "1:\t" instruction "\n"                                           \
				 "2:\tnop\n\t"                                                     \
				 "nop\n\t" __VA_ARGS__,                                            \
				 "r10", "r11", "cc", "memory");                                    \
	} while (0)

static void one_trap(const char *name, const char *fact)
{
	if (traps != 1 || rip[0] != behind)
		print("%u traps, the first at %lx, wanted at %lx\n", traps, rip[0], behind);
	check(traps == 1 && rip[0] == behind && dr6 & DR6_BS && !(rflags & RFLAGS_RF), name, fact);
}

static void check_steps(uint64_t bridge)
{
	uint64_t value, out = 0;

	wanted = 1;
	STEP("cpuid", : "=a"(out) : "a"(0), "c"(0) : "rbx", "rdx");
	one_trap("step-cpuid", "a step over CPUID");
	STEP("outb %%al, $0x80", : : "a"(0) : "rdx");
	one_trap("step-out", "a step over OUT");
	STEP("inb $0x80, %%al", : "=a"(out) : : "rdx");
	one_trap("step-in", "a step over IN");
	check((out & 0xff) == 0xff, "step-in-value", "which has read the port");
	STEP("rdmsr", : "=a"(out) : "c"(MSR_APIC_BASE) : "rdx");
	one_trap("step-rdmsr", "a step over RDMSR");
	STEP("wrmsr", : : "c"(MSR_X2APIC + LAPIC_TPR), "a"(0), "d"(0) : "rbx");
	one_trap("step-wrmsr", "a step over WRMSR");
	STEP("movl (%1), %k0", : "=&a"(value) : "r"(bridge) : "rdx");
	one_trap("step-mmio-read", "a step over a read of device memory");
	check(value == mmio_read32(bridge), "step-mmio-value", "which has read it");
	STEP("movl %k1, (%0)", : : "r"(bridge), "a"(0) : "rdx");
	one_trap("step-mmio-write", "a step over a write to device memory");
	STEP("cmpl %k2, (%1); pushfq; popq %0", : "=&r"(out) : "r"(bridge), "a"(value) : "rdx");
	check(traps == 1 && rip[0] > target && rip[0] < behind && out & 1 << 6, "step-mmio-cmp",
	      "a step over a comparison with device memory, which sets its flags");
	STEP("hlt", : : : "rdx");
	one_trap("step-hlt", "a step over HLT ends it");
	STEP("movq %%cr8, %0", : "=&r"(out) : : "rdx");
	one_trap("step-cr8", "a step over a read of CR8");
}

/* At the instruction after each round but the last, and behind it then. */
static void rounds(const char *name, const char *fact)
{
	bool right = traps == ROUNDS && rip[ROUNDS - 1] == behind;

	for (unsigned i = 0; i < ROUNDS - 1; i++)
		right = right && rip[i] == target;
	check(right && dr6 & DR6_BS, name, fact);
}

static void check_repeated(uint64_t bridge)
{
	uint8_t in[ROUNDS] = { 0 };
	uint32_t copy[ROUNDS] = { 0 };
	uint64_t rcx = ROUNDS, rdi = (uintptr_t)in, rsi = bridge;

	wanted = ROUNDS;
	STEP("rep insb", : "+c"(rcx), "+D"(rdi) : "d"(NO_PORT) : "rbx");
	rounds("step-ins", "a trap after each round of REP INS");
	check(rcx == 0 && in[0] == 0xff && in[ROUNDS - 1] == 0xff, "step-ins-value",
	      "which has read the port");
	rcx = ROUNDS;
	rdi = (uintptr_t)copy;
	STEP("rep movsl", : "+c"(rcx), "+D"(rdi), "+S"(rsi) : : "rdx");
	rounds("step-movs", "a trap after each round of REP MOVS from device memory");
	check(rcx == 0 && copy[0] == mmio_read32(bridge), "step-movs-value", "which has read it");
}

static volatile unsigned passed, passed_at_irq;

static void on_irq(unsigned vector)
{
	if (vector == IRQ_TEST)
		passed_at_irq = passed;
}

/* With an interrupt waiting: STI, the instruction, then a mark that the interrupt must not see. */
#define BEHIND_STI(name, fact, instruction, ...)                                                   \
	do {                                                                                       \
		unsigned before = irq_seen[IRQ_TEST];                                              \
                                                                                                   \
		passed = 0;                                                                        \
		passed_at_irq = 7;                                                                 \
		lapic_write(LAPIC_SELF_IPI, IRQ_TEST);                                             \
		__asm__ volatile("sti\n\t" instruction "\n\t"                                      \
				 "movl $1, passed\n\t"                                             \
				 "nop; cli" __VA_ARGS__,                                           \
				 "cc", "memory");                                                  \
		check(irq_seen[IRQ_TEST] == before + 1 && passed_at_irq == 0, name, fact);         \
	} while (0)

static void check_shadow(uint64_t bridge)
{
	uint64_t out;

	irq_hook = on_irq;
	BEHIND_STI("sti-cpuid", "an interrupt comes right behind STI; CPUID", "cpuid",
		   : "=a"(out)
		   : "a"(0), "c"(0)
		   : "rbx", "rdx");
	BEHIND_STI("sti-out", "an interrupt comes right behind STI; OUT", "outb %%al, $0x80",
		   :
		   : "a"(0)
		   : "rdx");
	BEHIND_STI("sti-mmio", "an interrupt comes right behind STI; MOV from device memory",
		   "movl (%1), %k0",
		   : "=&a"(out)
		   : "r"(bridge)
		   : "rdx");
	irq_hook = NULL;
}

int guest_main(void)
{
	const uint64_t bridge = pci_ecam();

	trap_hook = on_debug;
	if (check(bridge, "ecam", "the MCFG tells where ECAM is") &&
	    check(lapic_is_x2apic(), "x2apic", "the local APIC is one by MSR")) {
		check_steps(bridge);
		check_repeated(bridge);
		check_shadow(bridge);
	}
	trap_hook = NULL;
	return check_status();
}
