/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration space of the machine's own PCI functions, segment 0 (PCI Local Bus Specification
 * 3.0, 3.2.2.3; PCI Express Base 4.0, 7.2.2): by ECAM where an MCFG table tells its place, else by
 * ports 0xCF8 and 0xCFC, which reach the first 256 bytes. Any CPU, after acpi_init().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Requester ID: what a device's transactions, DMAR scopes and IOMMU tables call it. */
struct pci_address {
	uint8_t bus;
	uint8_t devfn; /* device << 3 | function */
};

#define PCI_ADDRESS_FORMAT  "%02x:%02x.%u"
#define PCI_ADDRESS_ARGS(a) (a).bus, (a).devfn >> 3, (a).devfn & 7u

static inline uint16_t pci_requester(struct pci_address a)
{
	return (uint16_t)(a.bus << 8 | a.devfn);
}

/* bytes: 1, 2 or 4, at aligned to it and below 4096. What is not there reads all ones. */
uint32_t host_pci_read(struct pci_address address, unsigned at, unsigned bytes);
void host_pci_write(struct pci_address address, unsigned at, unsigned bytes, uint32_t value);
