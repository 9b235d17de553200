/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual clock (Linux: Documentation/virt/kvm/x86/msr.rst), of which we offer what a
 * steady TSC needs: Linux takes the TSC's rate and the time of day from it. The features, in one
 * leaf with others of KVM's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

#define PVCLOCK_CPUID_FEATURES 0x40000001u
/* EAX there: old and new clock MSRs (0, 3), no delay after port I/O (1), one clock for all vCPUs
 * (24); EOI without a VM exit (6: hv/dev/vlapic_eoi.c) */
#define PVCLOCK_FEATURES       (1u << 0 | 1u << 1 | 1u << 3 | 1u << 6 | 1u << 24)

bool pvclock_msr_owned(uint32_t msr);
uint64_t pvclock_read(const struct vcpu *vcpu, uint32_t msr);

/* False: #GP, the structure would not lie in RAM. */
bool pvclock_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* ns = (ticks << *shift) * *mul >> 32, a negative shift being one to the right. */
void pvclock_scale(uint64_t khz, uint32_t *mul, int8_t *shift);
