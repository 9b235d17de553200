/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's ACPI tables (ACPI 6.4, hardware-reduced): RSDP, XSDT, FADT, MADT, MCFG, an SSDT with
 * a processor device per vCPU, and the DSDT that iasl compiled (hv/dev/dsdt.asl).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The compiled DSDT: a generated file. */
extern const unsigned char dsdt_aml[];
extern const size_t dsdt_aml_bytes;

/* Writes all tables to `to` (zeroed, `room` bytes), which the guest sees at gpa; the RSDP is at its
 * start. Returns the bytes used; 0: no room. */
size_t acpi_tables_write(void *to, size_t room, uint64_t gpa, unsigned vcpus);
