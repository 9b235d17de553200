/* SPDX-License-Identifier: BSD-2-Clause */
/* See ioapic.h. Intel 82093AA data sheet, section 3; ACPI 6.5, 5.2.12.3 (MADT entry). */
#include "guest/lib/ioapic.h"

#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/string.h"

enum { MADT_FIRST = 44, MADT_IOAPIC = 1, MADT_IOAPIC_BYTES = 12 };
enum { SELECT = 0x00, WINDOW = 0x10 };		  /* 3.1 */
enum { REG_VERSION = 0x01, REG_REDIRECT = 0x10 }; /* 3.2; two registers a pin */
enum { PIN_ACTIVE_LOW = 1 << 13, PIN_LEVEL = 1 << 15 };

static uint32_t read_reg(uint64_t base, uint32_t reg)
{
	mmio_write32(base + SELECT, reg);
	return mmio_read32(base + WINDOW);
}

static void write_reg(uint64_t base, uint32_t reg, uint32_t value)
{
	mmio_write32(base + SELECT, reg);
	mmio_write32(base + WINDOW, value);
}

/* The I/O APIC that has this global interrupt, and which of its pins that is. */
static bool find(uint32_t gsi, uint64_t *base, uint32_t *pin)
{
	const struct acpi_header *madt = acpi_table("APIC");
	const uint8_t *at = (const uint8_t *)madt;
	uint32_t address, first;

	for (uint32_t i = MADT_FIRST; madt && i + 2 <= madt->length && at[i + 1] >= 2;
	     i += at[i + 1]) {
		if (at[i] != MADT_IOAPIC || i + MADT_IOAPIC_BYTES > madt->length)
			continue;
		memcpy(&address, at + i + 4, sizeof(address));
		memcpy(&first, at + i + 8, sizeof(first));
		if (gsi < first || gsi - first > (read_reg(address, REG_VERSION) >> 16 & 0xff))
			continue;
		*base = address;
		*pin = gsi - first;
		return true;
	}
	return false;
}

bool ioapic_route(uint32_t gsi, uint8_t vector)
{
	uint64_t base;
	uint32_t pin;

	if (!find(gsi, &base, &pin))
		return false;
	/* PCI's lines are level-triggered and active low (PCI 3.0, 2.2.6) */
	write_reg(base, REG_REDIRECT + 2 * pin + 1, lapic_id() << 24);
	write_reg(base, REG_REDIRECT + 2 * pin, PIN_LEVEL | PIN_ACTIVE_LOW | vector);
	return true;
}
