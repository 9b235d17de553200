/* SPDX-License-Identifier: BSD-2-Clause */
/* MSR numbers and bits (SDM 4, APM 2 appendix A). Backends add their own beside their code. */
#pragma once

#include <stdbool.h>

#include "hv/cpu/x86.h"

#define MSR_TSC			0x10
#define MSR_APIC_BASE		0x1b
#define APIC_BASE_BSP		BIT(8)
#define APIC_BASE_X2APIC	BIT(10)
#define APIC_BASE_ENABLE	BIT(11)
#define MSR_FEATURE_CONTROL	0x3a
#define MSR_TSC_ADJUST		0x3b
#define MSR_BIOS_SIGN_ID	0x8b
#define MSR_MTRRCAP		0xfe
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_FAST_STRING BIT(0)
#define MSR_PAT			0x277
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_KVM_EOI		0x4b564d04 /* paravirtual: hv/dev/vlapic_eoi.c */
#define MSR_X2APIC_FIRST	0x800
#define MSR_X2APIC_LAST		0x8ff
#define MSR_X2APIC_TPR		0x808
#define MSR_X2APIC_EOI		0x80b
#define MSR_X2APIC_ICR		0x830
#define MSR_X2APIC_SELF_IPI	0x83f
#define MSR_XSS			0xda0
#define MSR_EFER		0xc0000080
#define EFER_SCE		BIT(0)
#define EFER_LME		BIT(8)
#define EFER_LMA		BIT(10)
#define EFER_NXE		BIT(11)
#define EFER_SVME		BIT(12)
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_FMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103
#define MSR_AMD64_SYSCFG	0xc0010010
#define MSR_AMD64_HWCR		0xc0010015

/* Control registers (SDM 3A, "Control Registers") */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_TSD	       BIT(2)
#define CR4_DE	       BIT(3)
#define CR4_PSE	       BIT(4)
#define CR4_PAE	       BIT(5)
#define CR4_MCE	       BIT(6)
#define CR4_PGE	       BIT(7)
#define CR4_PCE	       BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)

/* What a guest may set in CR4, as far as the CPU has it: what CPUID shows it (guest_cpuid.c) and the
 * core's page walker knows. Each of the others switches something on that nobody switches between
 * guests (PKRU, CET's MSRs), or that CPUID denies: a guest's #GP. */
#define CR4_GUEST                                                                                  \
	(CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR |         \
	 CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)

/* The upper bits are all as the highest that is used: with 48 bits of address, or so many. */
static inline bool canonical_in(uint64_t address, unsigned bits)
{
	return (uint64_t)((int64_t)(address << (64 - bits)) >> (64 - bits)) == address;
}

static inline bool canonical(uint64_t address)
{
	return canonical_in(address, 48);
}

/* SDM 3A, table "Memory Types That Can Be Encoded With PAT": each byte 0, 1, 4, 5, 6 or 7. */
static inline bool pat_valid(uint64_t pat)
{
	for (unsigned i = 0; i < 8; i++, pat >>= 8)
		if ((pat & 0xff) > 7 || (pat & 0xfe) == 2)
			return false;
	return true;
}

#define RFLAGS_FIXED 0x2u
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_RF    BIT(16)

#define DR6_BS BIT(14) /* a single step */
#define DR7_GD BIT(13)
