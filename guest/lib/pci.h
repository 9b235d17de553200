/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration space of bus 0 by ECAM, whose place the MCFG table tells; BARs; MSI-X. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_CLASS = 0x08,
	PCI_HEADER = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM = 0x2e,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
};

enum {
	PCI_COMMAND_IO = 1,
	PCI_COMMAND_MEMORY = 2,
	PCI_COMMAND_MASTER = 4,
	PCI_COMMAND_NO_INTX = 0x400,
	PCI_STATUS_CAPABILITIES = 0x10,
	PCI_CAP_MSIX = 0x11,
	PCI_CAP_VENDOR = 0x09,
};

/* Device and function as in ECAM: device << 3 | function. */
uint64_t pci_ecam(void); /* 0: none. Its first byte for bus 0 */
uint8_t pci_read8(unsigned devfn, unsigned offset);
uint16_t pci_read16(unsigned devfn, unsigned offset);
uint32_t pci_read32(unsigned devfn, unsigned offset);
void pci_write16(unsigned devfn, unsigned offset, uint16_t value);
void pci_write32(unsigned devfn, unsigned offset, uint32_t value);

/* The index'th function with this vendor and device on bus 0; false: there are not so many. */
bool pci_find(uint16_t vendor, uint16_t device, unsigned index, unsigned *devfn);

/* The first capability of this id after `after` (0: from the beginning), or 0. */
uint8_t pci_capability(unsigned devfn, uint8_t id, uint8_t after);

/* A place in a BAR, of either kind. */
struct pci_region {
	bool io;
	uint64_t base;
};

/* False: the BAR is not implemented or holds no address. */
bool pci_region(unsigned devfn, unsigned bar, uint32_t offset, struct pci_region *region);

uint8_t region_read8(const struct pci_region *r, uint32_t offset);
uint16_t region_read16(const struct pci_region *r, uint32_t offset);
uint32_t region_read32(const struct pci_region *r, uint32_t offset);
void region_write8(const struct pci_region *r, uint32_t offset, uint8_t value);
void region_write16(const struct pci_region *r, uint32_t offset, uint16_t value);
void region_write32(const struct pci_region *r, uint32_t offset, uint32_t value);

/* Programs entries 0.. of the MSI-X table with these vectors for this CPU and switches MSI-X on.
 * False: no capability, or fewer entries. */
bool pci_msix(unsigned devfn, const uint8_t *vectors, unsigned count);
