/* SPDX-License-Identifier: BSD-2-Clause */
/* Control and debug registers, EFER, XCR0: bits flipped, or set at random. What takes the ground
 * from under us is left to chance (fatal=). */
#include "guest/abuse/abuse.h"
#include "guest/lib/cpu.h"

#define MSR_EFER  0xc0000080u
/* SMEP, SMAP, PKE: our pages are open to ring 3, so that each handler would fault. */
#define CR4_FATAL (7ull << 20)

#define DEFINE_REGISTER(name)                                                                      \
	static uint64_t get_##name(void)                                                           \
	{                                                                                          \
		uint64_t value;                                                                    \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");                \
		return value;                                                                      \
	}                                                                                          \
	static void set_##name(uint64_t value)                                                     \
	{                                                                                          \
		__asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                    \
	}
DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr3)
DEFINE_REGISTER(cr4)
DEFINE_REGISTER(cr8)
DEFINE_REGISTER(dr0)
DEFINE_REGISTER(dr3)
DEFINE_REGISTER(dr4)
DEFINE_REGISTER(dr6)
DEFINE_REGISTER(dr7)
#undef DEFINE_REGISTER

static uint64_t altered(uint64_t value)
{
	if (one_in(4))
		return value ^ random_value();
	for (uint64_t n = random_below(3) + 1; n; n--)
		value ^= 1ull << random_below(one_in(2) ? 64 : 32);
	return value;
}

static void xcr0(void)
{
	uint32_t low, high;
	uint64_t value;

	__asm__ volatile("xgetbv"
			 : "=a"(low), "=d"(high)
			 : "c"(one_in(4) ? (uint32_t)random_value() : 0));
	value = altered((uint64_t)high << 32 | low);
	__asm__ volatile("xsetbv"
			 :
			 : "c"(one_in(8) ? (uint32_t)random_value() : 0), "a"((uint32_t)value),
			   "d"((uint32_t)(value >> 32)));
}

static void debug(void)
{
	set_dr0(one_in(2) ? random_value() : (uintptr_t)debug);
	set_dr3(random_value());
	set_dr6(altered(get_dr6()));
	if (one_in(2))
		set_dr7(altered(get_dr7()));
	if (one_in(4))
		set_dr4(get_dr4()); /* aliases of DR6, unless CR4.DE */
	(void)get_dr0();
	(void)get_dr3();
}

/* Bits of the address would leave us without page tables. */
static void root(void)
{
	uint64_t keep = fatal_chance() ? 0 : 0xffffffffff000ull;

	set_cr3((altered(get_cr3()) & ~keep) | (get_cr3() & keep));
}

static void cr4(void)
{
	uint64_t value = altered(get_cr4());

	set_cr4(fatal_chance() ? value : value & ~CR4_FATAL);
	cpuid(0, 0);
}

static void efer(void)
{
	wrmsr(MSR_EFER, altered(rdmsr(MSR_EFER)));
}

static void machine_status(void)
{
	uint16_t word = (uint16_t)random_u64();

	__asm__ volatile("lmsw %0; clts; smsw %0" : "+r"(word));
}

void act_cr(void)
{
	static abuse_act *const acts[] = { xcr0, debug, root, cr4, efer, machine_status };

	for (unsigned i = 0; i < 6; i++) {
		switch (random_below(3)) {
		case 0:
			set_cr0(altered(get_cr0()));
			break;
		case 1:
			set_cr8(one_in(2) ? random_below(16) : random_value());
			(void)get_cr8();
			break;
		default:
			acts[random_below(sizeof(acts) / sizeof(acts[0]))]();
		}
		mmio_read32(random_device() & ~3ull);
	}
}

void mend_cr(void)
{
	set_cr4(get_cr4() | 1ull << 18); /* OSXSAVE: faults where there is none */
	__asm__ volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
}
