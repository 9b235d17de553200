/* SPDX-License-Identifier: BSD-2-Clause */
/* The rate of the clock that drives a guest's local APIC timer at divide by 1. CPUID 15h and
 * 0x40000010 tell it, hv/dev/vlapic.c keeps to it. */
#pragma once

#define GUEST_CRYSTAL_KHZ 1000000u
