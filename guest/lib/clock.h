/* SPDX-License-Identifier: BSD-2-Clause */
/* Time: the TSC, and sleeping until an interrupt or a moment. */
#pragma once

#include <stdint.h>

/* Finds the rates. lapic_init() and acpi_init() come before. */
void clock_init(void);

uint64_t clock_tsc_khz(void);
uint64_t clock_apic_khz(void);	/* counts of the APIC timer at divide-by-1 */
const char *clock_source(void); /* who told the TSC's rate */

uint64_t clock_ms(uint64_t ms); /* in TSC ticks */
uint64_t clock_us(uint64_t us);
uint64_t clock_ns(uint64_t ticks); /* TSC ticks in ns */

/* Nanoseconds since 1970 by the hypervisor's clock, the same for all of its VMs (Linux,
 * Documentation/virt/kvm/x86/msr.rst); 0: there is no such clock. */
uint64_t clock_wall_ns(void);

/*
 * Sleeps until an interrupt comes, or the TSC reaches deadline, or earlier: the caller looks again
 * what is new. To be called with interrupts off, after that look. The timer is left alone while it
 * is armed for an earlier moment, so that waits with far deadlines cost no timer access.
 */
void clock_wait(uint64_t deadline);
