/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SVM's features (APM 3, CPUID 8000_000Ah "SVM Features") and the MSRs that switch it on (APM 2,
 * "SVM Related MSRs"). Shared with the loader: nothing but bits.
 */
#pragma once

#include "hv/cpu/feature.h"
#include "hv/cpu/msr.h"

#define CPUID_SVM_LEAF	    0x8000000au
#define SVM_EBX_ASIDS(ebx)  (ebx) /* 8000_000A:EBX, number of ASIDs, 0 included */
#define SVM_EDX_NP	    BIT(0)
#define SVM_EDX_LOCK	    BIT(2)
#define SVM_EDX_NRIP	    BIT(3)
#define SVM_EDX_DECODE	    BIT(7)
#define SVM_EDX_PAUSE	    BIT(10)
#define SVM_EDX_PAUSE_LIMIT BIT(12)

#define CPUID_80000001_EDX_PAGE1G BIT(26)
#define CPUID_80000001_EDX_RDTSCP BIT(27)

#define MSR_VM_CR	0xc0010114
#define VM_CR_SVMDIS	BIT(4)
#define MSR_VM_HSAVE_PA 0xc0010117

/* Reports each feature that lasthop uses; leaf: CPUID_SVM_LEAF; known: VM_CR could be read. Pure. */
void svm_features(const struct cpuid_regs *leaf, bool known, uint64_t vm_cr, feature_fn *report,
		  void *context);
