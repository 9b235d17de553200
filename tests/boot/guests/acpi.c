/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Are the ACPI tables whole, and what do they say? Prints each as hexadecimal text between
 * "acpi: begin SIGNATURE BYTES" and "acpi: end", for iasl on the host.
 */
#include <stddef.h>

#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/pci.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "tests/boot/guests/check.h"

enum { FADT_FLAGS = 112, FADT_HW_REDUCED = 1 << 20, FADT_RESET = 1 << 10 };
enum { MADT_FIRST = 44, MADT_LOCAL_APIC = 0, MADT_IO_APIC = 1 };
enum { LINE_BYTES = 32 };

static void dump(const struct acpi_header *table)
{
	const uint8_t *at = (const uint8_t *)table;
	char line[2 * LINE_BYTES + 1];

	print("acpi: begin %c%c%c%c %u\n", table->signature[0], table->signature[1],
	      table->signature[2], table->signature[3], table->length);
	for (uint32_t i = 0; i < table->length; i += LINE_BYTES) {
		uint32_t n = table->length - i < LINE_BYTES ? table->length - i : LINE_BYTES;

		for (uint32_t k = 0; k < n; k++) {
			line[2 * k] = "0123456789abcdef"[at[i + k] >> 4];
			line[2 * k + 1] = "0123456789abcdef"[at[i + k] & 15];
		}
		line[2 * n] = '\0';
		print("%s\n", line);
	}
	print("acpi: end\n");
}

static bool madt_has(uint8_t type, uint8_t apic_id)
{
	const struct acpi_header *madt = acpi_table("APIC");
	const uint8_t *at = (const uint8_t *)madt;

	if (!madt)
		return false;
	for (uint32_t i = MADT_FIRST; i + 8 <= madt->length && at[i + 1] >= 2; i += at[i + 1]) {
		if (at[i] == type && (type != MADT_LOCAL_APIC || at[i + 3] == apic_id))
			return true;
	}
	return false;
}

static uint32_t fadt_flags(void)
{
	const char *fadt = acpi_table("FACP");
	uint32_t flags = 0;

	if (fadt)
		memcpy(&flags, fadt + FADT_FLAGS, 4);
	return flags;
}

int guest_main(void)
{
	const struct acpi_header *table = acpi_table_at(0), *dsdt = acpi_table("DSDT");
	bool sums = true;

	check(table != NULL, "root", "RSDP and XSDT are there, their checksums right");
	for (unsigned i = 0; (table = acpi_table_at(i)); i++) {
		sums &= acpi_sum_ok(table, table->length);
		dump(table);
	}
	if (check(dsdt != NULL, "dsdt", "the FADT names the DSDT")) {
		sums &= acpi_sum_ok(dsdt, dsdt->length);
		dump(dsdt);
	}
	check(sums, "checksums", "all tables add up to 0");
	check(fadt_flags() & FADT_HW_REDUCED, "hw-reduced", "the FADT says hardware-reduced");
	check(fadt_flags() & FADT_RESET, "reset", "the FADT has a reset register");
	check(madt_has(MADT_LOCAL_APIC, (uint8_t)lapic_id()), "madt", "the MADT lists this CPU");
	check(madt_has(MADT_IO_APIC, 0), "io-apic", "the MADT has an I/O APIC");
	check(pci_ecam() && !(pci_ecam() & 0xfffff), "mcfg", "the MCFG names an aligned ECAM");
	return check_status();
}
