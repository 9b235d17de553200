/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FPU, SSE and AVX state of vCPUs (SDM 1, "Managing State Using the XSAVE Feature Set"). The core
 * has no floating-point code, so this is only saving and loading: XSAVE in its standard format, or
 * FXSAVE on a machine without. PKRU and supervisor states are left out.
 */
#include "hv/core/fpu.h"

#include <stdatomic.h>
#include <string.h>

#include "hv/cpu/msr.h"

#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7))

#define FXSAVE_BYTES   512
#define FXSAVE_FCW     0 /* SDM 1, "Non-64-Bit-Mode Layout of the x87 State" */
#define FXSAVE_MXCSR   24
#define FXSAVE_XMM0    160
#define XSAVE_BV       512   /* of the header: components that are not in their initial state */
#define FCW_AT_RESET   0x37f /* as FNINIT and Linux have it; XRSTOR's initial state */
#define MXCSR_AT_RESET 0x1f80

/* What all CPUs have; the first CPU sets it, the others can only take away. */
static _Atomic uint64_t xcr0 = ~0ull;
static size_t area_bytes = FXSAVE_BYTES; /* set by the boot CPU, for all components it has */

static uint64_t supported_xcr0(void)
{
	struct cpuid_regs r;
	uint64_t mask = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512, have;

	if (!(cpuid(1, 0).ecx & BIT(26)))
		return 0;
	r = cpuid(0xd, 0);
	have = ((uint64_t)r.edx << 32 | r.eax) & mask;
	if ((have & XCR0_AVX512) != XCR0_AVX512 || !(have & XCR0_AVX))
		have &= ~XCR0_AVX512;
	return have;
}

void fpu_init_cpu(void)
{
	uint64_t have = supported_xcr0();
	uint64_t common = atomic_fetch_and(&xcr0, have) & have;

	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | (common ? CR4_OSXSAVE : 0));
	__asm__ volatile("fninit");
	if (!common)
		return;
	xsetbv(0, common);
	if (cpuid(0xd, 0).ebx > area_bytes)
		area_bytes = cpuid(0xd, 0).ebx;
}

size_t fpu_area_bytes(void)
{
	return (area_bytes + 4095) & ~(size_t)4095;
}

uint64_t fpu_xcr0(void)
{
	return atomic_load_explicit(&xcr0, memory_order_relaxed);
}

/* An XSAVE header of zeros says: every component in its initial state. MXCSR is loaded from the
 * legacy area even so, and FXRSTOR loads all of that. */
void fpu_reset_area(void *area)
{
	uint16_t fcw = FCW_AT_RESET;
	uint32_t mxcsr = MXCSR_AT_RESET;

	memset(area, 0, fpu_area_bytes());
	memcpy((char *)area + FXSAVE_FCW, &fcw, sizeof(fcw));
	memcpy((char *)area + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

/*
 * Says of x87 state that is the initial one that it is, as a processor's own XSAVE does, so that
 * XRSTOR need not load it. QEMU's XSAVE does not, and its XRSTOR of x87 state changes a word of the
 * first CPU's, whichever CPU executes it, without a lock: should that one be on its way into a guest
 * or out of it, it takes the guest's page tables for its own, or the other way round.
 */
static void forget_initial_x87(char *area)
{
	uint64_t word[FXSAVE_XMM0 / 8], bv, used;

	memcpy(word, area, sizeof(word));
	memcpy(&bv, area + XSAVE_BV, sizeof(bv));
	used = word[0] ^ FCW_AT_RESET; /* all of the control, status, tag and opcode words */
	for (unsigned i = 1; i < sizeof(word) / sizeof(word[0]); i++)
		used |= i == FXSAVE_MXCSR / 8 ? 0 : word[i];
	if (used)
		return;
	bv &= ~XCR0_X87;
	memcpy(area + XSAVE_BV, &bv, sizeof(bv));
}

void fpu_save(void *area)
{
	uint64_t mask = fpu_xcr0();

	if (mask) {
		__asm__ volatile("xsave64 (%0)"
				 :
				 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
				 : "memory");
		forget_initial_x87(area);
	} else {
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
	}
}

void fpu_restore(const void *area)
{
	uint64_t mask = fpu_xcr0();

	if (mask)
		__asm__ volatile("xrstor64 (%0)"
				 :
				 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
				 : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}
