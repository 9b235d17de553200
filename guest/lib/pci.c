/* SPDX-License-Identifier: BSD-2-Clause */
/* See pci.h. PCI Express Base 4.0, 7.2.2 (ECAM), 7.5 (headers), 7.7.2 (MSI-X). */
#include "guest/lib/pci.h"

#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/string.h"

enum { MCFG_FIRST = 44, MSIX_CONTROL = 2, MSIX_TABLE = 4 };
enum { MSIX_ENABLE = 1 << 15, MSIX_MASK_ALL = 1 << 14, MSIX_ENTRY_BYTES = 16 };

uint64_t pci_ecam(void)
{
	const struct acpi_header *mcfg = acpi_table("MCFG");
	uint64_t base;

	if (!mcfg || mcfg->length < MCFG_FIRST + 16)
		return 0;
	memcpy(&base, (const char *)mcfg + MCFG_FIRST, sizeof(base));
	return base;
}

static uint64_t address(unsigned devfn, unsigned offset)
{
	static uint64_t ecam;

	if (!ecam)
		ecam = pci_ecam();
	return ecam + (devfn << 12) + offset;
}

uint8_t pci_read8(unsigned devfn, unsigned offset)
{
	return mmio_read8(address(devfn, offset));
}

uint16_t pci_read16(unsigned devfn, unsigned offset)
{
	return mmio_read16(address(devfn, offset));
}

uint32_t pci_read32(unsigned devfn, unsigned offset)
{
	return mmio_read32(address(devfn, offset));
}

void pci_write16(unsigned devfn, unsigned offset, uint16_t value)
{
	mmio_write16(address(devfn, offset), value);
}

void pci_write32(unsigned devfn, unsigned offset, uint32_t value)
{
	mmio_write32(address(devfn, offset), value);
}

bool pci_find(uint16_t vendor, uint16_t device, unsigned index, unsigned *devfn)
{
	if (!pci_ecam())
		return false;
	for (unsigned i = 0; i < 256; i++) {
		if (pci_read32(i, PCI_VENDOR) != ((uint32_t)device << 16 | vendor) || index--)
			continue;
		*devfn = i;
		return true;
	}
	return false;
}

uint8_t pci_capability(unsigned devfn, uint8_t id, uint8_t after)
{
	unsigned at;

	if (!(pci_read16(devfn, PCI_STATUS) & PCI_STATUS_CAPABILITIES))
		return 0;
	at = pci_read8(devfn, after ? after + 1u : PCI_CAPABILITIES) & 0xfc;
	for (unsigned i = 0; at >= 0x40 && i < 48; i++) {
		if (pci_read8(devfn, at) == id)
			return (uint8_t)at;
		at = pci_read8(devfn, at + 1) & 0xfc;
	}
	return 0;
}

bool pci_region(unsigned devfn, unsigned bar, uint32_t offset, struct pci_region *region)
{
	uint32_t low;
	uint64_t base;

	if (bar > 5)
		return false;
	low = pci_read32(devfn, PCI_BAR0 + 4 * bar);
	region->io = low & 1;
	base = region->io ? low & 0xfffc : low & ~0xfu;
	if (!region->io && (low & 6) == 4) {
		if (bar == 5)
			return false;
		base |= (uint64_t)pci_read32(devfn, PCI_BAR0 + 4 * bar + 4) << 32;
	}
	region->base = base + offset;
	return base != 0;
}

uint8_t region_read8(const struct pci_region *r, uint32_t offset)
{
	return r->io ? in8((uint16_t)(r->base + offset)) : mmio_read8(r->base + offset);
}

uint16_t region_read16(const struct pci_region *r, uint32_t offset)
{
	return r->io ? in16((uint16_t)(r->base + offset)) : mmio_read16(r->base + offset);
}

uint32_t region_read32(const struct pci_region *r, uint32_t offset)
{
	return r->io ? in32((uint16_t)(r->base + offset)) : mmio_read32(r->base + offset);
}

void region_write8(const struct pci_region *r, uint32_t offset, uint8_t value)
{
	if (r->io)
		out8((uint16_t)(r->base + offset), value);
	else
		mmio_write8(r->base + offset, value);
}

void region_write16(const struct pci_region *r, uint32_t offset, uint16_t value)
{
	if (r->io)
		out16((uint16_t)(r->base + offset), value);
	else
		mmio_write16(r->base + offset, value);
}

void region_write32(const struct pci_region *r, uint32_t offset, uint32_t value)
{
	if (r->io)
		out32((uint16_t)(r->base + offset), value);
	else
		mmio_write32(r->base + offset, value);
}

bool pci_msix(unsigned devfn, const uint8_t *vectors, unsigned count)
{
	uint8_t cap = pci_capability(devfn, PCI_CAP_MSIX, 0);
	struct pci_region table;
	uint16_t control;
	uint32_t where;

	if (!cap)
		return false;
	control = pci_read16(devfn, cap + MSIX_CONTROL);
	where = pci_read32(devfn, cap + MSIX_TABLE);
	if ((control & 0x7ffu) + 1 < count || !pci_region(devfn, where & 7, where & ~7u, &table))
		return false;
	pci_write16(devfn, cap + MSIX_CONTROL, control | MSIX_ENABLE | MSIX_MASK_ALL);
	for (unsigned i = 0; i < count; i++) {
		uint32_t entry = i * MSIX_ENTRY_BYTES;

		region_write32(&table, entry, 0xfee00000 | lapic_id() << 12);
		region_write32(&table, entry + 4, 0);
		region_write32(&table, entry + 8, vectors[i]); /* fixed, edge */
		region_write32(&table, entry + 12, 0);	       /* not masked */
	}
	pci_write16(devfn, cap + MSIX_CONTROL,
		    (uint16_t)((control & ~MSIX_MASK_ALL) | MSIX_ENABLE));
	return true;
}
