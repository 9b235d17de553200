/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI table DMAR (VT-d specification, chapter "BIOS Considerations"): which remapping unit is
 * where, which devices it covers, which of them firmware keeps memory for. Read whole into struct
 * dmar, since a table that is believed in half leaves devices uncovered: one that lies counts as
 * absent. Devices named by their path through bridges get the bus numbers that the bridges have.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/fail.h"
#include "hv/core/host_pci.h"

#define DMAR_MAX_UNITS	 32u
#define DMAR_MAX_SCOPES	 256u
#define DMAR_MAX_REGIONS 32u

enum dmar_scope_type { /* "Device Scope Structure", Type */
		       DMAR_ENDPOINT = 1,
		       DMAR_BRIDGE = 2, /* with all that is behind it */
		       DMAR_IOAPIC = 3,
		       DMAR_HPET = 4,
};

struct dmar_scope {
	uint8_t type;
	uint8_t id;		     /* of an I/O APIC or HPET: its ID in ACPI */
	struct pci_address at;	     /* its requester ID */
	uint8_t first_bus, last_bus; /* behind a bridge; none: first_bus > last_bus */
	bool reserved;		     /* of a region; else of a unit */
	uint8_t owner;		     /* its number */
};

struct dmar_unit {
	uint64_t base; /* of its registers */
	uint16_t segment;
	bool all; /* INCLUDE_PCI_ALL: what no other unit of the segment covers */
};

struct dmar_region { /* as the table has them: unchecked */
	uint64_t base, last;
};

struct dmar {
	bool interrupts; /* INTR_REMAP: the platform can remap interrupts */
	unsigned unit_count, region_count, scope_count;
	struct dmar_unit unit[DMAR_MAX_UNITS];
	struct dmar_region region[DMAR_MAX_REGIONS]; /* segment 0 only, as the scopes */
	struct dmar_scope scope[DMAR_MAX_SCOPES];
};

/* table: of `bytes`, header and checksum verified. An error, told: it lies, nothing counts. */
int dmar_parse(struct dmar *d, const void *table, size_t bytes) __must_check;

/* The unit that covers a device; -1: none. */
int dmar_unit_of(const struct dmar *d, struct pci_address device);

/* Firmware keeps memory for the device's DMA (RMRR). */
bool dmar_is_reserved(const struct dmar *d, struct pci_address device);

/* By what requester ID an I/O APIC or HPET sends its interrupts. */
bool dmar_source(const struct dmar *d, enum dmar_scope_type type, uint8_t id,
		 struct pci_address *source);
