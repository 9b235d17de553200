/* SPDX-License-Identifier: BSD-2-Clause */
/* Model-specific registers: those that are virtualised, their neighbours, any others. */
#include "guest/abuse/abuse.h"
#include "guest/lib/cpu.h"

#define MSR_APIC_BASE	    0x1bu
#define MSR_X2APIC_ICR	    0x830u
#define MSR_X2APIC_SELF_IPI 0x83fu
#define ICR_MODE_INIT	    0x500u

static const uint32_t known[] = {
	0x10,	    0x11,	0x12,	    0x17,	0x1b,	    0x3a,	0x3b,
	0x48,	    0x49,	0x79,	    0x8b,	0xc1,	    0xce,	0xe7,
	0xfe,	    0x10a,	0x10b,	    0x122,	0x140,	    0x174,	0x175,
	0x176,	    0x179,	0x17a,	    0x17b,	0x186,	    0x19c,	0x1a0,
	0x1a6,	    0x1b0,	0x1d9,	    0x1db,	0x1f2,	    0x200,	0x20f,
	0x250,	    0x258,	0x26f,	    0x277,	0x2ff,	    0x300,	0x345,
	0x38d,	    0x38f,	0x3f1,	    0x400,	0x480,	    0x491,	0x4d0,
	0x560,	    0x570,	0x600,	    0x606,	0x6a0,	    0x6a2,	0x6a4,
	0x6a7,	    0x6e0,	0x6e1,	    0x800,	0x808,	    0x80b,	0x80f,
	0x830,	    0x838,	0x83e,	    0x83f,	0x8ff,	    0xc80,	0xda0,
	0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d05, 0x40000000, 0x40000001,
	0x40000073, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
	0xc0000101, 0xc0000102, 0xc0000103, 0xc0000104, 0xc00000e7, 0xc0010000, 0xc0010010,
	0xc0010015, 0xc0010016, 0xc001001a, 0xc001001d, 0xc001001f, 0xc0010030, 0xc0010055,
	0xc0010058, 0xc0010062, 0xc0010111, 0xc0010112, 0xc0010113, 0xc0010114, 0xc0010117,
	0xc0010118, 0xc001011f, 0xc0010130, 0xc0011005, 0xc001102a, 0xc0011030,
};

static uint32_t pick(void)
{
	uint32_t msr = known[random_below(sizeof(known) / sizeof(known[0]))];

	switch (random_below(6)) {
	case 0:
		return (uint32_t)random_u64();
	case 1:
		return msr + (uint32_t)random_below(16) - 8;
	case 2:
		return 0x800 + (uint32_t)random_below(0x100);
	case 3:
		return (uint32_t)random_below(0x2000) | (one_in(2) ? 0xc0000000 : 0);
	default:
		return msr;
	}
}

/* The paravirtual clock writes where it is told, even over us: in RAM it shall be the arena. An
 * INIT would restart the VM. */
static uint64_t tamed(uint32_t msr, uint64_t value)
{
	bool clock = (msr & ~1u) == 0x4b564d00 || msr == 0x11 || msr == 0x12;

	if (clock && value < arena_base())
		return arena_base() + (value & 0xfffff);
	if (msr == MSR_X2APIC_ICR && (value & 0x700) == ICR_MODE_INIT)
		return value & ~0x700ull;
	return value;
}

/* Two bits of what is there are flipped: such values pass more checks. */
static uint64_t flipped(uint32_t msr)
{
	return rdmsr(msr) ^ 1ull << random_below(64) ^ 1ull << random_below(64);
}

static uint32_t one_msr;

static void poke(void)
{
	uint32_t msr = one_msr;

	switch (random_below(4)) {
	case 0:
		(void)rdmsr(msr);
		break;
	case 1:
		wrmsr(msr, tamed(msr, flipped(msr)));
		break;
	default:
		wrmsr(msr, tamed(msr, random_value()));
	}
}

void act_msr(void)
{
	for (;;) { /* one faults soon */
		one_msr = pick();
		poke();
	}
}
