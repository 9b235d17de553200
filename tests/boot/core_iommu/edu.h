/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's device "edu" (its docs/specs/edu.txt), which does DMA and sends interrupts as it is told:
 * here by the core, so that it is both the device and its attacker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/host_pci.h"

/* Finds it on bus 0 and makes it bus master; false: there is none. */
bool edu_find(struct pci_address *address);

/* `words` of 64 bits from a device address into its buffer, or from there. Panics if it does not
 * end. */
void edu_read(uint64_t address, unsigned words);
void edu_write(uint64_t address, unsigned words);

/* Its interrupt by this message; without one by its pin, which stays asserted until edu_calm(). */
void edu_use_msi(uint64_t address, uint32_t data);
void edu_use_pin(void);
void edu_interrupt(void);
void edu_calm(void);
