/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration space: registers at random, BARs over other devices, over RAM and over each other,
 * MSI-X with wild messages, the window of VIRTIO_PCI_CAP_PCI_CFG, CF8/CFC.
 */
#include "guest/abuse/abuse.h"
#include "guest/lib/cpu.h"
#include "guest/lib/pci.h"
#include "guest/lib/virtio_pci.h"

enum { BARS = 6, ADDRESS_PORT = 0xcf8, DATA_PORT = 0xcfc, CAP_PCI_WINDOW = 5, MSIX_CONTROL = 2 };

static struct {
	bool known;
	uint32_t bar[BARS];
} original[256];

/* A device that is there, more often than not. */
static unsigned some_function(void)
{
	return one_in(6) ? (unsigned)random_below(256) : (unsigned)random_below(4) * 8;
}

static void remember(unsigned devfn)
{
	if (original[devfn].known)
		return;
	original[devfn].known = true;
	for (unsigned i = 0; i < BARS; i++)
		original[devfn].bar[i] = pci_read32(devfn, PCI_BAR0 + 4 * i);
}

static void wild_register(unsigned devfn)
{
	uint64_t at = pci_ecam() + (devfn << 12) + random_below(one_in(4) ? 4096 : 256);

	switch (random_below(6)) {
	case 0:
		mmio_write8(at, (uint8_t)random_value());
		break;
	case 1:
		mmio_write16(at, (uint16_t)random_value());
		break;
	case 2:
		mmio_write32(at, (uint32_t)random_value());
		break;
	case 3:
		mmio_write64(at, random_value());
		break;
	case 4:
		(void)mmio_read64(at);
		break;
	default:
		(void)mmio_read8(at);
	}
}

static void bars(unsigned devfn)
{
	static const uint32_t places[] = { 0,	       0xffffffff, 0xc0000000, 0xdffff000,
					   0xdfffc000, 0xe0000000, 0xfec00000, 0xfee00000,
					   0x3f8,      0xcf8,	   0x600,      0x1000,
					   0xfff0,     0x10000,	   0x00100000, 0xc0004000 };

	for (unsigned i = 0; i < BARS; i++) {
		uint32_t base = places[random_below(sizeof(places) / sizeof(places[0]))];

		if (one_in(3))
			base = original[8].bar[random_below(BARS)]; /* another's place */
		pci_write32(devfn, PCI_BAR0 + 4 * i, base);
		if (one_in(2))
			pci_write16(devfn, PCI_COMMAND, (uint16_t)random_u64());
		if (base >= 0xc0000000 && base < 0xe0000000)
			(void)mmio_read32(base & ~0xfu);
		else if (base >= 0x1000 && base < 0x10000)
			(void)in32((uint16_t)base & 0xfffc);
	}
	pci_write16(devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

static void msix(unsigned devfn)
{
	uint8_t cap = pci_capability(devfn, PCI_CAP_MSIX, 0);
	struct pci_region table;
	uint32_t where;

	if (!cap)
		return;
	where = pci_read32(devfn, cap + 4u);
	if (!pci_region(devfn, where & 7, where & ~7u, &table) || table.io)
		return;
	for (unsigned i = 0; i < 20; i++) {
		uint32_t at = (uint32_t)random_below(one_in(3) ? 4096 : 64);
		uint32_t value = (uint32_t)random_value();

		if (at % 16 < 4 && one_in(2))
			value = 0xfee00000 | (uint32_t)(random_u64() & 0xff00c);
		region_write32(&table, at & (one_in(8) ? ~0u : ~3u), value);
		if (one_in(4))
			(void)region_read8(&table, at);
		pci_write16(devfn, cap + MSIX_CONTROL, (uint16_t)random_u64());
	}
}

static void window(unsigned devfn)
{
	uint8_t at = 0;

	do {
		at = pci_capability(devfn, PCI_CAP_VENDOR, at);
	} while (at && pci_read8(devfn, at + 3u) != CAP_PCI_WINDOW);
	if (!at)
		return;
	for (unsigned i = 0; i < 16; i++) {
		pci_write32(devfn, at + 4u,
			    one_in(4) ? (uint32_t)random_value() : (uint32_t)random_below(6));
		pci_write32(devfn, at + 8u,
			    (uint32_t)(one_in(4) ? random_value() : random_below(0x4000)));
		pci_write32(devfn, at + 12u,
			    (uint32_t)(one_in(4) ? random_value() : 1ull << random_below(4)));
		if (one_in(2))
			(void)pci_read32(devfn, at + 16u);
		else
			pci_write32(devfn, at + 16u, (uint32_t)random_value());
	}
}

static void ports(unsigned devfn)
{
	for (unsigned i = 0; i < 16; i++) {
		uint16_t data = (uint16_t)(DATA_PORT + random_below(4));

		out32(ADDRESS_PORT,
		      (uint32_t)random_u64() & (one_in(2) ? ~0u : 0x7f000000u | 0xff));
		out32(ADDRESS_PORT, 0x80000000u | devfn << 8 | (uint32_t)random_below(256));
		switch (random_below(3)) {
		case 0:
			out32(data, (uint32_t)random_value());
			break;
		case 1:
			out8(data, (uint8_t)random_value());
			break;
		default:
			(void)in32(data);
		}
	}
}

void act_pci(void)
{
	static void (*const acts[])(unsigned) = { wild_register, bars, msix, window, ports };

	for (unsigned i = 0; i < 4; i++) {
		unsigned devfn = some_function();

		remember(devfn);
		acts[random_below(sizeof(acts) / sizeof(acts[0]))](devfn);
	}
}

void mend_pci(void)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		if (!original[devfn].known || pci_read16(devfn, PCI_VENDOR) == 0xffff)
			continue;
		pci_write16(devfn, PCI_COMMAND, 0);
		for (unsigned i = 0; i < BARS; i++)
			pci_write32(devfn, PCI_BAR0 + 4 * i, original[devfn].bar[i]);
		pci_write16(devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	}
}
