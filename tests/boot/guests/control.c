/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do control, debug and model-specific registers behave as on a bare CPU, although the hypervisor
 * owns some bits of them? Illegal values raise #GP, all paging modes can be reached and left, a
 * single step works across an intercepted instruction, and what another VM on the same CPU loads
 * into the same registers does not show here. Boot argument: seed=N, different for each VM.
 */
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/apic.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

#define BIT(n)	(1ull << (n))
#define CR0_TS	BIT(3)
#define CR0_NE	BIT(5)
#define CR0_NW	BIT(29)
#define CR0_CD	BIT(30)
#define CR0_PG	BIT(31)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)

#define MSR_EFER  0xc0000080u
#define EFER_LME  BIT(8)
#define TRAP_DB	  1
#define RFLAGS_TF 0x100u
#define DR6_BS	  BIT(14)

#define DEFINE_REGISTER(name)                                                                      \
	static uint64_t read_##name(void)                                                          \
	{                                                                                          \
		uint64_t value;                                                                    \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");                \
		return value;                                                                      \
	}                                                                                          \
	/* false: it faulted */                                                                    \
	static bool try_##name(uint64_t value)                                                     \
	{                                                                                          \
		TRAP_TRY("mov %0, %%" #name, : : "r"(value) : "r11", "memory");                    \
		return trap_vector < 0;                                                            \
	}
DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr4)
DEFINE_REGISTER(dr0)
DEFINE_REGISTER(dr6)
DEFINE_REGISTER(dr7)
#undef DEFINE_REGISTER

static bool refused(bool done)
{
	return !done && trap_vector == TRAP_GP && trap_error == 0;
}

static void check_cr0(void)
{
	uint64_t cr0 = read_cr0();

	check(try_cr0(cr0 & ~CR0_NE) && read_cr0() == (cr0 & ~CR0_NE), "cr0-ne",
	      "CR0.NE can be cleared and reads 0");
	check(try_cr0(cr0 | CR0_CD) && read_cr0() == (cr0 | CR0_CD), "cr0-cd",
	      "CR0.CD can be set and reads 1");
	check(try_cr0(cr0) && read_cr0() == cr0, "cr0-back", "and both go back");
	check(refused(try_cr0(cr0 | CR0_NW)), "cr0-nw", "CR0.NW without CD is #GP");
	check(refused(try_cr0(cr0 & ~1ull)), "cr0-pe", "CR0.PG without PE is #GP");
	check(refused(try_cr0(cr0 & ~CR0_PG)), "cr0-pg", "64-bit code cannot switch paging off");
	check(refused(try_cr0(cr0 | BIT(40))), "cr0-high", "an upper bit of CR0 is #GP");
	check(read_cr0() == cr0, "cr0-kept", "a refused value changes nothing");
	check(try_cr0(cr0 | CR0_TS) && (read_cr0() & CR0_TS), "cr0-ts", "CR0.TS can be set");
	__asm__ volatile("clts" : : : "memory");
	check(read_cr0() == cr0, "clts", "CLTS clears it");
	__asm__ volatile("lmsw %w0" : : "r"((uint32_t)(cr0 | CR0_TS)) : "memory");
	check(read_cr0() == (cr0 | CR0_TS), "lmsw", "LMSW sets it");
	try_cr0(cr0);
}

static void check_cr4(void)
{
	uint64_t cr4 = read_cr4();

	check(try_cr4(cr4 | CR4_MCE) && read_cr4() == (cr4 | CR4_MCE), "cr4-mce",
	      "CR4.MCE can be set and reads 1");
	check(try_cr4(cr4 | CR4_PGE) && read_cr4() == (cr4 | CR4_PGE), "cr4-pge",
	      "CR4.PGE can be set");
	check(try_cr4(cr4) && read_cr4() == cr4, "cr4-back", "and both go back");
	check(refused(try_cr4(cr4 & ~CR4_PAE)), "cr4-pae", "long mode keeps CR4.PAE");
	check(refused(try_cr4(cr4 | BIT(31))), "cr4-reserved", "a reserved bit of CR4 is #GP");
	check(refused(try_cr4(cr4 | BIT(40))), "cr4-high", "an upper bit of CR4 is #GP");
	check(read_cr4() == cr4, "cr4-kept", "a refused value changes nothing");
}

static void check_efer(void)
{
	uint64_t efer = rdmsr(MSR_EFER);
	uint32_t low = (uint32_t)(efer & ~EFER_LME);

	TRAP_TRY("wrmsr", : : "c"(MSR_EFER), "a"(low), "d"(0) : "r11", "memory");
	check(refused(trap_vector < 0), "efer-lme", "EFER.LME cannot change while paging is on");
	check(rdmsr(MSR_EFER) == efer, "efer-kept", "a refused value changes nothing");
	TRAP_TRY("rdpmc", : : "c"(0) : "rax", "rdx", "r11", "memory");
	check(refused(trap_vector < 0), "rdpmc", "there are no performance counters");
}

/* ---- debug exceptions ---- */

static unsigned debug_count;
static uint64_t debug_rip, debug_dr6;

static bool on_debug(struct trap_frame *frame)
{
	if (frame->vector != TRAP_DB)
		return false;
	debug_count++;
	debug_rip = frame->rip;
	debug_dr6 = read_dr6();
	frame->rflags &= ~(uint64_t)RFLAGS_TF;
	try_dr7(0x400);
	return true;
}

/* One step over CPUID, which always exits: the trap comes behind it. */
static void check_step(void)
{
	uint64_t behind;

	debug_count = 0;
	__asm__ volatile("leaq 1f(%%rip), %0\n\t"
			 "pushfq\n\t"
			 "orl %1, (%%rsp)\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "popfq\n\t"
			 "cpuid\n"
			 "1:\tnop"
			 : "=&r"(behind)
			 : "i"(RFLAGS_TF)
			 : "rax", "rbx", "rcx", "rdx", "cc", "memory");
	check(debug_count == 1 && debug_rip == behind, "step",
	      "a single step over CPUID traps behind it");
	check(debug_dr6 & DR6_BS, "step-dr6", "DR6.BS says so");
}

/* Bochs as packaged has no breakpoints; the registers are there. */
static void check_debug_registers(void)
{
	static volatile uint32_t word; /* nobody writes to it */

	try_dr0((uint64_t)&word);
	try_dr7(0xd0402); /* global 0, write, 4 bytes */
	cpuid(0, 0);
	check(read_dr7() == 0xd0402 && read_dr0() == (uint64_t)&word, "dr7",
	      "an exit keeps the debug registers");
	try_dr7(0x400);
	check(refused(try_dr7(BIT(40))), "dr7-high", "an upper bit of DR7 is #GP");
}

/* ---- registers that another VM uses as well ---- */

static const uint32_t own_msrs[] = {
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, /* STAR, LSTAR, CSTAR, FMASK */
	0xc0000102, 0x175,	0x176,			/* KERNEL_GS_BASE, SYSENTER_ESP, _EIP */
};

#define OWN_MSRS (sizeof(own_msrs) / sizeof(own_msrs[0]))

static bool own_registers_hold(uint64_t seed)
{
	for (unsigned i = 0; i < OWN_MSRS; i++)
		if (rdmsr(own_msrs[i]) != seed + i)
			return false;
	return read_dr0() == seed && (read_dr6() & 15) == (seed & 15);
}

static void check_isolation(uint64_t seed)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < OWN_MSRS; i++)
		wrmsr(own_msrs[i], seed + i);
	try_dr0(seed);
	try_dr6(0xffff0ff0 | (seed & 15));
	for (unsigned round = 0; round < 200; round++) {
		irq_seen[IRQ_TIMER] = 0;
		timer_arm(rdtsc() + clock_us(50 + seed % 7 * 10));
		while (!irq_seen[IRQ_TIMER])
			cpu_wait();
		bad += !own_registers_hold(seed);
	}
	check(bad == 0, "isolation", "MSRs and debug registers keep this VM's values");
}

/* ---- all paging modes ---- */

extern uint64_t page_pml4[];

uint64_t pae_pdpt[4] __attribute__((aligned(32)));
uint32_t legacy_directory[1024] __attribute__((aligned(4096)));
uint32_t modes_seen[4];
uint32_t modes_magic = 0x5ca1ab1e;
void modes_walk(void);

/*
 * Long mode -> compatibility mode -> no paging -> PAE -> no paging -> two-level with 4 MiB pages
 * -> no paging -> long mode. In each it reads modes_magic through the tables.
 */
__asm__(".pushsection .data\n"
	"	.balign 8\n"
	"modes_gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff\n"
	"modes_gdt_pointer: .word 31\n	.quad modes_gdt\n"
	"modes_old_gdt: .skip 10\n"
	"	.balign 8\n"
	"modes_old_rsp: .quad 0\n"
	"modes_old_cr3: .quad 0\n"
	".popsection\n"
	".pushsection .text\n"
	".macro paging value\n"
	"	mov %cr0, %eax\n	and $0x7fffffff, %eax\n	or $\\value, %eax\n	mov %eax, "
	"%cr0\n"
	".endm\n"
	".macro seen slot\n"
	"	mov modes_magic, %eax\n	mov %eax, modes_seen + 4 * \\slot\n"
	".endm\n"
	".macro lme value\n"
	"	mov $0xc0000080, %ecx\n	rdmsr\n	and $0xfffffeff, %eax\n	or $\\value, %eax\n	"
	"wrmsr\n"
	".endm\n"
	"modes_walk:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	"
	"push %r15\n"
	"	mov %rsp, modes_old_rsp\n"
	"	mov %cr3, %rax\n	mov %rax, modes_old_cr3\n"
	"	sgdt modes_old_gdt\n	lgdt modes_gdt_pointer\n"
	"	push $0x08\n	push $1f\n	lretq\n"
	"	.code32\n"
	"1:	mov $0x10, %eax\n	mov %eax, %ds\n	mov %eax, %es\n	mov %eax, %ss\n"
	"	paging 0\n"
	"	lme 0\n"
	"	seen 0\n"
	"	mov $pae_pdpt, %eax\n	mov %eax, %cr3\n"
	"	paging 0x80000000\n"
	"	seen 1\n"
	"	mov %cr3, %eax\n	mov %eax, %cr3\n" /* loads the PDPTEs without an exit */
	"	paging 0\n"
	"	mov %cr4, %eax\n	and $0xffffffdf, %eax\n	or $0x10, %eax\n	mov %eax, "
	"%cr4\n"
	"	mov $legacy_directory, %eax\n	mov %eax, %cr3\n"
	"	paging 0x80000000\n"
	"	seen 2\n"
	"	paging 0\n"
	"	mov %cr4, %eax\n	and $0xffffffef, %eax\n	or $0x20, %eax\n	mov %eax, "
	"%cr4\n"
	"	mov modes_old_cr3, %eax\n	mov %eax, %cr3\n"
	"	lme 0x100\n"
	"	paging 0x80000000\n"
	"	ljmp $0x18, $2f\n"
	"	.code64\n"
	"2:	mov modes_old_rsp, %rsp\n"
	"	lgdt modes_old_gdt\n"
	"	mov $0x18, %eax\n	mov %eax, %ds\n	mov %eax, %es\n	mov %eax, %ss\n"
	"	seen 3\n"
	"	push $0x10\n	push $3f\n	lretq\n"
	"3:	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	"
	"pop %rbx\n"
	"	ret\n"
	".popsection\n");

static void check_modes(void)
{
	static const char *const facts[] = { "32-bit code without paging runs", "PAE paging runs",
					     "two-level paging runs",
					     "long mode is reached again" };
	static const char *const names[] = { "mode-flat", "mode-pae", "mode-legacy", "mode-long" };
	uint64_t *pdpt = (uint64_t *)(page_pml4[0] & ~0xfffull);

	for (unsigned i = 0; i < 4; i++)
		pae_pdpt[i] = (pdpt[i] & ~0xfffull) | 1;
	for (uint32_t i = 0; i < 1024; i++)
		legacy_directory[i] = i << 22 | 0x87;
	modes_walk();
	for (unsigned i = 0; i < 4; i++)
		check(modes_seen[i] == modes_magic, names[i], facts[i]);
}

int guest_main(void)
{
	uint64_t seed;

	if (!args_u64(guest_cmdline(), "seed", 1, &seed))
		guest_fail("control: seed is not a number");
	trap_hook = on_debug;
	check_cr0();
	check_cr4();
	check_efer();
	check_step();
	check_debug_registers();
	check_modes();
	check_isolation((seed & 0xff) << 16 | (seed & 15)); /* canonical, and FMASK has 32 bits */
	return check_status();
}
