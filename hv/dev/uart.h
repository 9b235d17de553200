/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's serial port: a 16550 (PC16550D data sheet) whose transmitter is always ready. What it
 * sends goes to the VM's console lines in the log. Nothing is ever received, but in loop-back mode.
 */
#pragma once

#include <stdint.h>

#include "hv/core/lock.h"
#include "hv/dev/bus.h"
#include "hv/dev/ioapic.h"

/* (c) constant [u] under lock */
struct uart {
	struct spinlock lock;
	const char *name;         /* (c) the VM's */
	struct ioapic *ioapic;    /* (c) */
	struct bus_region region;
	uint8_t ier, fcr, lcr, mcr, scratch; /* [u] */
	uint16_t divisor;         /* [u] */
	uint8_t received;         /* [u] in loop-back mode */
	bool have_received;       /* [u] */
	bool transmit_irq;        /* [u] "transmitter holding register empty" not yet read from IIR */
	char line[256];           /* [u] of console text, until its end */
	unsigned line_fill;       /* [u] */
};

int uart_init(struct uart *uart, const char *name, struct ioapic *ioapic, struct bus *io);

/* The end of the VM: text without a line end comes out as well. */
void uart_finish(struct uart *uart);
