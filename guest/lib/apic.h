/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC: x2APIC where CPUID has it, else its memory window; EOI and the timer. The timer
 * runs by TSC deadline where that is offered, else as one-shot countdown.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	IRQ_TIMER = 0x40,
	IRQ_NET_RX = 0x41,
	IRQ_NET_TX = 0x42,
	IRQ_TEST = 0x50,
	IRQ_SPURIOUS = 0xff
};

/* Registers, as x2APIC MSR - 0x800, or offset in the window / 16 (SDM 3A table 11-6) */
enum {
	LAPIC_ID = 0x02,
	LAPIC_VERSION = 0x03,
	LAPIC_TPR = 0x08,
	LAPIC_EOI = 0x0b,
	LAPIC_SVR = 0x0f,
	LAPIC_ISR = 0x10,
	LAPIC_ICR = 0x30,      /* x2APIC: 64 bits */
	LAPIC_ICR_HIGH = 0x31, /* the window only */
	LAPIC_LVT_TIMER = 0x32,
	LAPIC_LVT_LINT0 = 0x35,
	LAPIC_TIMER_INITIAL = 0x38,
	LAPIC_TIMER_CURRENT = 0x39,
	LAPIC_TIMER_DIVIDE = 0x3e,
	LAPIC_SELF_IPI = 0x3f, /* x2APIC only */
};

enum {
	LVT_MASKED = 1 << 16,
	LVT_PERIODIC = 1 << 17,
	LVT_TSC_DEADLINE = 2 << 17,
	TIMER_DIVIDE_1 = 0xb,
};

#define MSR_APIC_BASE	 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC	 0x800u

void lapic_init(void);
uint32_t lapic_init_cpu(void); /* another CPU's; what its SVR was */
bool lapic_is_x2apic(void);
bool lapic_has_deadline(void);
uint32_t lapic_id(void);
uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t value);
void lapic_eoi(void);

/* One interrupt IRQ_TIMER, when the TSC has reached the value or soon after; one is pending at a
 * time, the last call counts. */
void timer_arm(uint64_t tsc);
void timer_stop(void);
uint64_t timer_armed(void); /* 0: not armed */
void timer_fired(void);	    /* told by the interrupt */
