/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's serial port: a 16550 (PC16550D data sheet) whose transmitter is always ready. What it
 * sends goes to the VM's console, and its lines to hv/core/marker.c; what is typed there comes in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/lock.h"
#include "hv/dev/bus.h"
#include "hv/dev/ioapic.h"

#define UART_FIFO 16

struct vm;

/* (c) constant [u] under lock */
struct uart {
	struct spinlock lock;
	struct vm *vm;	       /* (c) */
	struct ioapic *ioapic; /* (c) */
	struct bus_region region;
	uint8_t ier, fcr, lcr, mcr, scratch; /* [u] */
	uint16_t divisor;		     /* [u] */
	uint8_t received[UART_FIFO];	     /* [u] received[first] on */
	uint8_t first, waiting;		     /* [u] */
	bool transmit_irq; /* [u] "transmitter holding register empty" not yet read from IIR */
};

int uart_init(struct uart *uart, struct vm *vm, struct ioapic *ioapic, struct bus *io);

/* A byte comes in; false: the guest has not taken the ones before. Any CPU. */
bool uart_receive(struct uart *uart, char c);

/* The end of the VM: text without a line end comes out as well. */
void uart_finish(struct uart *uart);
