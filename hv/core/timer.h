/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: the TSC, its rate, and one-shot timers per CPU on the local APIC's timer (TSC deadline
 * where there is one). A timer fires on the CPU that set it, from the interrupt handler or the
 * next timer_poll(), with interrupts off.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/list.h"

#define TIMER_NEVER (~0ull)

struct cpu;

struct timer {
	struct list node;
	uint64_t deadline_tsc;
	void (*fire)(struct timer *timer);
	struct cpu *cpu; /* on whose queue it is; NULL: not set */
};

/* Finds the TSC's rate: CPUID 15h/16h checked against the ACPI PM timer, else the PM timer; and
 * the local APIC timer's from that. After acpi_init() and lapic_init_cpu(). */
void timer_calibrate(void);
uint64_t tsc_khz(void);
uint64_t tsc_from_us(uint64_t us);
uint64_t tsc_to_ns(uint64_t ticks);

void timer_init_cpu(void);
void timer_init(struct timer *timer, void (*fire)(struct timer *));

/* (Re)arms on this CPU. timer_cancel() works from any CPU; afterwards it does not fire (it may
 * still be running on another CPU: fire() must tolerate that). */
void timer_set(struct timer *timer, uint64_t deadline_tsc);
void timer_cancel(struct timer *timer);

/* Fires what is due on this CPU; returns the next deadline, or TIMER_NEVER. */
uint64_t timer_poll(void);

/* Makes sure that a timer interrupt comes on this CPU at deadline_tsc at the latest (or at once if
 * it has passed): for a backend whose hardware cannot leave the guest by itself at a given time. */
void timer_interrupt_by(uint64_t deadline_tsc);

/* Busy wait; for hardware start-up only. */
void delay_us(uint64_t us);
