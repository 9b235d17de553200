/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA to where nothing is its own: frames are sent from there (the NIC reads), and received to there (it
 * writes) in its loopback mode; descriptors lie there. Behind an IOMMU all of that goes nowhere and is
 * told. Numbers: 82574 data sheet.
 */
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_pci.h"
#include "tests/boot/attack/attack.h"

enum {
	CTRL = 0x0000,
	ICR = 0x00c0,
	IMC = 0x00d8,
	MDIC = 0x0020,
	RCTL = 0x0100,
	TCTL = 0x0400,
	RDBAL = 0x2800,
	RDLEN = 0x2808,
	RDH = 0x2810,
	RDT = 0x2818,
	TDBAL = 0x3800,
	TDLEN = 0x3808,
	TDH = 0x3810,
	TDT = 0x3818,
};
enum { CTRL_SLU = 1 << 6, CTRL_RST = 1 << 26, EN = 1 << 1, TCTL_PSP = 1 << 3 };
enum {
	RCTL_PROMISCUOUS = 1 << 3 | 1 << 4 | 1 << 15,
	RCTL_LOOPBACK = 1 << 6,
	RCTL_NO_CRC = 1 << 26
};
/* MDIC: write register 0 of PHY 1 with loopback, 1000 Mbit/s, full duplex */
#define MDIC_LOOPBACK	  (1u << 26 | 1u << 21 | 0x4140u)
#define MDIC_READ_CONTROL (2u << 26 | 1u << 21)
#define MDIC_READY	  (1u << 28)
enum { TX_EOP = 1, TX_RS = 8 };
enum { DESCRIPTORS = 8, FRAME = 1024, ROUNDS = 6, WAIT_US = 2000 };

struct descriptor { /* 7.1, 7.2: legacy receive and transmit descriptors */
	uint64_t address;
	uint16_t bytes;
	uint8_t checksum_offset, command, status, checksum_start;
	uint16_t special;
};

static struct descriptor tx[DESCRIPTORS] __attribute__((aligned(128)));
static struct descriptor rx[DESCRIPTORS] __attribute__((aligned(128)));
static uint8_t out[FRAME], in[DESCRIPTORS][2048];

enum { INTEL = 0x8086, ID_82574 = 0x10d3, ID_82540 = 0x100e };

unsigned nic_devfn;
bool nic_is_intel;
struct pci_region nic_regs;

static uint32_t get(uint32_t reg)
{
	return region_read32(&nic_regs, reg);
}

static void put(uint32_t reg, uint32_t value)
{
	region_write32(&nic_regs, reg, value);
}

bool nic_find(void)
{
	nic_is_intel = pci_find(INTEL, ID_82574, 0, &nic_devfn) ||
		       pci_find(INTEL, ID_82540, 0, &nic_devfn);
	if (nic_is_intel)
		return pci_region(nic_devfn, 0, 0, &nic_regs);
	return pci_find(VIRTIO_VENDOR, VIRTIO_NET_DEVICE, 1, &nic_devfn);
}

bool nic_is_silent(void)
{
	if (pci_read16(nic_devfn, PCI_COMMAND) & PCI_COMMAND_MASTER)
		return false;
	return !nic_is_intel || (!(get(RCTL) & EN) && !(get(TCTL) & EN));
}

/* IEEE 802.3, 22.2.4.1: auto-negotiation, 1000 Mbit/s, full duplex, no loopback */
bool nic_phy_is_plain(void)
{
	uint64_t end = rdtsc() + clock_ms(10);

	if (!nic_is_intel)
		return true;
	put(MDIC, MDIC_READ_CONTROL);
	while (!(get(MDIC) & MDIC_READY) && rdtsc() < end)
		cpu_pause();
	return (get(MDIC) & 0xffff) == 0x1140;
}

void nic_calm(void)
{
	uint64_t end = rdtsc() + clock_ms(100);

	pci_write16(nic_devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	if (!nic_is_intel)
		return;
	put(IMC, UINT32_MAX);
	put(RCTL, 0);
	put(TCTL, 0);
	put(CTRL, CTRL_RST);
	while (get(CTRL) & CTRL_RST && rdtsc() < end)
		cpu_pause();
	(void)get(ICR);
}

static void ring_at(uint32_t base, uint32_t length, uint64_t at)
{
	put(base, (uint32_t)at);
	put(base + 4, (uint32_t)(at >> 32));
	put(length, sizeof(tx));
}

/* Rings at these addresses: what is sent is received. */
static void start(uint64_t tx_ring, uint64_t rx_ring)
{
	nic_calm();
	pci_write16(nic_devfn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put(CTRL, CTRL_SLU);
	put(MDIC, MDIC_LOOPBACK);
	ring_at(RDBAL, RDLEN, rx_ring);
	ring_at(TDBAL, TDLEN, tx_ring);
	put(RDH, 0);
	put(RDT, 0);
	put(TDH, 0);
	put(TDT, 0);
	put(RCTL, EN | RCTL_PROMISCUOUS | RCTL_LOOPBACK | RCTL_NO_CRC);
	put(TCTL, EN | TCTL_PSP);
}

static void pause_us(unsigned us)
{
	uint64_t end = rdtsc() + clock_us(us);

	while (rdtsc() < end)
		cpu_pause();
}

/* All descriptors: frames of so many bytes from one address, buffers at another. */
static void fill(uint64_t from, uint64_t to, unsigned bytes)
{
	for (unsigned i = 0; i < DESCRIPTORS; i++) {
		tx[i] = (struct descriptor){ .address = from,
					     .bytes = (uint16_t)bytes,
					     .command = TX_EOP | TX_RS };
		rx[i] = (struct descriptor){ .address = to };
	}
	memset(out, 0xff, 6);
	for (unsigned i = 6; i < sizeof(out); i++)
		out[i] = (uint8_t)random_u64();
}

static void send_all(void)
{
	uint64_t end = rdtsc() + clock_us(WAIT_US);

	put(RDT, DESCRIPTORS - 1);
	put(TDT, DESCRIPTORS - 1);
	while (get(TDH) != DESCRIPTORS - 1 && rdtsc() < end)
		cpu_pause();
}

/* Of the machine's memory, as devices know it without an IOMMU: none of it is ours behind one. */
static uint64_t any_foreign(void)
{
	const uint64_t page = random_u64() & 0xfffff000;

	switch (random_below(8)) {
	case 0:
		return 0xa0000 + random_below(0x60000); /* the hole, which is no RAM to devices */
	case 1:
		return ram_end() + random_below(0x10000);
	case 2:
		return ram_end() - random_below(64); /* over our end */
	case 3:
		return 0xfec00000 + random_below(0x1000);
	case 4:
		return 0xe0000000 + random_below(0x10000000);
	case 5:
		return random_u64();
	default:
		return page < ram_end() ? page + ram_end() : page + random_below(4096);
	}
}

/* But for interrupt messages: in the old format, they would pass QEMU 7.2's unit (dma_old_message()). */
static uint64_t foreign(void)
{
	uint64_t at;

	do
		at = any_foreign();
	while ((at & 0xffffffffu) >= 0xfee00000u - 2 * FRAME && (at & 0xffffffffu) < 0xfef00000u);
	return at;
}

void act_dma_read(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		start((uintptr_t)tx, (uintptr_t)rx);
		fill(foreign(), (uintptr_t)in, 60 + (unsigned)random_below(FRAME - 60));
		send_all();
	}
}

void act_dma_write(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		start((uintptr_t)tx, (uintptr_t)rx);
		fill((uintptr_t)out, foreign(), FRAME);
		send_all();
	}
}

void act_dma_rings(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		const bool of_tx = one_in(2);

		fill((uintptr_t)out, (uintptr_t)in, FRAME);
		start(of_tx ? foreign() & ~127ull : (uintptr_t)tx,
		      of_tx ? (uintptr_t)rx : foreign() & ~127ull);
		send_all();
	}
}

/*
 * Messages by DMA, with an index of the interrupt remapping table: our own, another's, none. Bit 4 says that
 * it is one (VT-d, 5.1.2.2), and all that is written has it: a receive descriptor on its way back, 16 bytes.
 */
void act_dma_message(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		fill((uintptr_t)out, 0, 60);
		start((uintptr_t)tx, 0xfee00000u | (uint32_t)random_below(256) << 7);
		put(RDH, 1);
		put(RDT, 2);
		put(TDT, 1);
		pause_us(WAIT_US);
	}
}

/* An NMI to CPU 0: enough to see it pass. It might as well be an INIT. */
void dma_old_message(void)
{
	const uint32_t nmi = 0x400;

	start((uintptr_t)tx, (uintptr_t)rx);
	fill((uintptr_t)out, 0xfee00000u, 60);
	for (unsigned i = 0; i < sizeof(out); i += sizeof(nmi))
		memcpy(out + i, &nmi, sizeof(nmi));
	send_all();
	pause_us(WAIT_US);
}

void dma_leave_running(void)
{
	start((uintptr_t)tx, (uintptr_t)rx);
	fill((uintptr_t)out, arena_base(), FRAME);
	for (unsigned i = 0; i < DESCRIPTORS; i++)
		rx[i].address += i * 4096;
	put(RDT, DESCRIPTORS - 1);
	put(TDT, DESCRIPTORS - 1);
}
