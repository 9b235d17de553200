/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interrupts of the serial lines: ISA's IRQ 4 and 3, edges at a pin of an I/O APIC. A line that is
 * listened to tells once that something has come in, and is silent until it is listened to again: whatever
 * comes over it costs a bounded number of interrupts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/serial.h"

/* From now on this CPU gets `mail` in its mailbox when something comes in on that line, which is there. It is
 * tried out. False: no interrupt comes, the line is to be polled. Once, after host_ioapic_init(). */
bool serial_irq_start(enum serial_line line, uint32_t mail);

/* Listens: what has come in and was not read, or comes next, tells. On the CPU that started it; harmless on
 * a line without interrupts. */
void serial_irq_listen(enum serial_line line);

/* Its vector has come in. */
void serial_irq_came(enum serial_line line);
