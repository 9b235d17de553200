/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/boot/core_iommu/edu.h"

#include "hv/core/fail.h"
#include "hv/core/paging.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

#define EDU_ID	  0x11e81234u
#define BAR_BYTES (1u << 20)
#define LIMIT_US  10000000u

enum { /* of its BAR */
       IRQ_RAISE = 0x60,
       IRQ_ACK = 0x64,
       DMA_FROM = 0x80,
       DMA_TO = 0x88,
       DMA_BYTES = 0x90,
       DMA_ORDER = 0x98,
       BUFFER = 0x40000,
};
enum { DMA_RUN = 1, DMA_TO_MEMORY = 2 };

enum { /* of configuration space */
       PCI_ID = 0x00,
       PCI_COMMAND = 0x04,
       PCI_BAR0 = 0x10,
       PCI_CAPABILITIES = 0x34,
       CAPABILITY_MSI = 0x05,
       MSI_64 = 0x80,
};

static struct pci_address edu;
static volatile uint8_t *bar;
static unsigned msi; /* capability */

bool edu_find(struct pci_address *address)
{
	for (unsigned slot = 0; slot < 32; slot++) {
		edu = (struct pci_address){ 0, (uint8_t)(slot << 3) };
		if (host_pci_read(edu, PCI_ID, 4) == EDU_ID)
			break;
	}
	if (host_pci_read(edu, PCI_ID, 4) != EDU_ID)
		return false;
	bar = map_device(host_pci_read(edu, PCI_BAR0, 4) & ~15u, BAR_BYTES);
	msi = host_pci_read(edu, PCI_CAPABILITIES, 1);
	assert(bar && host_pci_read(edu, msi, 1) == CAPABILITY_MSI);
	host_pci_write(edu, PCI_COMMAND, 2, 6); /* memory, bus master */
	*address = edu;
	return true;
}

static volatile uint64_t *reg(unsigned at)
{
	return (volatile uint64_t *)(bar + at);
}

static void dma(uint64_t from, uint64_t to, unsigned words, unsigned order)
{
	uint64_t end = rdtsc() + tsc_from_us(LIMIT_US);

	*reg(DMA_FROM) = from;
	*reg(DMA_TO) = to;
	*reg(DMA_BYTES) = 8ull * words;
	*reg(DMA_ORDER) = order | DMA_RUN;
	while (*reg(DMA_ORDER) & DMA_RUN)
		if (rdtsc() > end)
			panic("edu does not end its DMA");
}

void edu_read(uint64_t address, unsigned words)
{
	dma(address, BUFFER, words, 0);
}

void edu_write(uint64_t address, unsigned words)
{
	dma(BUFFER, address, words, DMA_TO_MEMORY);
}

void edu_use_msi(uint64_t address, uint32_t data)
{
	uint32_t control = host_pci_read(edu, msi + 2, 2);

	host_pci_write(edu, msi + 4, 4, (uint32_t)address);
	host_pci_write(edu, msi + 8, 4, (uint32_t)(address >> 32));
	host_pci_write(edu, msi + (control & MSI_64 ? 12 : 8), 2, data);
	host_pci_write(edu, msi + 2, 2, control | 1);
}

void edu_use_pin(void)
{
	host_pci_write(edu, msi + 2, 2, host_pci_read(edu, msi + 2, 2) & ~1u);
}

void edu_interrupt(void)
{
	*(volatile uint32_t *)(bar + IRQ_RAISE) = 1;
}

void edu_calm(void)
{
	*(volatile uint32_t *)(bar + IRQ_ACK) = 1;
}
