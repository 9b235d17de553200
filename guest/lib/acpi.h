/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI tables, as far as guests need them: RSDP to XSDT (or RSDT), a table by its signature. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct acpi_header { /* ACPI 6.5 table 5.4 */
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision, creator_id, creator_revision;
};

void acpi_init(uint64_t rsdp);

/* The table's first byte, its checksum verified; NULL if there is none (or none that is whole).
 * "DSDT" and "FACS" are found by way of the FADT. */
const void *acpi_table(const char *signature);

/* Table i of the XSDT; NULL past the last. Its checksum may be wrong. */
const struct acpi_header *acpi_table_at(unsigned i);

bool acpi_sum_ok(const void *table, uint32_t bytes);
