/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's local APIC: x2APIC where present, xAPIC otherwise (SDM 3A, chapter "APIC"). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum host_vector {
	VECTOR_TIMER = 0xf0,
	VECTOR_IPI = 0xf1,    /* mailbox: nothing to do but to have left the guest or HLT */
	VECTOR_POSTED = 0xf2, /* a guest's posted interrupts; outside of it nothing to do either */
	VECTOR_SERIAL = 0xf3, /* of COM1; the next one is COM2's */
	VECTOR_SPURIOUS = 0xff, /* no EOI */
};

/* mmio: the mapped xAPIC page; not touched where x2APIC is present. Once, on the boot CPU. false:
 * there is neither. */
bool lapic_probe(void *mmio);
void lapic_init_cpu(void);
uint32_t lapic_id(void);
void lapic_eoi(void);
void lapic_send_ipi(uint32_t apic_id, uint8_t vector);
void lapic_interrupt_self(uint8_t vector);
void lapic_send_nmi(uint32_t apic_id);
void lapic_send_init(uint32_t apic_id);
void lapic_send_sipi(uint32_t apic_id, uint8_t page);

/* Timer: deadline in TSC ticks; TIMER_NEVER stops it. Uses TSC deadline mode where CPUID has it, else
 * the count-down timer at the rate lapic_timer_calibrate() found, which repeats until it is set anew. */
void lapic_timer_set(uint64_t deadline_tsc, uint64_t now_tsc);
void lapic_timer_calibrate(uint64_t tsc_khz);
bool lapic_is_x2apic(void);
