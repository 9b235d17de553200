/* SPDX-License-Identifier: BSD-2-Clause */
/* Why VMRUN refuses a control block, in words. */
#pragma once

#include <stdint.h>

#include "hv/cpu/svm/vmcb.h"

/* What this machine allows in a guest's registers. */
struct svm_limits {
	uint64_t cr4, efer;    /* bits that may be set */
	uint64_t address_mask; /* bits of a physical address */
};

/* The machine's, from CPUID. */
struct svm_limits svm_limits(void);

/* The first of VMRUN's checks that vmcb fails, as a sentence; NULL: none that we know. */
const char *svm_check(const struct vmcb *vmcb, const struct svm_limits *limits);
