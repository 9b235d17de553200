/* SPDX-License-Identifier: BSD-2-Clause */
/* What lasthop uses of a CPU, VT-x or SVM included. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/cpu/feature.h"
#include "hv/cpu/vmx/caps.h"
#include "hv/cpu/x86.h"

/* All that is looked at, without what differs between the CPUs of one machine. */
struct cpu_facts {
	struct cpuid_regs basic, extended, power,
		svm;	     /* leaves 1, 8000_0001h, 8000_0007h, 8000_000Ah */
	uint32_t structured; /* leaf 7: EBX */
	bool msrs;	     /* those that follow are known */
	uint64_t feature_control, vm_cr;
	struct vmx_caps vmx;
};

/* One of the MSRs of this CPU that it has by its CPUID; false: it may not be read. */
typedef bool read_msr_fn(void *context, uint32_t msr, uint64_t *value);

/* Of the CPU that this runs on. */
void cpu_facts_read(struct cpu_facts *facts, read_msr_fn *read_msr, void *context);

/* Reports each feature. differing: how many other CPUs have other facts. */
void cpu_features(const struct cpu_facts *facts, unsigned cpus, unsigned differing,
		  feature_fn *report, void *context);
