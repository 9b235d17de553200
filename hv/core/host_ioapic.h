/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's I/O APICs (82093AA data sheet; MADT): the pins that INTx of PCI devices comes in by. A
 * pin is one device's; all others stay masked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/fail.h"

/* Finds them and masks all pins. Once, after acpi_init(). */
void host_ioapic_init(void);

/* The pin behind what firmware writes into a PCI Interrupt Line register: an ISA interrupt. */
unsigned host_ioapic_gsi(uint8_t line);

/* Takes the pin for a device; an error, told, if there is none of that number or it is taken. *id is
 * its I/O APIC's. */
int host_ioapic_take(unsigned gsi, const char *owner, uint8_t *id) __must_check;
void host_ioapic_give_back(unsigned gsi); /* masked */

/* Whether a pin is there and nobody's. */
bool host_ioapic_free(unsigned gsi);

/* Writes the redirection entry of a pin that was taken, masked, with the polarity that the MADT tells. */
void host_ioapic_write(unsigned gsi, uint64_t redirection);

/* One for a machine without interrupt remapping, whose APIC IDs have 8 bits: a level's (PCI) or an edge's
 * (ISA). */
uint64_t host_ioapic_plain(uint8_t vector, uint32_t apic_id, bool level);

/* Masks the pin, or lets it send; any CPU. */
void host_ioapic_mask(unsigned gsi, bool masked);
