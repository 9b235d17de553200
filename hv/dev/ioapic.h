/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's I/O APIC (82093AA data sheet, with the EOI register of version 0x20): 24 pins, edge
 * and level. Any CPU; one lock; messages leave outside of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/lock.h"
#include "hv/dev/bus.h"

#define IOAPIC_PINS 24

struct vm;

/* What drives a pin that others than our own devices raise: told when the guest has ended the service of
 * it, with the line low again. Without the lock. */
struct ioapic_source {
	void (*ended)(struct ioapic_source *source);
};

/* (c) constant [i] under lock */
struct ioapic {
	struct spinlock lock;
	struct vm *vm; /* (c) */
	struct bus_region region;
	uint8_t select, id;			   /* [i] */
	uint32_t line;				   /* [i] level of each pin's input */
	uint64_t redirection[IOAPIC_PINS];	   /* [i] */
	struct ioapic_source *source[IOAPIC_PINS]; /* (c) once the guest runs; NULL: none */
};

int ioapic_init(struct ioapic *ioapic, struct vm *vm, struct bus *memory);

/* Sets a pin's input. An edge-triggered pin sends when it rises, a level-triggered one while high. */
void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool high);

/* A local APIC ended the service of a level-triggered vector. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
