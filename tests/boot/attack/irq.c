/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts: forged messages, storms; and what costs the hypervisor work or memory, over and over. */
#include "guest/lib/apic.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/virtio_pci.h"
#include "tests/boot/attack/attack.h"

enum { ICR = 0x00c0, ICS = 0x00c8, IMS = 0x00d0, IMC = 0x00d8, IVAR = 0x00e4 };
enum { RXQ0 = 1 << 20, TXDW = 1, IVAR_RXQ0_0 = 8 };
enum { MSI = 0x05, MSI_ENABLE = 1, MSIX_ENABLE = 1 << 15, ENTRY_BYTES = 16 };
enum { VECTOR = 0x60, SETTLE_MS = 250, RTE_LEVEL = 1 << 15, RTE_MASKED = 1 << 16 };
#define IOAPIC 0xfec00000ull

static void put(uint32_t reg, uint32_t value)
{
	region_write32(&nic_regs, reg, value);
}

static bool msix_table(uint8_t cap, struct pci_region *table)
{
	uint32_t where = pci_read32(nic_devfn, cap + 4u);

	return pci_region(nic_devfn, where & 7, where & ~7u, table) && !table->io;
}

static void entry(const struct pci_region *table, unsigned i, uint64_t address, uint32_t data)
{
	region_write32(table, i * ENTRY_BYTES, (uint32_t)address);
	region_write32(table, i * ENTRY_BYTES + 4, (uint32_t)(address >> 32));
	region_write32(table, i * ENTRY_BYTES + 8, data);
	region_write32(table, i * ENTRY_BYTES + 12, 0);
}

/* A message that is none of ours: to memory, to another CPU, NMI, INIT, exceptions, remapped. */
static uint64_t forged(uint32_t *data)
{
	static const uint32_t modes[] = { 0x200, 0x400, 0x500, 0x600, 0x700, 3, 14, 0xc0ff };

	*data = one_in(2) ? modes[random_below(8)] : (uint32_t)random_value();
	switch (random_below(4)) {
	case 0:
		return random_address();
	case 1:
		return 0xfee00000u | (uint32_t)random_u64() % 256 << 12;
	case 2:
		return 0xfee00010u | (uint32_t)random_u64() % 256 << 5;
	default:
		return 0xfee00000ull | random_u64() << 32;
	}
}

void act_forge(void)
{
	uint8_t msix = pci_capability(nic_devfn, PCI_CAP_MSIX, 0);
	uint8_t msi = pci_capability(nic_devfn, MSI, 0);
	struct pci_region table;
	uint32_t data;

	nic_calm();
	for (unsigned i = 0; i < 8 && msix && msix_table(msix, &table); i++) {
		uint64_t address = forged(&data);

		pci_write16(nic_devfn, msix + 2u, MSIX_ENABLE);
		entry(&table, (unsigned)random_below(5), address, data);
	}
	if (msix)
		pci_write16(nic_devfn, msix + 2u, 0);
	for (unsigned i = 0; i < 8 && msi; i++) {
		uint64_t address = forged(&data);

		pci_write32(nic_devfn, msi + 4u, (uint32_t)address);
		pci_write32(nic_devfn, msi + 8u, (uint32_t)(address >> 32));
		pci_write16(nic_devfn, msi + 12u, (uint16_t)data);
		pci_write16(nic_devfn, msi + 2u, MSI_ENABLE);
	}
	if (msi)
		pci_write16(nic_devfn, msi + 2u, 0);
}

/* QEMU's 82574L dies of a throttling timer that finds MSI-X switched. */
static void settle(void)
{
	uint64_t end = rdtsc() + clock_ms(SETTLE_MS);

	put(IMC, UINT32_MAX);
	(void)region_read32(&nic_regs, ICR);
	while (rdtsc() < end)
		cpu_pause();
}

/* As many messages as the NIC can send. */
void act_storm_messages(void)
{
	static const uint8_t vectors[] = { VECTOR, VECTOR + 1, VECTOR + 2 };
	uint64_t end = rdtsc() + clock_ms(100);

	nic_calm();
	if (!nic_is_intel || !pci_msix(nic_devfn, vectors, 3))
		return;
	put(IVAR, IVAR_RXQ0_0);
	while (rdtsc() < end) {
		put(IMS, RXQ0);
		put(ICS, RXQ0);
		put(ICR, RXQ0);
	}
	settle();
	pci_write16(nic_devfn, pci_capability(nic_devfn, PCI_CAP_MSIX, 0) + 2u, 0);
}

static void pin_route(unsigned pin, uint32_t low)
{
	mmio_write32(IOAPIC, 0x10 + 2 * pin + 1);
	mmio_write32(IOAPIC + 0x10, lapic_id() << 24);
	mmio_write32(IOAPIC, 0x10 + 2 * pin);
	mmio_write32(IOAPIC + 0x10, low);
}

/* A line that nobody lowers: it comes again at each EOI. */
void act_storm_pin(void)
{
	unsigned pin = pci_read8(nic_devfn, PCI_INTERRUPT_LINE);
	uint64_t end = rdtsc() + clock_ms(100);

	nic_calm();
	if (!nic_is_intel || !pci_read8(nic_devfn, PCI_INTERRUPT_PIN))
		return;
	pin_route(pin, VECTOR | RTE_LEVEL);
	put(IMS, TXDW);
	put(ICS, TXDW);
	while (rdtsc() < end)
		cpu_pause();
	settle();
	pin_route(pin, RTE_MASKED);
}

/* Its uplink up and down, as often as it can: each is an event to others. */
void act_reset_flood(void)
{
	struct virtio_device dev;
	uint64_t end = rdtsc() + clock_ms(50);
	unsigned devfn;

	if (!pci_find(VIRTIO_VENDOR, VIRTIO_NET_DEVICE, 0, &devfn))
		return;
	while (rdtsc() < end && !virtio_open(&dev, devfn) &&
	       !virtio_negotiate(&dev, VIRTIO_F_VERSION_1)) {
		for (unsigned q = 0; q < 2; q++) {
			uint64_t at = (uintptr_t)random_arena(32768, 4096);

			region_write16(&dev.common, COMMON_QUEUE_SELECT, (uint16_t)q);
			region_write16(&dev.common, COMMON_QUEUE_SIZE, 256);
			for (unsigned i = 0; i < 3; i++)
				region_write32(&dev.common, COMMON_QUEUE_DESC + 8 * i,
					       (uint32_t)(at + i * 8192));
			region_write16(&dev.common, COMMON_QUEUE_ENABLE, 1);
		}
		virtio_ready(&dev);
	}
}

/* BAR 0 over the whole window: page tables for each place. */
void act_bar_walk(void)
{
	uint32_t home = pci_read32(nic_devfn, PCI_BAR0);

	for (uint32_t at = 0xc0000000; at < 0xe0000000; at += 0x200000) {
		pci_write32(nic_devfn, PCI_BAR0, at);
		(void)mmio_read32(at);
	}
	pci_write32(nic_devfn, PCI_BAR0, home & ~15u);
}
