/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is an Intel NIC that is passed through what its driver expects: registers, BARs that move, messages
 * and pin, DMA while it is a bus master and at no other time? And what of its configuration space is
 * not there, what of its messages is refused? Wants an 82574L (MSI-X) or an 82540EM (INTx only), and
 * `dma-offset` if there is no IOMMU; with lax=1 the machine heeds neither the bus mastering nor the
 * INTx disable bit; with stay=1 it does not end. Numbers: 8254x Family Developer's Manual, 82574 datasheet.
 */
#include <stddef.h>

#include "guest/lib/apic.h"
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/pci.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/trap.h"
#include "lasthop/dma_offset.h"
#include "tests/boot/guests/check.h"

LASTHOP_ADDS_DMA_OFFSET;

enum { INTEL = 0x8086, ID_82574 = 0x10d3, ID_82540 = 0x100e };
enum {
	CTRL = 0x0000,
	STATUS = 0x0008,
	ICR = 0x00c0,
	ICS = 0x00c8,
	IMS = 0x00d0,
	IMC = 0x00d8,
	IVAR = 0x00e4,
	TCTL = 0x0400,
	TDBAL = 0x3800,
	TDBAH = 0x3804,
	TDLEN = 0x3808,
	TDH = 0x3810,
	TDT = 0x3818,
};
enum { CTRL_RST = 1 << 26, CTRL_SLU = 1 << 6, TCTL_EN = 1 << 1 };
enum { TXDW = 1 << 0, RXQ0 = 1 << 20, TXQ0 = 1 << 22, OTHER = 1 << 24 };
enum { IVAR_RXQ0_0 = 0x8, IVAR_TXQ0_1 = 0x900, IVAR_OTHER_2 = 0xa0000 };
enum { TX_EOP = 1, TX_RS = 8, TX_DONE = 1 };
enum { IO_ADDRESS = 0, IO_DATA = 4 };

enum { PM = 0x01, MSI = 0x05, EXPRESS = 0x10, MSIX = 0x11 };
enum { MSI_ENABLE = 1, MSIX_ENABLE = 1 << 15, ENTRY_BYTES = 16 };
enum { BAR_WINDOW_MIDDLE = 0xd0000000u };
enum { IRQ_FIRST = 0x60, IRQ_MSI = 0x70, IRQ_PIN = 0x71, MESSAGES = 3 };
enum { RTE_LEVEL = 1 << 15, RTE_MASKED = 1 << 16 };
#define IOAPIC	    0xfec00000ull
#define DESCRIPTORS 8

struct descriptor { /* 3.3.3, legacy transmit descriptor */
	uint64_t address;
	uint16_t bytes;
	uint8_t checksum_offset, command, status, checksum_start;
	uint16_t special;
};

static struct descriptor ring[DESCRIPTORS] __attribute__((aligned(128)));
static uint8_t frame[60];
static unsigned nic, tail;
static struct pci_region regs;
static uint64_t dma_offset, lax, stay;

static uint32_t get(uint32_t reg)
{
	return region_read32(&regs, reg);
}

static void put(uint32_t reg, uint32_t value)
{
	region_write32(&regs, reg, value);
}

static uint64_t hex(const char *s)
{
	uint64_t value = 0;

	for (s += 2; *s; s++)
		value = value << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
	return value;
}

static void sleep_ms(unsigned ms)
{
	uint64_t end = rdtsc() + clock_ms(ms);

	while (rdtsc() < end)
		clock_wait(end);
}

/* Whether the vector comes so often within a moment. */
static bool came(unsigned vector, unsigned times)
{
	uint64_t end = rdtsc() + clock_ms(2000);

	while (irq_seen[vector] < times && rdtsc() < end)
		clock_wait(end);
	return irq_seen[vector] == times;
}

static void command(uint16_t bits)
{
	pci_write16(nic, PCI_COMMAND, bits);
}

static bool is_back(void)
{
	uint64_t end = rdtsc() + clock_ms(1000);

	while (get(CTRL) & CTRL_RST && rdtsc() < end)
		;
	return !(get(CTRL) & CTRL_RST);
}

/* Between two kinds of interrupts: QEMU's 82574L dies of a throttling timer that finds MSI-X switched, and
 * no reset by its driver stops that timer. */
static void settle(void)
{
	put(IMC, UINT32_MAX);
	(void)get(ICR);
	sleep_ms(250);
}

static void check_registers(void)
{
	command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	put(IMC, UINT32_MAX);
	put(CTRL, get(CTRL) | CTRL_RST);
	check(is_back(), "reset", "CTRL.RST ends");
	put(CTRL, get(CTRL) | CTRL_SLU);
	put(TDLEN, 0x80);
	check(get(STATUS) != UINT32_MAX && get(CTRL) & CTRL_SLU && get(TDLEN) == 0x80, "registers",
	      "registers keep what is written");
}

/* Emulated 82540EMs read zero there. */
static void check_ports(unsigned bar, bool forwards)
{
	struct pci_region ports;

	if (!check(pci_region(nic, bar, 0, &ports) && ports.io, "ports", "there is a BAR of ports"))
		return;
	region_write32(&ports, IO_ADDRESS, TDLEN);
	if (forwards)
		check(region_read32(&ports, IO_DATA) == get(TDLEN), "ports-forwarded",
		      "registers by ports are those in memory");
	command(PCI_COMMAND_MEMORY);
	check(region_read32(&ports, IO_DATA) == UINT32_MAX, "ports-off",
	      "without I/O decoding nobody answers");
	command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

/* As Linux sizes BARs and, where it has to, moves them. */
static void check_bar(void)
{
	uint64_t home = regs.base;
	uint32_t status = get(STATUS), size;
	struct pci_region old = regs;

	command(0);
	check(get(STATUS) == UINT32_MAX, "memory-off", "without memory decoding nobody answers");
	pci_write32(nic, PCI_BAR0, UINT32_MAX);
	size = ~(pci_read32(nic, PCI_BAR0) & ~0xfu) + 1;
	check(size == 0x20000, "size", "BAR 0 has 128 KiB");
	pci_write32(nic, PCI_BAR0, BAR_WINDOW_MIDDLE);
	command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	regs.base = BAR_WINDOW_MIDDLE;
	check(get(STATUS) == status && get(TDLEN) == 0x80, "moved",
	      "BAR 0 answers where it was moved to");
	check(region_read32(&old, STATUS) == UINT32_MAX, "left", "and no more where it was");
	pci_write32(nic, PCI_BAR0, (uint32_t)home);
	regs.base = home;
	check(get(STATUS) == status, "moved-back", "and back");
}

static void check_hidden(void)
{
	uint8_t power = pci_capability(nic, PM, 0), express = pci_capability(nic, EXPRESS, 0);
	uint32_t subsystem = pci_read32(nic, 0x2c);
	bool known = true;
	unsigned at = pci_read8(nic, PCI_CAPABILITIES), n = 0;

	for (; at && n < 48; n++, at = pci_read8(nic, at + 1)) {
		uint8_t id = pci_read8(nic, at);

		known &= id == PM || id == MSI || id == EXPRESS || id == MSIX || id == 9;
	}
	check(known && n < 48, "capabilities", "only those that we know are shown");
	check(pci_read32(nic, 0x100) == 0 && pci_read32(nic, 0xffc) == 0, "extended",
	      "no extended capability");
	pci_write32(nic, 0x2c, ~subsystem);
	pci_write32(nic, 0x30, UINT32_MAX);
	check(pci_read32(nic, 0x30) == 0 && pci_read32(nic, 0x2c) == subsystem, "constant",
	      "no ROM, and the subsystem stays");
	if (power) {
		pci_write16(nic, power + 4, 3);
		check((pci_read16(nic, power + 4) & 3) == 3 && get(TDLEN) == 0x80, "d3",
		      "D3hot changes nothing");
		pci_write16(nic, power + 4, 0);
	}
	if (express) {
		pci_write16(nic, express + 8, UINT16_MAX);
		check(!(pci_read32(nic, express + 4) & 1u << 28) && get(TDLEN) == 0x80, "no-flr",
		      "a function-level reset is neither offered nor done");
	}
}

/* One frame to send: true if the device writes back that it has. */
static bool transmits(void)
{
	volatile struct descriptor *d = &ring[tail];
	uint64_t end;

	d->address = (uintptr_t)frame + dma_offset;
	d->bytes = sizeof(frame);
	d->command = TX_EOP | TX_RS;
	d->status = 0;
	tail = (tail + 1) % DESCRIPTORS;
	put(TDT, tail);
	end = rdtsc() + clock_ms(100);
	while (!(d->status & TX_DONE) && rdtsc() < end)
		;
	return d->status & TX_DONE;
}

static void check_dma(void)
{
	uint64_t at = (uintptr_t)ring + dma_offset;

	command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put(TDBAL, (uint32_t)at);
	put(TDBAH, (uint32_t)(at >> 32));
	put(TDLEN, sizeof(ring));
	put(TDH, 0);
	put(TDT, 0);
	put(TCTL, TCTL_EN);
	check(transmits() && transmits(), "dma", "the device reads and writes our memory");
	command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	if (lax)
		skip("master-off", "this machine does not heed it");
	else
		check(!transmits(), "master-off", "and does not when it is no bus master");
	command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put(TCTL, 0);
}

static void entry_write(const struct pci_region *table, unsigned i, uint64_t address, uint32_t data,
			uint32_t control)
{
	region_write32(table, i * ENTRY_BYTES + 12, 1);
	region_write32(table, i * ENTRY_BYTES, (uint32_t)address);
	region_write32(table, i * ENTRY_BYTES + 4, (uint32_t)(address >> 32));
	region_write32(table, i * ENTRY_BYTES + 8, data);
	region_write32(table, i * ENTRY_BYTES + 12, control);
}

static void raise(uint32_t cause)
{
	put(ICS, cause);
	(void)get(STATUS);
}

static void check_msix(uint8_t cap)
{
	static const uint8_t vectors[MESSAGES] = { IRQ_FIRST, IRQ_FIRST + 1, IRQ_FIRST + 2 };
	uint64_t good = 0xfee00000ull | lapic_id() << 12;
	struct pci_region table, pba;
	uint32_t where = pci_read32(nic, cap + 4), bits = pci_read32(nic, cap + 8);

	check(pci_region(nic, where & 7, where & ~7u, &table) &&
		      pci_region(nic, bits & 7, bits & ~7u, &pba) &&
		      pci_msix(nic, vectors, MESSAGES),
	      "msix", "there is a table of three messages");
	put(IVAR, IVAR_RXQ0_0 | IVAR_TXQ0_1 | IVAR_OTHER_2);
	put(IMS, RXQ0 | TXQ0 | OTHER);
	raise(RXQ0);
	check(came(IRQ_FIRST, 1), "msix-0", "message 0 comes once");
	raise(TXQ0);
	check(came(IRQ_FIRST + 1, 1), "msix-1", "message 1 comes once");
	check(irq_seen[IRQ_FIRST] == 1 && irq_seen[IRQ_FIRST + 2] == 0, "msix-others",
	      "and no other");

	entry_write(&table, 0, good, IRQ_FIRST, 1);
	put(ICR, RXQ0);
	put(IMS, RXQ0);
	raise(RXQ0);
	sleep_ms(20);
	check(irq_seen[IRQ_FIRST] == 1 && region_read32(&pba, 0) & 1, "msix-masked",
	      "a message that is masked is pending");
	region_write32(&table, 12, 0);
	check(came(IRQ_FIRST, 2) && !(region_read32(&pba, 0) & 1), "msix-unmasked",
	      "and comes when it is not any more");

	/* to RAM, to another CPU, above 4 GiB, an NMI, INIT, a vector of exceptions */
	entry_write(&table, 1, 0x100000, IRQ_FIRST + 1, 0);
	entry_write(&table, 1, 0xfee00000ull | 0x7f000, IRQ_FIRST + 1, 0);
	entry_write(&table, 1, 1ull << 32 | good, IRQ_FIRST + 1, 0);
	entry_write(&table, 1, good, 0x400, 0);
	entry_write(&table, 1, good, 0x500, 0);
	entry_write(&table, 1, good, 3, 0);
	put(ICR, TXQ0);
	put(IMS, TXQ0);
	raise(TXQ0);
	sleep_ms(20);
	check(irq_seen[IRQ_FIRST + 1] == 1, "msix-forged", "no forged message is sent");
	entry_write(&table, 1, good, IRQ_FIRST + 1, 0);
	put(ICR, TXQ0);
	put(IMS, TXQ0);
	raise(TXQ0);
	check(came(IRQ_FIRST + 1, 2), "msix-again", "a good one is, after them");
	settle();
	pci_write16(nic, cap + 2, 0);
}

static void check_msi(uint8_t cap)
{
	put(ICR, UINT32_MAX);
	(void)get(ICR);
	pci_write32(nic, cap + 4, (uint32_t)(0xfee00000u | lapic_id() << 12));
	pci_write32(nic, cap + 8, 0);
	pci_write16(nic, cap + 12, IRQ_MSI);
	pci_write16(nic, cap + 2, MSI_ENABLE);
	put(IMS, TXDW);
	raise(TXDW);
	check(came(IRQ_MSI, 1), "msi", "the message of MSI comes once");
	settle();
	pci_write16(nic, cap + 2, 0);
}

static void pin_route(unsigned pin, uint32_t low)
{
	mmio_write32(IOAPIC, 0x10 + 2 * pin + 1);
	mmio_write32(IOAPIC + 0x10, lapic_id() << 24);
	mmio_write32(IOAPIC, 0x10 + 2 * pin);
	mmio_write32(IOAPIC + 0x10, low);
}

static void pin_handler(unsigned vector)
{
	if (vector == IRQ_PIN)
		(void)get(ICR); /* reading it lowers the line */
}

static void pin_handler_lazy(unsigned vector)
{
	if (vector == IRQ_PIN && irq_seen[IRQ_PIN] % 4 == 0)
		(void)get(ICR);
}

static void check_pin(void)
{
	unsigned pin = pci_read8(nic, PCI_INTERRUPT_PIN - 1);

	check(pci_read8(nic, PCI_INTERRUPT_PIN) == 1 && pin >= 16 && pin < 24, "pin",
	      "INTA, and the I/O APIC's input");
	(void)get(ICR);
	irq_hook = pin_handler;
	pin_route(pin, IRQ_PIN | RTE_LEVEL);
	put(IMS, TXDW);
	for (unsigned i = 1; i <= 3; i++) {
		raise(TXDW);
		if (!check(came(IRQ_PIN, i), "intx", "INTx comes once each time"))
			return;
	}
	irq_hook = pin_handler_lazy; /* the line stays up over three of its four EOIs */
	raise(TXDW);
	check(came(IRQ_PIN, 4), "intx-again", "it comes again as long as its line is up");
	pci_write16(nic, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_NO_INTX);
	raise(TXDW);
	sleep_ms(20);
	if (lax)
		skip("intx-off", "this machine does not heed it");
	else
		check(irq_seen[IRQ_PIN] == 4, "intx-off", "and not while INTx is disabled");
	settle();
	pci_write16(nic, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	pin_route(pin, RTE_MASKED);
}

/* What no driver would do: as many interrupts as can be had. We, and all others, live. */
static void storm(uint8_t cap)
{
	static const uint8_t vectors[MESSAGES] = { IRQ_FIRST, IRQ_FIRST + 1, IRQ_FIRST + 2 };
	uint64_t end = rdtsc() + clock_ms(200);
	uint32_t before = irq_seen[IRQ_FIRST];

	command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_msix(nic, vectors, MESSAGES);
	put(IVAR, IVAR_RXQ0_0);
	while (rdtsc() < end) {
		put(IMS, RXQ0);
		raise(RXQ0);
		put(ICR, RXQ0);
	}
	sleep_ms(20);
	check(irq_seen[IRQ_FIRST] > before, "storm", "a storm of messages is lived through");
	settle();
	pci_write16(nic, cap + 2, 0);
}

int guest_main(void)
{
	char offset[24];
	uint8_t msix;
	int status;

	lapic_init();
	clock_init();
	if (args_string(guest_cmdline(), "dma-offset", offset, sizeof(offset)))
		dma_offset = hex(offset);
	if (!args_u64(guest_cmdline(), "lax", 0, &lax))
		guest_fail("passed: lax is 0 or 1");
	if (!args_u64(guest_cmdline(), "stay", 0, &stay))
		guest_fail("passed: stay is 0 or 1");
	if (!pci_find(INTEL, ID_82574, 0, &nic) && !pci_find(INTEL, ID_82540, 0, &nic))
		guest_fail("passed: no NIC was passed through");
	if (!pci_region(nic, 0, 0, &regs))
		guest_fail("passed: it has no registers");
	print("passed: NIC %04x at %02x.0, DMA offset %lx\n", pci_read16(nic, PCI_DEVICE), nic >> 3,
	      dma_offset);
	msix = pci_capability(nic, MSIX, 0);
	check_registers();
	check_ports(msix ? 2 : 1, msix);
	check_bar();
	check_hidden();
	check_dma();
	if (msix)
		check_msix(msix);
	if (pci_capability(nic, MSI, 0))
		check_msi(pci_capability(nic, MSI, 0));
	if (pci_read8(nic, PCI_INTERRUPT_PIN))
		check_pin();
	else
		skip("pin", "the machine has none for it");
	if (msix)
		storm(msix);
	status = check_status();
	while (stay)
		cpu_wait();
	return status;
}
