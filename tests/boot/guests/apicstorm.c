/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile guest with several vCPUs: storms of IPIs, NMIs, INITs and SIPIs of all kinds, valid or
 * not, to its own vCPUs, from all of them at once, while they are started, stopped, asleep, in real
 * mode or within a handler, and other abuse of the APIC's registers. It hurts nobody: vCPU 0 ends
 * the VM "ok" when the time is over, for nothing here sends INIT to vCPU 0 but with reset=1, which
 * resets the VM in the midst of it. Boot arguments: seed=N, ms=N, reset=1.
 */
#include <stddef.h>

#include "guest/lib/apic.h"
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/smp.h"
#include "guest/lib/string.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

/* Pages where SIPIs begin: the trampoline, a loop, a HLT, an undefined instruction in turn. */
enum { FIRST_PAGE = 8, PAGES = 128, KINDS = 4, IVT_ENTRIES = 256, RESTART_AT = 0x7000 };
enum {
	FIRST_VECTOR = 32,
	LAST_REGISTER = 0x3f,
	BURST = 64,
	INTERRUPT_GATE = 0x8e,
	NMI_GATE = 2 * 16
};

extern const char smp_begin64[];

static unsigned count;
static uint64_t seed, reset, end_tsc;
static _Atomic uint32_t sent, faults;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 11;
}

/* Vectors that the runtime answers: exceptions' own would be taken for exceptions. */
static uint32_t vector(uint64_t *state)
{
	return FIRST_VECTOR + (uint32_t)(next(state) % (255 - FIRST_VECTOR));
}

static uint32_t startup(uint64_t *state)
{
	return ICR_STARTUP | (FIRST_PAGE + (uint32_t)(next(state) % PAGES));
}

static uint32_t someone(uint64_t *state)
{
	uint32_t wild[] = { UINT32_MAX, 0xff, count, 0x10001, 0xffff0000 };

	return next(state) % 4 ? (uint32_t)(next(state) % count)
			       : wild[next(state) % (sizeof(wild) / sizeof(wild[0]))];
}

static uint32_t someone_but_0(uint64_t *state)
{
	return 1 + (uint32_t)(next(state) % (count - 1));
}

/* Of an INIT's level and trigger bits only "assert" and the ignored de-assert. */
static void send_one(uint64_t *state)
{
	uint32_t shorthand = (uint32_t)(next(state) & 3) << 18;

	switch (next(state) % 8) {
	case 0:
		smp_ipi(someone_but_0(state),
			ICR_INIT | (next(state) % 4 ? ICR_ASSERT : ICR_LEVEL));
		break;
	case 1:
		smp_ipi(someone(state), startup(state) | ICR_ASSERT);
		break;
	case 2:
		smp_ipi(someone_but_0(state), ICR_INIT | ICR_ASSERT);
		smp_ipi(someone_but_0(state), startup(state) | ICR_ASSERT);
		break;
	case 3:
		smp_ipi(someone(state), ICR_NMI | ICR_ASSERT | shorthand);
		break;
	case 4:
		smp_ipi(someone(state), ICR_LOWEST | ICR_ASSERT | vector(state));
		break;
	case 5:
		smp_ipi(someone(state), ICR_LOGICAL | ICR_ASSERT | vector(state));
		break;
	case 6: /* SMI, reserved and ExtINT modes, vectors below 16 */
		smp_ipi(someone(state), (uint32_t)(next(state) & 1 ? 2 : 7) << 8 | ICR_ASSERT);
		smp_ipi(someone(state), ICR_ASSERT | (uint32_t)(next(state) & 15));
		break;
	default:
		smp_ipi(someone(state), ICR_ASSERT | vector(state) | shorthand);
		break;
	}
	atomic_fetch_add(&sent, 1);
}

static void storm(void)
{
	uint64_t state =
		(seed * SMP_MAX + smp_self()->id + 1) * 0x9e3779b97f4a7c15 + rdtsc() % 1024;

	while (rdtsc() < end_tsc) {
		for (unsigned i = 0; i < BURST; i++)
			send_one(&state);
		switch (next(&state) % 4) {
		case 0:
			cpu_wait();
			break;
		case 1:
			lapic_write(LAPIC_TPR, next(&state) & 0xff);
			break;
		case 2:
			lapic_write(LAPIC_LVT_TIMER, vector(&state) | LVT_PERIODIC);
			lapic_write(LAPIC_TIMER_INITIAL, (uint32_t)next(&state) & 0xffff);
			break;
		default:
			__asm__ volatile("sti; nop; nop; cli" : : : "memory");
			break;
		}
	}
}

/* Faults of ours are survived: a wild write of a register is #GP in x2APIC mode. */
static void wild_registers(void)
{
	uint64_t state = seed * 77 + 5;

	for (unsigned i = 0; i < 2000; i++) {
		uint32_t reg = (uint32_t)(next(&state) % (LAST_REGISTER + 1));
		uint64_t value = next(&state) << (next(&state) % 40);

		if (reg == LAPIC_ICR || reg == LAPIC_SVR) /* they are the storm's */
			continue;
		TRAP_TRY("wrmsr",
			 :
			 : "c"(MSR_X2APIC + reg), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "r11", "memory");
		atomic_fetch_add(&faults, trap_vector == TRAP_GP);
		TRAP_TRY("rdmsr", : : "c"(MSR_X2APIC + reg) : "rax", "rdx", "r11", "memory");
		atomic_fetch_add(&faults, trap_vector == TRAP_GP);
	}
	timer_stop();
	lapic_write(LAPIC_TPR, 0);
}

/*
 * Real mode: what a SIPI may find. An exception or an NMI there goes through the table at 0 to a
 * jump to the trampoline: they share a stack, so none can return. In long mode, before there is an
 * IDT, the same table is one, and NMI's gate lies where nothing else is needed.
 */
static void place_pages(void)
{
	static const uint8_t code[KINDS][4] = {
		[1] = { 0xeb, 0xfe },		  /* JMP to itself */
		[2] = { 0xfa, 0xf4, 0xeb, 0xfd }, /* CLI; HLT, again */
		[3] = { 0x0f, 0x0b },		  /* UD2 */
	};

	const uint32_t begin = (uint32_t)(uintptr_t)smp_begin64;

	for (unsigned page = FIRST_PAGE; page < FIRST_PAGE + PAGES; page++) {
		if (page % KINDS == 0)
			smp_place_trampoline((uint8_t)page);
		else
			memcpy((void *)((uintptr_t)page << 12), code[page % KINDS],
			       sizeof(code[0]));
	}
	mmio_write8(RESTART_AT, 0xea); /* JMP FIRST_PAGE << 8:0 */
	mmio_write32(RESTART_AT + 1, FIRST_PAGE << 24);
	for (unsigned i = 0; i < IVT_ENTRIES; i++)
		mmio_write32(4 * i, RESTART_AT >> 4 << 16);
	mmio_write32(NMI_GATE, GDT_KERNEL_CODE << 16 | (begin & 0xffff));
	mmio_write32(NMI_GATE + 4, (begin & 0xffff0000) | INTERRUPT_GATE << 8);
	mmio_write64(NMI_GATE + 8, 0);
}

/* vCPU 0 alone goes on to the end; the others are woken, stopped and sent astray meanwhile. */
static void keep_starting(void)
{
	uint64_t state = seed + 1;

	for (unsigned id = 1; id < count; id++)
		smp_call(id, storm);
	while (rdtsc() < end_tsc) {
		unsigned id = someone_but_0(&state);

		smp_ipi(id, ICR_INIT | ICR_ASSERT);
		smp_ipi(id, ICR_STARTUP | ICR_ASSERT | FIRST_PAGE);
		atomic_store(&smp_cpus[id].work, storm);
		for (unsigned i = 0; i < BURST / 4; i++)
			send_one(&state);
		clock_wait(rdtsc() + clock_us(next(&state) % 300));
	}
}

int guest_main(void)
{
	uint64_t ms;

	(void)args_u64(guest_cmdline(), "seed", 1, &seed);
	(void)args_u64(guest_cmdline(), "ms", 500, &ms);
	(void)args_u64(guest_cmdline(), "reset", 0, &reset);
	count = smp_init();
	if (count < 2)
		guest_fail("one vCPU makes no storm: cpus = <2> or more");
	place_pages();
	end_tsc = UINT64_MAX;
	for (unsigned id = 1; id < count; id++)
		if (!smp_start(id, FIRST_PAGE))
			guest_fail("vCPU %u does not start", id);
	if (lapic_is_x2apic())
		wild_registers();
	end_tsc = rdtsc() + clock_ms(ms);
	keep_starting();
	print("apicstorm: %u IPIs, %u NMIs taken by vCPU 0, %u register accesses refused\n",
	      atomic_load(&sent), atomic_load(&smp_cpus[0].nmis), atomic_load(&faults));
	if (reset)
		smp_ipi(0, ICR_INIT | ICR_ASSERT);
	check(!reset && atomic_load(&sent) > 0, "storm", "vCPU 0 has lived through it");
	return check_status();
}
