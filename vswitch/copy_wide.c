/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vectors of 16 bytes are those of SSE, by instructions that leave the upper halves of wider registers
 * alone. Those of 64 bytes are registers 16 and above of AVX-512: they have no part in what processors
 * remember of upper halves in use, so SSE code of the guest is not slower afterwards. (Vectors of 32
 * bytes have; they would gain little over 16.) A component that was in its initial state counts as in use
 * after its registers were restored: XSAVE then writes it, with the values it had.
 */
#include "vswitch/copy_wide.h"

#include <stdatomic.h>

#include "vswitch/bytes.h"
#include "vswitch/policy.h"

/* CPUID 1, ECX; 7.0, EBX; XCR0: SSE, AVX and the three parts of AVX-512 */
#define CPUID_OSXSAVE (1u << 27)
#define CPUID_AVX512F (1u << 16)
#define CPUID_FSRM    (1u << 4) /* EDX: "fast short rep mov"; no emulator's CPU has it */
#define XCR0_AVX512   0xe6u

/* From so many bytes on `rep movsb` is faster than vectors where it is fast at all: it does not read the
 * lines that it overwrites. Measured: docs/performance.md. */
#define REP_LEAST 4096u

static _Atomic bool has_vectors64, has_fast_rep;

struct leaf {
	uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t leaf)
{
	struct leaf r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(0));
	return r;
}

static uint32_t read_xcr0(void)
{
	uint32_t eax, edx;

	__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

void copy_wide_detect(void)
{
	bool has = cpuid(0).eax >= 7 && (cpuid(1).ecx & CPUID_OSXSAVE) &&
		   (cpuid(7).ebx & CPUID_AVX512F) && (read_xcr0() & XCR0_AVX512) == XCR0_AVX512;

	atomic_store_explicit(&has_vectors64, has, memory_order_relaxed);
	atomic_store_explicit(&has_fast_rep, cpuid(0).eax >= 7 && (cpuid(7).edx & CPUID_FSRM),
			      memory_order_relaxed);
}

unsigned copy_wide_bytes(void)
{
	return atomic_load_explicit(&has_vectors64, memory_order_relaxed) ? 64 : 16;
}

/* A vector, then from the target's next boundary on (most often it is the source's as well: both begin with
 * the same headers) 64 bytes a turn, then 16; the last 16 may overlap those before them. */
void copy_vectors16(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint8_t save[4 * 16];
	uint64_t left = n, skip = -(uintptr_t)to & 15;

	__asm__ volatile("movups %%xmm0, (%[save])\n\t"
			 "movups %%xmm1, 16(%[save])\n\t"
			 "movups %%xmm2, 32(%[save])\n\t"
			 "movups %%xmm3, 48(%[save])\n\t"
			 "movups (%[from]), %%xmm0\n\t"
			 "movups %%xmm0, (%[to])\n\t"
			 "add %[skip], %[from]\n\t"
			 "add %[skip], %[to]\n\t"
			 "sub %[skip], %[left]\n"
			 "1:\n\t"
			 "movups (%[from]), %%xmm0\n\t"
			 "movups 16(%[from]), %%xmm1\n\t"
			 "movups 32(%[from]), %%xmm2\n\t"
			 "movups 48(%[from]), %%xmm3\n\t"
			 "movups %%xmm0, (%[to])\n\t"
			 "movups %%xmm1, 16(%[to])\n\t"
			 "movups %%xmm2, 32(%[to])\n\t"
			 "movups %%xmm3, 48(%[to])\n\t"
			 "add $64, %[from]\n\t"
			 "add $64, %[to]\n\t"
			 "sub $64, %[left]\n\t"
			 "cmp $64, %[left]\n\t"
			 "jae 1b\n\t"
			 "jmp 3f\n"
			 "2:\n\t"
			 "movups (%[from]), %%xmm0\n\t"
			 "movups %%xmm0, (%[to])\n\t"
			 "add $16, %[from]\n\t"
			 "add $16, %[to]\n\t"
			 "sub $16, %[left]\n"
			 "3:\n\t"
			 "cmp $16, %[left]\n\t"
			 "ja 2b\n\t"
			 "movups -16(%[from],%[left]), %%xmm0\n\t"
			 "movups %%xmm0, -16(%[to],%[left])\n\t"
			 "movups (%[save]), %%xmm0\n\t"
			 "movups 16(%[save]), %%xmm1\n\t"
			 "movups 32(%[save]), %%xmm2\n\t"
			 "movups 48(%[save]), %%xmm3\n\t"
			 : [to] "+&r"(to), [from] "+&r"(from), [left] "+&r"(left)
			 : [save] "r"(save), [skip] "r"(skip)
			 : "memory", "cc");
}

/* As copy_vectors16(), 256 bytes a turn, then 64; the last 64 may overlap those before them. */
void copy_vectors64(uint8_t *to, const uint8_t *from, uint32_t n)
{
	_Alignas(64) uint8_t save[4 * 64];
	uint64_t left = n, skip = -(uintptr_t)to & 63;

	__asm__ volatile("vmovdqa64 %%zmm16, (%[save])\n\t"
			 "vmovdqa64 %%zmm17, 64(%[save])\n\t"
			 "vmovdqa64 %%zmm18, 128(%[save])\n\t"
			 "vmovdqa64 %%zmm19, 192(%[save])\n\t"
			 "vmovdqu64 (%[from]), %%zmm16\n\t"
			 "vmovdqu64 %%zmm16, (%[to])\n\t"
			 "add %[skip], %[from]\n\t"
			 "add %[skip], %[to]\n\t"
			 "sub %[skip], %[left]\n\t"
			 "jmp 2f\n"
			 "1:\n\t"
			 "vmovdqu64 (%[from]), %%zmm16\n\t"
			 "vmovdqu64 64(%[from]), %%zmm17\n\t"
			 "vmovdqu64 128(%[from]), %%zmm18\n\t"
			 "vmovdqu64 192(%[from]), %%zmm19\n\t"
			 "vmovdqu64 %%zmm16, (%[to])\n\t"
			 "vmovdqu64 %%zmm17, 64(%[to])\n\t"
			 "vmovdqu64 %%zmm18, 128(%[to])\n\t"
			 "vmovdqu64 %%zmm19, 192(%[to])\n\t"
			 "add $256, %[from]\n\t"
			 "add $256, %[to]\n\t"
			 "sub $256, %[left]\n"
			 "2:\n\t"
			 "cmp $320, %[left]\n\t"
			 "jae 1b\n\t"
			 "jmp 4f\n"
			 "3:\n\t"
			 "vmovdqu64 (%[from]), %%zmm16\n\t"
			 "vmovdqu64 %%zmm16, (%[to])\n\t"
			 "add $64, %[from]\n\t"
			 "add $64, %[to]\n\t"
			 "sub $64, %[left]\n"
			 "4:\n\t"
			 "cmp $64, %[left]\n\t"
			 "ja 3b\n\t"
			 "vmovdqu64 -64(%[from],%[left]), %%zmm16\n\t"
			 "vmovdqu64 %%zmm16, -64(%[to],%[left])\n\t"
			 "vmovdqa64 (%[save]), %%zmm16\n\t"
			 "vmovdqa64 64(%[save]), %%zmm17\n\t"
			 "vmovdqa64 128(%[save]), %%zmm18\n\t"
			 "vmovdqa64 192(%[save]), %%zmm19\n\t"
			 : [to] "+&r"(to), [from] "+&r"(from), [left] "+&r"(left)
			 : [save] "r"(save), [skip] "r"(skip)
			 : "memory", "cc");
}

/* From the target's next cache line on: processors are several times slower elsewhere. */
void copy_rep(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint64_t skip = -(uintptr_t)to & 63, left = n - skip;

	for (unsigned i = 0; i < 64; i += 8)
		store64(to + i, load64(from + i));
	to += skip;
	from += skip;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(left) : : "memory");
}

static bool by_rep(uint32_t policy, uint32_t n)
{
	return policy == COPY_REP || (policy == COPY_AUTO && n >= REP_LEAST &&
				      atomic_load_explicit(&has_fast_rep, memory_order_relaxed));
}

bool copy_wide(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint32_t policy = policy_get(POLICY_copy);

	if (policy == COPY_MOVES)
		return false;
	if (by_rep(policy, n))
		copy_rep(to, from, n);
	else if (atomic_load_explicit(&has_vectors64, memory_order_relaxed))
		copy_vectors64(to, from, n);
	else
		copy_vectors16(to, from, n);
	return true;
}
