/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID as a guest sees it (SDM 2A, "CPUID"; APM 3, appendix E): the host's answer, less what is
 * not virtualised. A feature is shown only if it is in a mask here, so that nothing new on a host
 * reaches a guest unthought.
 */
#include <string.h>

#include "hv/core/fpu.h"
#include "hv/cpu/msr.h"
#include "hv/core/guest_map.h"
#include "hv/core/pvclock.h"
#include "hv/core/vcpu.h"
#include "lasthop/hypercall.h"

#define MAX_BASIC    0x16u
#define MAX_EXTENDED 0x80000008u

/* Leaf 1 ECX, as bit numbers: SSE3 0, PCLMUL 1, SSSE3 9, FMA 12, CX16 13, SSE4.1 19, SSE4.2 20,
 * x2APIC 21, MOVBE 22, POPCNT 23, TSC deadline 24, AES 25, XSAVE 26, AVX 28, F16C 29, RDRAND 30 */
#define LEAF1_ECX                                                                                  \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) |    \
	 BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define LEAF1_ECX_X2APIC       BIT(21)
#define LEAF1_ECX_TSC_DEADLINE BIT(24)
#define LEAF1_ECX_XSAVE	       BIT(26)
#define LEAF1_ECX_OSXSAVE      BIT(27)
#define LEAF1_ECX_NEED_XSAVE   (BIT(12) | BIT(26) | BIT(28) | BIT(29))
#define LEAF1_ECX_HYPERVISOR   BIT(31)
/* Leaf 1 EDX: FPU 0, DE 2, PSE 3, TSC 4, MSR 5, PAE 6, CX8 8, APIC 9, SEP 11, PGE 13, CMOV 15,
 * PAT 16, PSE36 17, CLFSH 19, MMX 23, FXSR 24, SSE 25, SSE2 26, SS 27 */
#define LEAF1_EDX                                                                                  \
	(BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(11) |         \
	 BIT(13) | BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | \
	 BIT(27))
#define LEAF1_EDX_HTT BIT(28)
/* Leaf 7 EBX: FSGSBASE 0, BMI1 3, AVX2 5, SMEP 7, BMI2 8, ERMS 9, RDSEED 18, ADX 19, SMAP 20,
 * CLFLUSHOPT 23, CLWB 24, SHA 29 */
#define LEAF7_EBX                                                                                  \
	(BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(20) |       \
	 BIT(23) | BIT(24) | BIT(29))
#define LEAF7_EBX_ERMS	    BIT(9)
/* Leaf 7 EBX: AVX-512 F 16, DQ 17, CD 28, BW 30, VL 31: with all three of its XCR0 bits */
#define LEAF7_EBX_AVX512    (BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31))
#define LEAF7_EDX_FSRM	    BIT(4)
/* 8000_0001h ECX: LAHF 0, ABM 5, SSE4A 6, MISALIGNSSE 7, PREFETCHW 8; the rest AMD's own */
#define EXT1_ECX	    (BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8))
#define EXT1_ECX_CMP_LEGACY BIT(1) /* AMD: what HTT and CPUID 1 count are cores */
/* EDX: as leaf 1 where AMD repeats it, SYSCALL 11, NX 20, FXSR_OPT 25, 1 GiB pages 26, RDTSCP 27,
 * LM 29 */
#define EXT1_EDX                                                                                   \
	((LEAF1_EDX & 0x0183f3ff & ~BIT(11)) | BIT(11) | BIT(20) | BIT(25) | BIT(26) | BIT(27) |   \
	 BIT(29))
#define XCR0_AVX512 0xe0u

static bool is_intel(void)
{
	return cpuid(0, 0).ebx == 0x756e6547; /* "Genu" */
}

/* Bits of the APIC ID that tell vCPUs of one VM apart. */
static unsigned id_bits(const struct vm *vm)
{
	unsigned bits = 0;

	while (1u << bits < vm->vcpu_count)
		bits++;
	return bits;
}

static uint64_t guest_cr4(struct vcpu *v)
{
	struct vcpu_sregs s;

	hvm->get_sregs(v, &s);
	return s.cr4;
}

static void leaf_1(struct vcpu *v, struct cpuid_regs *r)
{
	r->ecx &= LEAF1_ECX;
	if (!fpu_xcr0())
		r->ecx &= ~(uint32_t)LEAF1_ECX_NEED_XSAVE;
	if (r->ecx & LEAF1_ECX_XSAVE && guest_cr4(v) & CR4_OSXSAVE)
		r->ecx |= LEAF1_ECX_OSXSAVE;
	r->ecx |= LEAF1_ECX_X2APIC | LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_HYPERVISOR;
	r->edx &= LEAF1_EDX;
	r->ebx = (r->ebx & 0xffff) | v->vm->vcpu_count << 16 | v->index << 24;
	if (v->vm->vcpu_count > 1)
		r->edx |= LEAF1_EDX_HTT;
}

static void leaf_7(struct vcpu *v, uint32_t subleaf, struct cpuid_regs *r)
{
	uint32_t ebx = LEAF7_EBX;
	bool avx512 = (fpu_xcr0() & XCR0_AVX512) == XCR0_AVX512;

	if (subleaf != 0) {
		memset(r, 0, sizeof(*r));
		return;
	}
	if (avx512)
		ebx |= LEAF7_EBX_AVX512;
	if (v->vm->config->no_fast_strings)
		ebx &= ~(uint32_t)LEAF7_EBX_ERMS;
	r->eax = 0;
	r->ebx &= ebx;
	r->ecx = 0;
	r->edx = v->vm->config->no_fast_strings ? 0 : r->edx & LEAF7_EDX_FSRM;
}

/* Topology (SDM 3A, "Extended Topology"): one thread a core, all cores in one package. */
static void leaf_b(struct vcpu *v, uint32_t level, struct cpuid_regs *r)
{
	*r = (struct cpuid_regs){ .ecx = level & 0xff, .edx = v->index };
	if (level == 0) {
		r->ebx = 1;
		r->ecx |= 1 << 8; /* SMT */
	} else if (level == 1) {
		r->eax = id_bits(v->vm);
		r->ebx = v->vm->vcpu_count;
		r->ecx |= 2 << 8; /* core */
	}
}

/* XSAVE (SDM 1, "Enumeration of the XSAVE Feature Set"): sizes follow from offset and size of
 * each component; no supervisor states, no compaction. */
static void leaf_d(struct vcpu *v, uint32_t subleaf, struct cpuid_regs *r)
{
	uint64_t all = fpu_xcr0();

	if (subleaf > 1 && (subleaf > 62 || !(all >> subleaf & 1)))
		memset(r, 0, sizeof(*r));
	if (subleaf == 1)
		*r = (struct cpuid_regs){ .eax = r->eax & 1 }; /* XSAVEOPT */
	if (subleaf != 0)
		return;
	r->eax = (uint32_t)all;
	r->edx = (uint32_t)(all >> 32);
	r->ebx = r->ecx = 512 + 64; /* legacy area and header */
	for (unsigned i = 2; i < 63; i++) {
		struct cpuid_regs part;

		if (!(all >> i & 1))
			continue;
		part = cpuid(0xd, i);
		if (part.ebx + part.eax > r->ecx)
			r->ecx = part.ebx + part.eax;
		if (v->xcr0 >> i & 1 && part.ebx + part.eax > r->ebx)
			r->ebx = part.ebx + part.eax;
	}
	if (!all)
		memset(r, 0, sizeof(*r));
}

static void basic(struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
	switch (leaf) {
	case 0:
		r->eax = is_intel() ? MAX_BASIC : 0xd;
		break;
	case 1:
		leaf_1(v, r);
		break;
	case 2:
		break;
	case 4: /* caches: shared by nobody; how many core IDs there is room for; none on AMD */
		if (r->eax & 0x1f)
			r->eax = (r->eax & 0x3fff) | ((1u << id_bits(v->vm)) - 1) << 26;
		break;
	case 6:
		*r = (struct cpuid_regs){ .eax = BIT(2) }; /* ARAT */
		break;
	case 7:
		leaf_7(v, subleaf, r);
		break;
	case 0xb:
		leaf_b(v, subleaf, r);
		break;
	case 0xd:
		leaf_d(v, subleaf, r);
		break;
	case 0x15: /* TSC = crystal * EBX / EAX */
		*r = (struct cpuid_regs){ .eax = GUEST_APIC_TIMER_KHZ,
					  .ebx = (uint32_t)tsc_khz(),
					  .ecx = GUEST_APIC_TIMER_KHZ * 1000u };
		break;
	case 0x16:
		*r = (struct cpuid_regs){ .eax = (uint32_t)(tsc_khz() / 1000),
					  .ebx = (uint32_t)(tsc_khz() / 1000) };
		break;
	default:
		memset(r, 0, sizeof(*r));
		break;
	}
}

static void hypervisor(uint32_t leaf, struct cpuid_regs *r)
{
	memset(r, 0, sizeof(*r));
	switch (leaf) {
	case 0x40000000: /* KVM's signature: Linux keeps x2APIC for it */
		*r = (struct cpuid_regs){ 0x40000010, 0x4b4d564b, 0x564b4d56, 0x4d };
		break;
	case PVCLOCK_CPUID_FEATURES:
		r->eax = PVCLOCK_FEATURES;
		break;
	case 0x40000010: /* rates in kHz */
		r->eax = (uint32_t)tsc_khz();
		r->ebx = GUEST_APIC_TIMER_KHZ;
		break;
	case HC_CPUID_LEAF:
		r->eax = HC_VERSION;
		memcpy(&r->ebx, HC_SIGNATURE, 4);
		memcpy(&r->ecx, HC_SIGNATURE + 4, 4);
		memcpy(&r->edx, HC_SIGNATURE + 8, 4);
		break;
	default:
		break;
	}
}

static void extended(struct vcpu *v, uint32_t leaf, struct cpuid_regs *r)
{
	switch (leaf) {
	case 0x80000000:
		if (r->eax > MAX_EXTENDED)
			r->eax = MAX_EXTENDED;
		break;
	case 0x80000001:
		r->ecx &= EXT1_ECX;
		if (!is_intel() && v->vm->vcpu_count > 1)
			r->ecx |= EXT1_ECX_CMP_LEGACY;
		r->edx &= EXT1_EDX;
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
	case 0x80000005:
	case 0x80000006:
		break;
	case 0x80000007:
		*r = (struct cpuid_regs){ .edx = BIT(8) }; /* invariant TSC */
		break;
	case 0x80000008:
		*r = (struct cpuid_regs){ .eax = r->eax & 0xffff };
		if (!is_intel()) /* AMD: cores, and how wide their number is in the APIC ID */
			r->ecx = (v->vm->vcpu_count - 1) | id_bits(v->vm) << 12;
		break;
	default:
		memset(r, 0, sizeof(*r));
		break;
	}
}

struct cpuid_regs guest_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r = cpuid(leaf, subleaf);

	if (leaf >> 28 == 4)
		hypervisor(leaf, &r);
	else if (leaf >> 28 == 8)
		extended(v, leaf, &r);
	else
		basic(v, leaf, subleaf, &r);
	return r;
}
