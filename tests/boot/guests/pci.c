/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the PCI bus what a driver expects, and does it bear one that writes nonsense? Config space,
 * BARs, virtio capabilities, MSI-X table, common configuration. Wants one virtio-net device.
 */
#include <stddef.h>

#include "guest/lib/pci.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_pci.h"
#include "tests/boot/guests/check.h"

struct bar {
	bool io, wide;
	uint32_t bytes; /* 0: none */
	uint64_t base;
};

static struct bar bars[6];
static unsigned nic; /* devfn */

static uint64_t random64(void)
{
	static uint64_t x = 88172645463325252ull; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void check_scan(void)
{
	unsigned found = 0;
	bool ones = true;

	for (unsigned devfn = 0; devfn < 256; devfn++) {
		uint32_t id = pci_read32(devfn, PCI_VENDOR);

		if (id == UINT32_MAX) {
			ones &= pci_read8(devfn, PCI_HEADER) == 0xff &&
				pci_read16(devfn, PCI_STATUS) == 0xffff &&
				pci_read32(devfn, 0xffc) == UINT32_MAX;
			pci_write32(devfn, PCI_COMMAND, UINT32_MAX);
			ones &= pci_read32(devfn, PCI_COMMAND) == UINT32_MAX;
			continue;
		}
		print("pci: %02x.%u %04x:%04x class %06x\n", devfn >> 3, devfn & 7, id & 0xffff,
		      id >> 16, pci_read32(devfn, PCI_CLASS) >> 8);
		found++;
	}
	check(found >= 2, "scan", "bus 0 has a host bridge and a device");
	check(ones, "absent", "absent functions read all ones and bear writes");
	check(pci_read32(0, PCI_CLASS) >> 16 == 0x0600, "host-bridge", "00.0 is a host bridge");
}

static void check_read_only(void)
{
	uint32_t id = pci_read32(nic, PCI_VENDOR), class = pci_read32(nic, PCI_CLASS);

	pci_write32(nic, PCI_VENDOR, 0xdeadbeef);
	pci_write32(nic, PCI_CLASS, 0xdeadbeef);
	check(pci_read32(nic, PCI_VENDOR) == id && pci_read32(nic, PCI_CLASS) == class, "read-only",
	      "identity registers cannot be written");
	check(pci_read8(nic, PCI_VENDOR) == (id & 0xff) &&
		      pci_read16(nic, PCI_DEVICE) == id >> 16 &&
		      pci_read8(nic, PCI_DEVICE + 1) == id >> 24,
	      "widths", "bytes and words agree with the doubleword");
	check(!pci_read8(nic, PCI_INTERRUPT_PIN), "pin", "no interrupt pin");
}

static void size_bar(unsigned i)
{
	struct bar *bar = &bars[i];
	uint32_t old = pci_read32(nic, PCI_BAR0 + 4 * i), mask;

	pci_write32(nic, PCI_BAR0 + 4 * i, UINT32_MAX);
	mask = pci_read32(nic, PCI_BAR0 + 4 * i);
	pci_write32(nic, PCI_BAR0 + 4 * i, old);
	bar->io = old & 1;
	bar->wide = !bar->io && (old & 6) == 4;
	mask &= bar->io ? 0xfffcu : ~0xfu;
	bar->bytes = mask & -mask;
	bar->base = old & (bar->io ? 0xfffcu : ~0xfu);
	if (bar->wide && i < 5)
		bar->base |= (uint64_t)pci_read32(nic, PCI_BAR0 + 4 * i + 4) << 32;
}

static void check_bars(void)
{
	uint16_t command = pci_read16(nic, PCI_COMMAND);
	bool aligned = true, restored = true, io = false, memory = false;

	pci_write16(nic, PCI_COMMAND, 0);
	for (unsigned i = 0; i < 6; i++) {
		size_bar(i);
		if (!bars[i].bytes)
			continue;
		aligned &= bars[i].base && !(bars[i].base & (bars[i].bytes - 1));
		restored &= (pci_read32(nic, PCI_BAR0 + 4 * i) & ~0xfu) ==
			    ((uint32_t)bars[i].base & ~0xfu);
		io |= bars[i].io;
		memory |= !bars[i].io;
		print("pci: BAR %u %s %lx + %x\n", i, bars[i].io ? "io" : "memory", bars[i].base,
		      bars[i].bytes);
		i += bars[i].wide;
	}
	pci_write16(nic, PCI_COMMAND, command);
	check(aligned, "bars", "BARs are assigned and aligned to their size");
	check(restored, "bars-restored", "a BAR keeps what is written");
	check(memory && io, "bars-kinds", "there are memory and I/O BARs");
}

static bool inside(unsigned bar, uint32_t offset, uint32_t bytes)
{
	return bar < 6 && bytes && offset <= bars[bar].bytes && bars[bar].bytes - offset >= bytes;
}

static void check_capabilities(void)
{
	unsigned kinds = 0;
	bool fit = true;
	uint8_t at = 0;

	while ((at = pci_capability(nic, PCI_CAP_VENDOR, at))) {
		uint8_t type = pci_read8(nic, at + 3);

		if (type >= 1 && type <= 4) {
			kinds |= 1u << type;
			fit &= inside(pci_read8(nic, at + 4), pci_read32(nic, at + 8),
				      pci_read32(nic, at + 12));
		}
	}
	check(kinds == 0x1e, "virtio", "common, notify, ISR and device capabilities are there");
	check(fit, "virtio-fit", "and lie inside their BARs");
}

static void check_msix(void)
{
	uint8_t cap = pci_capability(nic, PCI_CAP_MSIX, 0);
	struct pci_region table;
	uint32_t entries, where, pba;
	uint64_t base;

	if (!check(cap != 0, "msix", "there is an MSI-X capability"))
		return;
	entries = (pci_read16(nic, cap + 2) & 0x7ffu) + 1;
	where = pci_read32(nic, cap + 4);
	pba = pci_read32(nic, cap + 8);
	check(entries >= 3 && inside(where & 7, where & ~7u, 16 * entries) &&
		      inside(pba & 7, pba & ~7u, (entries + 63) / 64 * 8),
	      "msix-fit", "table and pending bits lie inside their BARs");
	pci_write16(nic, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	if (!check(pci_region(nic, where & 7, where & ~7u, &table) && !table.io, "msix-bar",
		   "the table is in memory"))
		return;
	base = table.base;
	check(mmio_read32(base + 12) & 1, "msix-masked", "entries begin masked");
	mmio_write32(base, 0xfee01000);
	mmio_write32(base + 8, 0x4041);
	check(mmio_read32(base) == 0xfee01000 && mmio_read32(base + 8) == 0x4041, "msix-4",
	      "the table takes doublewords");
	mmio_write64(base, 0x00000000fee02000);
	check(mmio_read64(base) == 0xfee02000 && mmio_read32(base) == 0xfee02000, "msix-8",
	      "and quadwords");
	mmio_write8(base + 3, 0x55); /* undefined by PCI: the VM must bear it */
	mmio_write16(base + 14, 0x5555);
	(void)mmio_read8(base + 1);
	(void)mmio_read16(base + 2);
	(void)mmio_read32(base + 16 * entries - 4);
	mmio_write32(base, 0xfee00000);
	mmio_write32(base + 12, 1);
	check(mmio_read32(base) == 0xfee00000, "msix-odd", "odd widths do no harm");
}

/* Nonsense into the whole config space, then the BARs as they were. */
static void check_garbage_config(void)
{
	uint32_t id = pci_read32(nic, PCI_VENDOR), bar[6];

	for (unsigned i = 0; i < 6; i++)
		bar[i] = pci_read32(nic, PCI_BAR0 + 4 * i);
	for (unsigned i = 0; i < 4096; i++) {
		unsigned offset = random64() & 0xffc;

		if (offset == PCI_COMMAND)
			continue; /* decoding stays off: BARs move onto other things */
		pci_write16(nic, PCI_COMMAND, 0);
		pci_write32(nic, offset, (uint32_t)random64());
	}
	for (unsigned i = 0; i < 6; i++)
		pci_write32(nic, PCI_BAR0 + 4 * i, bar[i]);
	pci_write16(nic, (unsigned)pci_capability(nic, PCI_CAP_MSIX, 0) + 2, 0);
	pci_write16(nic, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	check(pci_read32(nic, PCI_VENDOR) == id, "garbage-config",
	      "nonsense in config space leaves the device there");
}

static void write_random(const struct pci_region *r, uint32_t bytes)
{
	uint32_t offset = (uint32_t)random64() % bytes, value = (uint32_t)random64();

	switch (random64() % 3) {
	case 0:
		region_write8(r, offset, (uint8_t)value);
		break;
	case 1:
		region_write16(r, offset & ~1u, (uint16_t)value);
		break;
	default:
		region_write32(r, offset & ~3u, value);
	}
}

static void check_garbage_virtio(void)
{
	struct virtio_device device;
	const char *error = virtio_open(&device, nic);
	uint32_t features, queues;

	if (error)
		print("pci: %s\n", error);
	if (!check(!error, "open", "the device can be opened"))
		return;
	features = region_read32(&device.common, COMMON_DEVICE_FEATURE);
	queues = region_read16(&device.common, COMMON_NUM_QUEUES);
	for (unsigned i = 0; i < 3000; i++) {
		write_random(&device.common, 64);
		if (!(i & 15))
			region_write16(&device.notify, 0, (uint16_t)random64());
		if (!(i & 63))
			region_write8(&device.common, COMMON_STATUS, 0x0f);
		if (!(i & 511)) /* no bus master: what it has begun must not matter */
			pci_write16(nic, PCI_COMMAND, (uint16_t)random64() | 3);
	}
	region_write8(&device.common, COMMON_STATUS, 0);
	error = virtio_open(&device, nic);
	region_write32(&device.common, COMMON_DEVICE_FEATURE_SELECT, 0);
	check(!error && region_read32(&device.common, COMMON_DEVICE_FEATURE) == features &&
		      region_read16(&device.common, COMMON_NUM_QUEUES) == queues,
	      "garbage-virtio", "after nonsense and a reset the device is as new");
}

int guest_main(void)
{
	if (!check(pci_ecam() != 0, "ecam", "the MCFG table names the ECAM"))
		return check_status();
	check_scan();
	if (!check(pci_find(VIRTIO_VENDOR, VIRTIO_NET_DEVICE, 0, &nic), "nic",
		   "there is a virtio-net device"))
		return check_status();
	check_read_only();
	check_bars();
	check_capabilities();
	check_msix();
	check_garbage_config();
	check_garbage_virtio();
	return check_status();
}
