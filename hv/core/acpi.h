/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's ACPI tables (ACPI 6.5, 5.2): RSDP, XSDT or RSDT, MADT, MCFG, FADT, DMAR. Signature,
 * length and checksum are verified before a table is believed.
 */
#pragma once

#include <stdint.h>

#include "hv/core/fail.h"
#include "hv/core/percpu.h"

#define MAX_IOAPICS   16
#define MAX_OVERRIDES 16 /* one an ISA interrupt */

/* Bits 1:0 of an override's flags: polarity; 11b: active low, 01b: active high (5.2.12.5). */
#define ACPI_POLARITY	   0x3u
#define ACPI_POLARITY_HIGH 0x1u
#define ACPI_POLARITY_LOW  0x3u

struct acpi_info {
	unsigned cpu_count; /* enabled (or online-capable ones are not counted) */
	uint32_t apic_ids[MAX_CPUS];
	uint64_t lapic_base;
	uint64_t ecam_base; /* 0: no MCFG, use CF8/CFC */
	uint8_t ecam_start_bus, ecam_end_bus;
	unsigned ioapic_count;
	struct {
		uint8_t id;
		uint32_t base;	   /* of its registers */
		uint32_t gsi_base; /* its pin 0 */
	} ioapics[MAX_IOAPICS];
	unsigned override_count;
	struct {
		uint8_t irq; /* ISA */
		uint32_t gsi;
		uint16_t flags;
	} overrides[MAX_OVERRIDES];
	uint16_t pm_timer_port; /* 0: none */
	uint16_t reset_port;	/* where to write reset_value; 0: not to a port */
	uint64_t reset_address; /* 0: not to memory */
	uint8_t reset_value;
	bool has_8259;	  /* MADT PCAT_COMPAT: mask both */
	const void *dmar; /* NULL: no DMAR table. Its devices' file (hv/dev/dmar.h) reads it */
	uint32_t dmar_bytes;
};

extern struct acpi_info acpi;

/* Fills `acpi`; a table that lies is left out, with a log line. Without an RSDP or a MADT: an error that says so. */
int acpi_init(uint64_t rsdp) __must_check;
