/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs as a guest sees them. First a device's (local APIC), then the control block's, then the few
 * here; any other is #GP and a log line (limited: a guest can cause it).
 */
#include "hv/core/platform.h"
#include "hv/core/pvclock.h"
#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"

#define MSR_PLATFORM_ID		 0x17
#define MSR_SMI_COUNT		 0x34
#define MSR_PPIN_CTL		 0x4e
#define MSR_MISC_FEATURE_ENABLES 0x140
#define MSR_MCG_CAP		 0x179
#define MSR_PPERF		 0x64e
#define MSR_AMD_NODE_CONFIG	 0xc001001d
#define MSR_AMD_PERF_SELECT	 0xc0010000
#define MSR_AMD_NB_CONFIG	 0xc001001f
#define MSR_AMD_LS_CONFIG	 0xc0011020
#define MSR_AMD_FP_CONFIG	 0xc0011028
#define MSR_AMD_DE_CONFIG	 0xc0011029
#define NB_CF8_EXTENDED		 BIT(46) /* Linux sets it unless it is set, and may not fail to */
#define HWCR_TSC_FREQ_SEL	 BIT(24) /* the TSC counts at constant rate */

/* Read-only ones, and those whose writes are harmless to ignore. */
static bool fixed(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_MISC_ENABLE:
		*value = v->vm->config->no_fast_strings ? 0 : MISC_ENABLE_FAST_STRING;
		return true;
	case MSR_AMD64_HWCR:
		*value = HWCR_TSC_FREQ_SEL;
		return true;
	case MSR_AMD_NB_CONFIG:
		*value = NB_CF8_EXTENDED;
		return true;
	case MSR_PLATFORM_ID:
	case MSR_BIOS_SIGN_ID:
	case MSR_MTRRCAP:
	case MSR_MTRR_DEF_TYPE:
	case MSR_AMD64_SYSCFG:
	case MSR_AMD_NODE_CONFIG:
		*value = 0;
		return true;
	default:
		return false;
	}
}

/* Linux tries these, and takes #GP for "not there", which is right: not worth a line. They work
 * around faults of certain parts, or count; ignoring writes would feign that. */
static bool tried_by_all(uint32_t msr)
{
	switch (msr) {
	case MSR_SMI_COUNT:
	case MSR_FEATURE_CONTROL:
	case MSR_PPIN_CTL:
	case MSR_MCG_CAP:
	case MSR_MISC_FEATURE_ENABLES:
	case MSR_PPERF:
	case MSR_AMD_PERF_SELECT:
	case MSR_AMD_LS_CONFIG:
	case MSR_AMD_FP_CONFIG:
	case MSR_AMD_DE_CONFIG:
		return true;
	default:
		return false;
	}
}

bool guest_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	if (platform->msr_owned(msr))
		return platform->msr_read(v, msr, value);
	if (pvclock_msr_owned(msr)) {
		*value = pvclock_read(v, msr);
		return true;
	}
	if (msr == MSR_TSC) {
		*value = rdtsc() + v->vm->tsc_offset;
		return true;
	}
	if (hvm->msr(v, msr, false, value) || fixed(v, msr, value))
		return true;
	if (tried_by_all(msr))
		return false;
	log_limited(&v->vm->log_limit, "vm %s: reads MSR 0x%x, which it has not: #GP",
		    v->vm->config->name, msr);
	return false;
}

bool guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint64_t now;

	if (platform->msr_owned(msr))
		return platform->msr_write(v, msr, value);
	if (pvclock_msr_owned(msr) ? pvclock_write(v, msr, value) : hvm->msr(v, msr, true, &value))
		return true;
	if (fixed(v, msr, &now) && msr != MSR_MTRRCAP && msr != MSR_PLATFORM_ID)
		return true;
	log_limited(&v->vm->log_limit, "vm %s: writes 0x%llx to MSR 0x%x, refused: #GP",
		    v->vm->config->name, (unsigned long long)value, msr);
	return false;
}
